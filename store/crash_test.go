package store

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"daemoneye/bus/event"
)

var crashRounds = flag.Int("crash.rounds", 25, "how often TestKilledSealerLosesNothing kills")

// TestMain lets the test binary be the process that is killed: it appends
// batches of one row, pid = sequence, and prints each acknowledged sequence.
// With STORE_TEST_SEAL it seals meanwhile, all the time, and every third batch is
// of another table.
func TestMain(m *testing.M) {
	dir := os.Getenv("STORE_TEST_APPEND")
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := appendForever(dir, os.Getenv("STORE_TEST_SEAL") != ""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func appendForever(dir string, seal bool) error {
	s, err := Open(dir, quiet())
	if err != nil {
		return err
	}
	seq := uint64(0)
	for _, c := range s.Collectors() {
		seq = c.Sequence
	}
	if seal {
		go func() {
			for {
				if _, err := s.SealAll(noDeadline()); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
			}
		}()
	}
	padding := strings.Repeat("p", 1200) // past the threshold: into the value log
	for {
		var list []Batch
		for range 1 + rand.IntN(5) {
			seq++
			if seal && seq%3 == 0 {
				b := event.NewBuilder(event.Lookup("scans"))
				b.Column("time").Time(epoch.Add(-time.Duration(seq)))
				b.Column("processes").Int(int64(seq))
				b.EndRow()
				list = append(list, Batch{"c", seq, event.Encode(nil, b.Batch())})
				continue
			}
			b := event.NewBuilder(event.Lookup("process_events"))
			b.Column("time").Time(epoch)
			b.Column("event").Text("seen")
			b.Column("entity_id").Text(fmt.Sprint("e", seq%100))
			b.Column("pid").Int(int64(seq))
			if seq%2 == 0 {
				b.Column("command_line").Text(padding)
			}
			b.EndRow()
			list = append(list, Batch{"c", seq, event.Encode(nil, b.Batch())})
		}
		if _, err := s.Append(noDeadline(), list); err != nil {
			return err
		}
		fmt.Println(seq)
	}
}

// killAppender runs appendForever, kills it, and returns what it had
// acknowledged last.
func killAppender(t *testing.T, dir string, after time.Duration, env ...string) uint64 {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "STORE_TEST_APPEND="+dir), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	acked := uint64(0)
	if !lines.Scan() {
		t.Fatalf("appender said nothing: %s", stderr.String())
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	for ok := true; ok; ok = lines.Scan() {
		if acked, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
			t.Fatalf("appender said %q", lines.Text())
		}
	}
	_ = cmd.Wait() // killed
	if stderr.Len() > 0 {
		t.Fatalf("appender: %s", stderr.String())
	}
	return acked
}

// checkExactlyOnce verifies that pids 1..n are there once, in order, n ≥ acked.
func checkExactlyOnce(t *testing.T, s *Store, acked uint64) {
	t.Helper()
	pids := scanned(t, s)
	for i, pid := range pids {
		if pid != int64(i+1) {
			t.Fatalf("row %d has pid %d", i+1, pid)
		}
	}
	if uint64(len(pids)) < acked {
		t.Fatalf("%d batches, %d were acknowledged", len(pids), acked)
	}
	if st, err := s.Stats(); err != nil || st.Damaged != 0 || st.Processes != min(100, len(pids)) {
		t.Fatalf("Stats() = %+v, %v", st, err)
	}
}

func TestKilledWriterLosesNothing(t *testing.T) {
	dir := t.TempDir()
	rounds := 20
	if !testing.Short() {
		rounds = 30
	}
	for round := range rounds {
		acked := killAppender(t, dir, time.Duration(rand.IntN(60))*time.Millisecond)
		if round%2 == 0 {
			s := openReadOnly(t, dir)
			checkExactlyOnce(t, s, acked)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s := openStore(t, dir, quiet())
		checkExactlyOnce(t, s, acked)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// However sealing and ingest are killed, each acknowledged row is there once,
// batches and segments together, and no file is left over.
func TestKilledSealerLosesNothing(t *testing.T) {
	dir := t.TempDir()
	sealed := false
	check := func(s *Store, acked uint64) {
		t.Helper()
		pids := scanned(t, s)
		err := s.Scan(noDeadline(), ScanRequest{Table: event.Lookup("scans")}, func(_ uint64, b *event.Batch) error {
			pids = append(pids, b.Column("processes").Ints...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(pids)
		for i, pid := range pids {
			if pid != int64(i+1) {
				t.Fatalf("row %d is of batch %d", i+1, pid)
			}
		}
		if uint64(len(pids)) < acked {
			t.Fatalf("%d batches, %d were acknowledged", len(pids), acked)
		}
		st, err := s.Stats()
		if err != nil || st.Damaged != 0 || st.Quarantined != 0 || st.Position != uint64(len(pids)) || st.Batches != int64(len(pids)) {
			t.Fatalf("Stats() = %+v, %v, want %d batches", st, err, len(pids))
		}
		if len(pids) > 300 && st.Processes != 100 {
			t.Fatalf("%d processes, want 100", st.Processes)
		}
		if s.readOnly {
			return
		}
		files, _ := filepath.Glob(filepath.Join(dir, segmentsDir, "*", "*"))
		segments := int64(0)
		for _, x := range st.Segments {
			segments += x.Segments
			sealed = true
		}
		if int64(len(files)) != segments {
			t.Fatalf("files %v, the catalog has %d segments", files, segments)
		}
	}
	for round := range *crashRounds {
		acked := killAppender(t, dir, time.Duration(rand.IntN(120))*time.Millisecond, "STORE_TEST_SEAL=1")
		if round%4 == 0 {
			s := openReadOnly(t, dir)
			check(s, acked)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s := openStore(t, dir, quiet())
		check(s, acked)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !sealed {
		t.Error("nothing was ever sealed")
	}
}

// filled returns the directory of a closed store with batches in value log,
// tables and snapshot.
func filled(t *testing.T) string {
	dir := t.TempDir()
	s := openStore(t, dir, quiet())
	for i := range 40 {
		if _, err := s.Append(noDeadline(), []Batch{{"c", uint64(i + 1), processEvents(epoch, 100*i, 100)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDamagedFiles(t *testing.T) {
	base := filled(t)
	find := func(dir, pattern string) string {
		names, _ := filepath.Glob(filepath.Join(dir, dbDir, pattern))
		best := ""
		for _, n := range names {
			info, _ := os.Stat(n)
			if old, err := os.Stat(best); err != nil || info.Size() > old.Size() {
				best = n
			}
		}
		if best == "" {
			t.Fatalf("no %s", pattern)
		}
		return best
	}
	for _, c := range []struct {
		name, file string
		damage     func(path string) error
		refused    bool
	}{
		{"manifest missing", "MANIFEST", os.Remove, true},
		{"manifest garbage", "MANIFEST", func(p string) error { return os.WriteFile(p, []byte("garbage garbage garbage"), 0o640) }, true},
		{"manifest empty", "MANIFEST", func(p string) error { return os.Truncate(p, 0) }, true},
		{"table missing", "*.sst", os.Remove, true},
		{"table empty", "*.sst", func(p string) error { return os.Truncate(p, 0) }, true},
		{"table cut", "*.sst", func(p string) error { return os.Truncate(p, 500) }, true},
		{"table flipped", "*.sst", flip, true},
		{"value log flipped", "*.vlog", flip, false},
		{"value log cut", "*.vlog", func(p string) error { return os.Truncate(p, 200_000) }, false},
		{"discard stats cut", "DISCARD", func(p string) error { return os.Truncate(p, 7) }, false},
		{"memtable not set up", "MANIFEST", func(p string) error {
			return os.WriteFile(filepath.Join(filepath.Dir(p), "99999.mem"), nil, 0o640)
		}, false},
		{"value log not set up", "MANIFEST", func(p string) error {
			return os.WriteFile(filepath.Join(filepath.Dir(p), "099999.vlog"), nil, 0o640)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			if err := os.CopyFS(dir, os.DirFS(base)); err != nil {
				t.Fatal(err)
			}
			file := find(dir, c.file)
			if err := c.damage(file); err != nil {
				t.Fatal(err)
			}
			damagesLog := strings.HasPrefix(c.name, "value log f") || c.name == "value log cut"
			reader, err := OpenReadOnly(dir, quiet())
			if err == nil {
				defer func() { _ = reader.Close() }()
				checkDamaged(t, reader, damagesLog)
				if err := reader.Close(); err != nil {
					t.Fatal(err)
				}
			} else if !c.refused {
				t.Fatal(err)
			}
			s, err := Open(dir, quiet())
			if c.refused {
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "backup") || strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
					t.Fatalf("Open() = %v, want ErrCorrupt naming %s and a remedy", err, file)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			checkDamaged(t, s, damagesLog)
			if _, err := s.Append(noDeadline(), []Batch{{"d", 1, processEvents(epoch, 1, 1)}}); err != nil {
				t.Error(err)
			}
		})
	}
}

// checkDamaged verifies that a store made by filled has each row, or knows how
// many are lost.
func checkDamaged(t *testing.T, s *Store, wantDamage bool) {
	t.Helper()
	rows := int64(0)
	err := s.Scan(noDeadline(), ScanRequest{Table: event.Lookup("process_events")}, func(_ uint64, b *event.Batch) error {
		rows += int64(b.Rows)
		return nil
	})
	var d *DamagedError
	if err != nil && !errors.As(err, &d) {
		t.Fatal(err)
	}
	if d != nil {
		rows += d.Rows
	}
	if wantDamage != (d != nil) || rows != 4000 {
		t.Errorf("%d rows read or known to be lost, want 4000; damage %v", rows, d)
	}
}

// flip inverts a byte in the middle of a file's content.
func flip(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[len(bytes.TrimRight(data, "\x00"))/3] ^= 0xff
	return os.WriteFile(path, data, 0o640)
}

func TestDiskFull(t *testing.T) {
	dir := smallDisk(t, "48m")
	cfg := quiet()
	cfg.MinFree = 8 << 20
	s, err := Open(filepath.Join(dir, "store"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 20<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	temp, err := os.Create(filepath.Join(s.TempDir(), "temp"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil && s.TempRoom() > 0 {
		_, err = temp.Write(make([]byte, 4096))
	}
	if err := errors.Join(err, temp.Close()); err != nil {
		t.Fatal(err)
	}
	seq, stored := uint64(0), 0
	for err == nil && seq < 1000 {
		seq++
		if _, err = s.Append(noDeadline(), []Batch{{"c", seq, processEvents(epoch, 1, 1000)}}); err == nil {
			stored += 1000
		}
	}
	if !errors.Is(err, ErrDiskFull) {
		t.Fatalf("Append to a full disk = %v, want ErrDiskFull", err)
	}
	if stored < 5000 {
		t.Errorf("%d rows were stored beside as many temporary files as there may be", stored)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(noDeadline(), []Batch{{"c", seq, processEvents(epoch, 1, 1000)}}); err != nil {
		t.Fatalf("Append with space again = %v", err)
	}
	if got := len(scanned(t, s)); got != stored+1000 {
		t.Errorf("%d rows, want %d", got, stored+1000)
	}
}

// Badger deletes the tables that MANIFEST does not list: one that was cut off,
// wherever, must not cost the history.
func TestManifestCut(t *testing.T) {
	dir := filled(t)
	name := filepath.Join(dir, dbDir, "MANIFEST")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	tables := func() []string {
		list, _ := filepath.Glob(filepath.Join(dir, dbDir, "*.sst"))
		return list
	}
	before := tables()
	if len(before) == 0 {
		t.Fatal("no tables")
	}
	for n := range whole {
		if err := os.WriteFile(name, whole[:n], 0o640); err != nil { // it stays the same file
			t.Fatal(err)
		}
		s, err := Open(dir, quiet())
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") || !slices.Equal(tables(), before) {
			t.Fatalf("Open with %d of %d bytes of MANIFEST = %v, tables %q, want ErrCorrupt and %q", n, len(whole), err, tables(), before)
		}
		if s != nil {
			_ = s.Close()
		}
	}
	if err := os.WriteFile(name, whole, 0o640); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, dir, quiet())
	if got := len(scanned(t, s)); got != 4000 {
		t.Errorf("%d rows, want 4000", got)
	}
}

// smallDisk mounts a file system of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		// Lazily: Badger keeps files of a database that it did not open.
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// On a full disk the store is not opened: Badger would end the process.
func TestOpenOnFullDisk(t *testing.T) {
	disk := smallDisk(t, "48m")
	dir := filepath.Join(disk, "store")
	if err := os.CopyFS(dir, os.DirFS(filled(t))); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(disk, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	_ = f.Close()
	for range 2 {
		if _, err := Open(dir, quiet()); !errors.Is(err, ErrDiskFull) || !strings.Contains(err.Error(), "MiB are free") {
			t.Fatalf("open on a full disk = %v, want ErrDiskFull", err)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	cfg := quiet()
	cfg.MinFree = 1 << 40
	s := openStore(t, dir, cfg)
	if err := s.Space(); !errors.Is(err, ErrDiskFull) || !strings.Contains(err.Error(), "nothing is stored") {
		t.Errorf("Space() = %v, want ErrDiskFull", err)
	}
	if room := s.TempRoom(); room > 0 {
		t.Errorf("TempRoom() = %d where nothing can be stored", room)
	}
	if got := len(scanned(t, s)); got != 4000 {
		t.Errorf("%d rows, want 4000", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Of a store whose writer was killed, on a disk that can not be written to,
// the error says what to do, and not that it is damaged; one that was closed is
// read there.
func TestReadOnlyDisk(t *testing.T) {
	disk := smallDisk(t, "64m")
	s := openStore(t, t.TempDir(), quiet())
	defer func() { _ = s.Close() }()
	if _, err := s.Append(noDeadline(), []Batch{{"c", 1, processEvents(epoch, 1, 1000)}}); err != nil {
		t.Fatal(err)
	}
	killed, closed := filepath.Join(disk, "killed"), filepath.Join(disk, "closed")
	if err := errors.Join(os.CopyFS(killed, os.DirFS(s.dir)), os.CopyFS(closed, os.DirFS(filled(t)))); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "remount,ro", disk).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
	if _, err := OpenReadOnly(killed, quiet()); err == nil || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "it or a copy: ") || !strings.Contains(err.Error(), "read-only file system") {
		t.Errorf("OpenReadOnly() of a killed writer's = %v, want that it or a copy must be opened for writing", err)
	}
	checkDamaged(t, openReadOnly(t, closed), false)
}
