package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"daemoneye/bus/event"
)

func noDeadline() context.Context { return context.Background() }

// quiet has no background work and no bounds that tests could meet.
func quiet() Config {
	return Config{MaxAge: -1, MaxBytes: -1, RetainInterval: -1, MinFree: -1, SealInterval: -1, SealUnmatched: true}
}

func openStore(t testing.TB, dir string, cfg Config) *Store {
	t.Helper()
	s, err := Open(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return s
}

// processEvents makes an encoded batch of rows with realistic values; pids
// start at first.
func processEvents(at time.Time, first, rows int) []byte {
	b := event.NewBuilder(event.Lookup("process_events"))
	for i := range rows {
		pid := int64(first + i)
		b.Column("time").Time(at.Add(time.Duration(i) * time.Microsecond))
		b.Column("event").Text("exec")
		b.Column("source").Text("procfs")
		b.Column("entity_id").Text(fmt.Sprintf("3f2b8c1d%024x", pid))
		b.Column("pid").Int(pid)
		b.Column("ppid").Int(pid / 2)
		b.Column("name").Text([]string{"bash", "python3", "nginx", "sshd"}[i%4])
		b.Column("executable_path").Text([]string{"/usr/bin/bash", "/usr/bin/python3.13", "/usr/sbin/nginx", "/usr/sbin/sshd"}[i%4])
		b.Column("invoked_path").Text("bash")
		b.Column("command_line").Text(fmt.Sprintf("/usr/bin/python3 -m worker --queue default --id %d --log /var/log/worker/%d.log", pid, pid))
		b.Column("cwd").Text("/srv/app")
		b.Column("start_time").Time(at)
		b.Column("start_time_ns").Int(at.UnixNano() + pid)
		b.Column("user_id").Int(1000)
		b.Column("effective_user_id").Int(1000)
		b.Column("group_id").Int(1000)
		b.Column("user_name").Text("app")
		b.Column("status").Text("sleeping")
		b.Column("cpu_usage").Float(float64(i%100) / 10)
		b.Column("cpu_time").Float(float64(i))
		b.Column("memory_usage").Int(int64(i) * 4096)
		b.Column("virtual_memory").Int(int64(i) * 40960)
		b.Column("threads").Int(int64(i % 8))
		b.Column("cgroup").Text("/system.slice/app.service")
		b.Column("namespaces").JSON([]byte(`{"mnt": 4026531841}`))
		b.Column("capabilities").Texts([]string{})
		b.Column("kernel_thread").Bool(false)
		b.Column("executable_hash").Text(strings.Repeat(fmt.Sprintf("%02x", i%4), 32))
		b.Column("hash_algorithm").Text("sha256")
		b.Column("file_exists").Bool(true)
		b.Column("accessible").Bool(true)
		b.Column("parent_entity_id").Text(fmt.Sprintf("3f2b8c1d%024x", pid/2))
		b.Column("parent_name").Text("systemd")
		b.Column("parent_executable_path").Text("/usr/lib/systemd/systemd")
		b.Column("parent_command_line").Text("/sbin/init")
		b.Column("ancestors").Texts([]string{"/usr/lib/systemd/systemd"})
		b.Column("collection_time").Time(at)
		b.EndRow()
	}
	return event.Encode(nil, b.Batch())
}

var epoch = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// scanned returns the pids of all process_events, in order.
func scanned(t testing.TB, s *Store) []int64 {
	t.Helper()
	var pids []int64
	err := s.Scan(noDeadline(), ScanRequest{Table: event.Lookup("process_events"), Columns: []string{"pid"}}, func(_ uint64, b *event.Batch) error {
		pids = append(pids, b.Column("pid").Ints...)
		return nil
	})
	if err != nil {
		t.Fatalf("Scan() = %v", err)
	}
	return pids
}

func TestAppendIsIdempotent(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, quiet())
	one, two, four := processEvents(epoch, 1, 3), processEvents(epoch, 11, 3), processEvents(epoch, 31, 3)
	first, err := s.Append(noDeadline(), []Batch{{"c", 1, one}, {"c", 2, two}, {"c", 1, one}})
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Append(noDeadline(), []Batch{{"c", 2, two}, {"c", 4, four}, {"d", 1, one}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range append(first, second...) {
		got = append(got, fmt.Sprint(r.Position, r.Duplicate, r.Missing, r.Batch != nil))
	}
	want := []string{"1 false 0 true", "2 false 0 true", "0 true 0 false", "0 true 0 false", "3 false 1 true", "4 false 0 true"}
	if !slices.Equal(got, want) {
		t.Errorf("results %q, want %q", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, quiet())
	if r, err := s.Append(noDeadline(), []Batch{{"c", 4, four}}); err != nil || !r[0].Duplicate {
		t.Errorf("Append after reopening = %+v, %v, want a duplicate", r, err)
	}
	if got, want := scanned(t, s), []int64{1, 2, 3, 11, 12, 13, 31, 32, 33, 1, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("pids = %v, want %v", got, want)
	}
	c := s.Collectors()
	if len(c) != 2 || c[0].ID != "c" || c[0].Sequence != 4 || c[0].Batches != 3 || c[0].Missing != 1 || c[0].Rows != 9 {
		t.Errorf("Collectors() = %+v", c)
	}
}

func TestAppendRefusesInvalid(t *testing.T) {
	s := openStore(t, t.TempDir(), quiet())
	good := processEvents(epoch, 1, 1)
	for _, b := range []Batch{
		{"", 1, good},
		{"c", 0, good},
		{"c", 1, nil},
		{"c", 1, good[:len(good)-1]},
		{strings.Repeat("x", 200), 1, good},
		{"c\xff", 1, good},
		{"c", 1, make([]byte, MaxBatchBytes+1)},
	} {
		_, err := s.Append(noDeadline(), []Batch{{"ok", 1, good}, b})
		var invalid *InvalidError
		if !errors.Is(err, ErrInvalid) || !errors.As(err, &invalid) || invalid.Index != 1 {
			t.Errorf("Append(%q, %d, %d bytes) = %v, want ErrInvalid at 1", b.Collector, b.Sequence, len(b.Data), err)
		}
	}
	if n := len(scanned(t, s)); n != 0 {
		t.Errorf("%d rows stored beside invalid batches", n)
	}
}

func TestManyAndLargeBatchesInOneCall(t *testing.T) {
	s := openStore(t, t.TempDir(), quiet())
	large := event.NewBuilder(event.Lookup("scans"))
	for i := range 3 {
		large.Column("error").Text(strings.Repeat(string(rune('a'+i)), 1<<20))
		large.EndRow()
	}
	big := event.Encode(nil, large.Batch())
	small := func() []byte { // stays in the LSM tree
		b := event.NewBuilder(event.Lookup("scans"))
		b.Column("error").Text(strings.Repeat("e", 700))
		b.EndRow()
		return event.Encode(nil, b.Batch())
	}()
	var list []Batch
	for i := range 300 {
		data := small
		if i%100 == 0 {
			data = big
		}
		list = append(list, Batch{fmt.Sprintf("collector-%0100d", i%40), uint64(i + 1), data})
	}
	results, err := s.Append(noDeadline(), list)
	if err != nil {
		t.Fatal(err)
	}
	if got := results[299].Position; got != 300 {
		t.Errorf("last position = %d, want 300", got)
	}
	rows := 0
	if err := s.Batches(noDeadline(), 100, func(p uint64, b *event.Batch) error { rows += b.Rows; return nil }); err != nil {
		t.Fatal(err)
	}
	if want := 198 + 2*3; rows != want {
		t.Errorf("rows after position 100 = %d, want %d", rows, want)
	}
}

func TestScanPrunesAndStops(t *testing.T) {
	s := openStore(t, t.TempDir(), quiet())
	var list []Batch
	for i := range 10 {
		list = append(list, Batch{"c", uint64(i + 1), processEvents(epoch.Add(time.Duration(i)*time.Hour), 100*i, 2)})
	}
	if _, err := s.Append(noDeadline(), list); err != nil {
		t.Fatal(err)
	}
	r := ScanRequest{Table: event.Lookup("process_events"), Columns: []string{"pid"}, From: epoch.Add(3 * time.Hour).UnixMicro(), To: epoch.Add(5 * time.Hour).UnixMicro()}
	var got []uint64
	err := s.Scan(noDeadline(), r, func(p uint64, b *event.Batch) error {
		got = append(got, p)
		if b.Column("name") != nil || b.Column("pid") == nil {
			t.Error("columns other than pid were decoded, or pid was not")
		}
		// An append during a scan neither waits nor shows up.
		_, err := s.Append(noDeadline(), []Batch{{"d", p, processEvents(epoch.Add(4*time.Hour), 5000, 1)}})
		return err
	})
	if err != nil || !slices.Equal(got, []uint64{4, 5}) {
		t.Errorf("Scan yielded %v, %v, want positions 4 and 5", got, err)
	}
	ctx, cancel := context.WithCancel(noDeadline())
	n := 0
	err = s.Scan(ctx, ScanRequest{Table: r.Table}, func(uint64, *event.Batch) error { n++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("cancelled Scan = %v after %d batches", err, n)
	}
	stop := errors.New("enough")
	if err := s.Scan(noDeadline(), ScanRequest{Table: r.Table}, func(uint64, *event.Batch) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Scan = %v, want yield's error", err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, quiet())
	for name, open := range map[string]func(string, Config) (*Store, error){"Open": Open, "OpenReadOnly": OpenReadOnly} {
		_, err := open(dir, quiet())
		if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
			t.Errorf("%s of a store in use = %v, want ErrLocked with directory and pid", name, err)
		}
	}
	if _, err := s.Append(noDeadline(), []Batch{{"c", 1, processEvents(epoch, 1, 3)}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	a, b := openReadOnly(t, dir), openReadOnly(t, dir)
	if got := len(scanned(t, a)) + len(scanned(t, b)); got != 6 {
		t.Errorf("two readers saw %d rows, want 6", got)
	}
	if _, err := a.Append(noDeadline(), []Batch{{"c", 2, processEvents(epoch, 1, 3)}}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Append to a reader = %v, want ErrReadOnly", err)
	}
	if _, err := Open(dir, quiet()); !errors.Is(err, ErrReaders) {
		t.Errorf("Open beside readers = %v, want ErrReaders", err)
	}
	if _, err := OpenReadOnly(filepath.Join(dir, "none"), quiet()); !errors.Is(err, ErrNotExist) {
		t.Errorf("OpenReadOnly of nothing = %v, want ErrNotExist", err)
	}
}

func openReadOnly(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := OpenReadOnly(dir, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestFormat(t *testing.T) {
	dir := t.TempDir()
	if err := openStore(t, dir, quiet()).Close(); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]error{
		"daemoneye store 3\n": ErrVersion, "daemoneye store x": ErrCorrupt, "": ErrCorrupt,
	} {
		if err := os.WriteFile(filepath.Join(dir, formatFile), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, quiet()); !errors.Is(err, want) {
			t.Errorf("Open with FORMAT %q = %v, want %v", text, err, want)
		}
	}
	for path, want := range map[string]os.FileMode{dir: 0o750, filepath.Join(dir, dbDir): 0o750} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&^want != 0 {
			t.Errorf("mode of %s = %v, %v, want at most %v", path, info.Mode().Perm(), err, want)
		}
	}
}

func testAlert(id string, at time.Time) event.Alert {
	return event.Alert{
		ID: id, Time: at, FirstSeen: at, LastSeen: at, RuleID: "r", Severity: "high", Title: "t",
		Tags: []string{"attack.t1059"}, DedupKey: "k" + id, Count: 1, Table: "process_events",
		Row: json.RawMessage(`{"pid": 1}`), Host: "h", Complete: true,
	}
}

func TestAlerts(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, quiet())
	var list []event.Alert
	for i := range 200 {
		list = append(list, testAlert(fmt.Sprintf("a%03d", i), epoch.Add(time.Duration(i)*time.Minute)))
	}
	if err := s.PutAlerts(noDeadline(), list, 7); err != nil {
		t.Fatal(err)
	}
	list[0].Count, list[0].LastSeen = 5, epoch.Add(1000*time.Minute)
	if err := s.PutAlerts(noDeadline(), list[:1], 9); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openReadOnly(t, dir)
	if got := s.MatchedPosition(); got != 9 {
		t.Errorf("MatchedPosition() = %d, want 9", got)
	}
	var ids []string
	err := s.Alerts(noDeadline(), epoch.Add(197*time.Minute).UnixMicro(), epoch.Add(1001*time.Minute).UnixMicro(), func(a event.Alert) error {
		ids = append(ids, a.ID)
		return nil
	})
	if want := []string{"a000", "a199", "a198", "a197"}; err != nil || !slices.Equal(ids, want) {
		t.Errorf("Alerts = %v, %v, want %v", ids, err, want)
	}
	if a, err := s.Alert("a000"); err != nil || a.Count != 5 || !a.Time.Equal(epoch) || string(a.Row) != `{"pid": 1}` {
		t.Errorf("Alert(a000) = %+v, %v", a, err)
	}
	if a, err := s.Alert("a19"); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("Alert(a19) = %v, %v, want ErrAmbiguous", a.ID, err)
	}
	if _, err := s.Alert("b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Alert(b) = %v, want ErrNotFound", err)
	}
	rows := 0
	err = s.Scan(noDeadline(), ScanRequest{Table: event.Lookup("alerts")}, func(_ uint64, b *event.Batch) error { rows += b.Rows; return nil })
	if st, _ := s.Stats(); err != nil || rows != 200 || st.Alerts != 200 {
		t.Errorf("rows of alerts = %d, %v, Stats %d, want 200", rows, err, st.Alerts)
	}
	n := 0
	if err := s.OpenAlerts(noDeadline(), epoch.Add(199*time.Minute), func(event.Alert) error { n++; return nil }); err != nil || n != 2 {
		t.Errorf("OpenAlerts yielded %d, %v, want 2", n, err)
	}
}

func TestRetentionByAgeAndBytes(t *testing.T) {
	dir := t.TempDir()
	now := epoch.Add(48 * time.Hour)
	cfg := quiet()
	cfg.Now = func() time.Time { return now }
	cfg.MaxAge = 24 * time.Hour
	s := openStore(t, dir, cfg)
	if err := s.PutAlerts(noDeadline(), []event.Alert{testAlert("old", epoch), testAlert("new", now)}, 1); err != nil {
		t.Fatal(err)
	}
	for i, at := range []time.Time{epoch, epoch.Add(time.Hour), epoch.Add(48 * time.Hour)} {
		now = at
		if _, err := s.Append(noDeadline(), []Batch{{"c", uint64(i + 1), processEvents(at, 1+10*i, 3)}}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Retain(noDeadline())
	if want := (Deleted{Batches: 2, Rows: 6, Alerts: 1}); err != nil || got != want {
		t.Errorf("Retain() = %+v, %v, want %+v", got, err, want)
	}
	if got, want := scanned(t, s), []int64{21, 22, 23}; !slices.Equal(got, want) {
		t.Errorf("pids = %v, want %v", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// What was deleted is not missing, and the state does not depend on it.
	cfg.MaxAge = -1
	cfg.MaxBytes = 48 << 20
	s = openStore(t, dir, cfg)
	if st, err := s.Stats(); err != nil || st.Damaged != 0 || st.Processes != 9 || st.Rows["process_events"] != 3 || !st.Oldest.Equal(now) {
		t.Errorf("Stats() after reopening = %+v, %v", st, err)
	}
	seq := uint64(3)
	for range 60 {
		var list []Batch
		for range 10 {
			seq++
			list = append(list, Batch{"c", seq, processEvents(now, int(seq)*1000%5000, 1000)})
		}
		if _, err := s.Append(noDeadline(), list); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := s.Stats()
	d, err := s.Retain(noDeadline())
	if err != nil || d.Batches == 0 {
		t.Fatalf("Retain() = %+v, %v", d, err)
	}
	after, _ := s.Stats()
	if before.Bytes < 2*cfg.MaxBytes || after.Bytes > cfg.MaxBytes+2*valueLogSize {
		t.Errorf("bytes on disk %d, after retention %d, want at most about %d", before.Bytes, after.Bytes, cfg.MaxBytes)
	}
	if n := int64(len(scanned(t, s))); n != after.Rows["process_events"] || n == 0 {
		t.Errorf("%d rows left, Stats says %d", n, after.Rows["process_events"])
	}
	t.Logf("%d MB before, %d MB after, deleted %+v", before.Bytes>>20, after.Bytes>>20, d)
}

func TestConcurrentUse(t *testing.T) {
	cfg := quiet()
	cfg.SyncInterval = time.Millisecond
	cfg.MaxProcesses = 50
	s := openStore(t, t.TempDir(), cfg)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 25 {
				if _, err := s.Append(noDeadline(), []Batch{{fmt.Sprint("c", w), uint64(i + 1), processEvents(epoch, 100*w, 20)}}); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				if err := s.Scan(noDeadline(), ScanRequest{Table: event.Lookup("process_events")}, func(uint64, *event.Batch) error { return nil }); err != nil {
					t.Error(err)
				}
				if err := s.Processes(noDeadline(), func(*event.Batch) error { return nil }); err != nil {
					t.Error(err)
				}
				if _, err := s.Retain(noDeadline()); err != nil {
					t.Error(err)
				}
				if _, err := s.Stats(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	st, err := s.Stats()
	if err != nil || st.Rows["process_events"] != 4*25*20 || st.Processes != 50 || st.Excess == 0 {
		t.Errorf("Stats() = %+v, %v", st, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(noDeadline(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Append after Close = %v, want ErrClosed", err)
	}
}
