package store

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"daemoneye/bus/event"
)

func segmentFiles(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, segmentsDir, "process_events", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no segment files, %v", err)
	}
	return files
}

// copyStore copies a closed store.
func copyStore(t testing.TB, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A damaged or missing segment is told by the scan that meets it, taken out of the
// way, kept for whoever looks into it, and the rest stays readable.
func TestDamagedSegments(t *testing.T) {
	base := t.TempDir()
	if err := sealedStore(t, base, 3).Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		damage func(path string) error
		atOpen bool
		kept   bool // the file is in quarantine
	}{
		{"missing", os.Remove, true, false},
		{"cut", func(p string) error { return os.Truncate(p, 30_000) }, true, true},
		{"empty", func(p string) error { return os.Truncate(p, 0) }, true, true},
		{"a directory", func(p string) error { return errors.Join(os.Remove(p), os.MkdirAll(filepath.Join(p, "within"), 0o750)) }, true, true},
		{"flipped", flip, false, true},
		{"zeros", func(p string) error {
			info, err := os.Stat(p)
			if err != nil {
				return err
			}
			return os.WriteFile(p, make([]byte, info.Size()), 0o640)
		}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyStore(t, base)
			file := segmentFiles(t, dir)[1]
			if err := c.damage(file); err != nil {
				t.Fatal(err)
			}
			ro := openReadOnly(t, dir)
			var damage *DamagedError
			if _, err := scanRows(ro); !errors.As(err, &damage) || damage.Rows != 5000 || damage.Batches != 5 {
				t.Errorf("Scan by a reader = %v, want the damage of 5,000 rows", err)
			}
			if err := ro.Close(); err != nil {
				t.Fatal(err)
			}
			s := openStore(t, dir, quiet())
			rows, err := scanRows(s)
			if c.atOpen != (err == nil) || rows != 10_000 {
				t.Errorf("first scan: %d rows, %v; want 10,000, and damage unless Open has found it", rows, err)
			}
			if rows, err := scanRows(s); err != nil || rows != 10_000 {
				t.Errorf("second scan: %d rows, %v", rows, err)
			}
			select {
			case <-s.Lost():
			default:
				t.Error("Lost has no value")
			}
			checkLoss(t, s, c.kept)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openStore(t, dir, quiet())
			checkLoss(t, s, c.kept)
			if err := s.Reported(noDeadline(), s.Losses()[0].ID); err != nil || len(s.Losses()) != 0 {
				t.Errorf("Reported() = %v, %d losses left", err, len(s.Losses()))
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openStore(t, dir, Config{RetainInterval: -1, SealInterval: -1}) // where it is all too old
			if _, err := s.Retain(noDeadline()); err != nil {
				t.Fatal(err)
			}
			if st, err := s.Stats(); err != nil || st.Quarantined != 0 || st.Rows["process_events"] != 0 {
				t.Errorf("Stats() after retention = %+v, %v", st, err)
			}
			left, _ := filepath.Glob(filepath.Join(dir, segmentsDir, "*", "*"))
			if len(left) > 0 {
				t.Errorf("retention left %v", left)
			}
		})
	}
}

func scanRows(s *Store) (rows int, err error) {
	err = s.Scan(noDeadline(), ScanRequest{Table: event.Lookup("process_events")}, func(_ uint64, b *event.Batch) error {
		rows += b.Rows
		return nil
	})
	return rows, err
}

func checkLoss(t *testing.T, s *Store, kept bool) {
	t.Helper()
	st, err := s.Stats()
	if err != nil || st.Rows["process_events"] != 10_000 || st.Batches != 10 || st.Quarantined != int64(b2i(kept)) {
		t.Errorf("Stats() = %+v, %v", st, err)
	}
	list := s.Losses()
	if len(list) != 1 || list[0].Rows != 5000 || list[0].Table != "process_events" || list[0].From >= list[0].To || list[0].Reason == "" {
		t.Fatalf("Losses() = %+v", list)
	}
	_, err = os.Stat(filepath.Join(s.dir, segmentsDir, quarantineDir, list[0].File))
	if kept && (list[0].File == "" || err != nil) || !kept && list[0].File != "" {
		t.Errorf("the file in quarantine is %q, %v", list[0].File, err)
	}
}

// Whatever bits of a segment change, a scan has all of its rows as they were, or
// none and says so.
func TestFlippedBits(t *testing.T) {
	base := t.TempDir()
	s := sealedStore(t, base, 1)
	want := strings.Join(rowTexts(t, s, ScanRequest{Table: event.Lookup("process_events")}), "\n")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(segmentFiles(t, base)[0])
	if err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for round := range 40 {
		bad := append([]byte(nil), good...)
		bad[rand.IntN(len(bad))] ^= 1 << rand.IntN(8)
		dir := copyStore(t, base)
		if err := os.WriteFile(segmentFiles(t, dir)[0], bad, 0o640); err != nil {
			t.Fatal(err)
		}
		ro := openReadOnly(t, dir)
		var got []string
		err := ro.Scan(noDeadline(), ScanRequest{Table: event.Lookup("process_events")}, func(_ uint64, b *event.Batch) error {
			got = append(got, textsOf(b)...)
			return nil
		})
		if errors.Is(err, ErrCorrupt) && len(got) == 0 {
			damaged++
		} else if err != nil || len(got) != 5000 {
			t.Fatalf("round %d: %d rows, %v", round, len(got), err)
		} else if s := rowTexts(t, ro, ScanRequest{Table: event.Lookup("process_events")}); strings.Join(s, "\n") != want {
			t.Fatalf("round %d: other rows", round)
		}
		if err := ro.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if damaged == 0 {
		t.Error("no flip was noticed")
	}
	t.Logf("%d of 40 flips were in what a scan reads", damaged)
}

// VerifySegments finds also what no scan reads.
func TestVerifySegments(t *testing.T) {
	dir := t.TempDir()
	s := sealedStore(t, dir, 3)
	if right, err := s.VerifySegments(noDeadline()); err != nil || right != 3 {
		t.Fatalf("VerifySegments() = %d, %v", right, err)
	}
	file := segmentFiles(t, dir)[2]
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-5000] ^= 1 // of the footer, or of a bloom filter
	if err := os.WriteFile(file, data, 0o640); err != nil {
		t.Fatal(err)
	}
	if rows, err := scanRows(s); err != nil || rows != 15_000 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	if right, err := s.VerifySegments(noDeadline()); err != nil || right != 2 {
		t.Errorf("VerifySegments() = %d, %v, want 2", right, err)
	}
	if st, err := s.Stats(); err != nil || st.Quarantined != 1 || len(s.Losses()) != 1 {
		t.Errorf("Stats() = %+v, %v", st, err)
	}
}

// What a crash leaves beside the catalog is removed, what is not ours is not.
func TestOrphans(t *testing.T) {
	dir := t.TempDir()
	if err := sealedStore(t, dir, 2).Close(); err != nil {
		t.Fatal(err)
	}
	files := segmentFiles(t, dir)
	table := filepath.Dir(files[0])
	foreign := filepath.Join(table, "notes.txt")
	orphans := []string{filepath.Join(table, newSegmentName(epoch.UnixMicro(), 99)), files[0] + temporaryExt}
	for _, path := range append(orphans, foreign) {
		if err := os.WriteFile(path, []byte("x"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	s := openStore(t, dir, quiet())
	if rows, err := scanRows(s); err != nil || rows != 10_000 {
		t.Errorf("%d rows, %v", rows, err)
	}
	for _, path := range orphans {
		if _, err := os.Stat(path); !isNotExist(err) {
			t.Errorf("%s is still there, %v", path, err)
		}
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error(err)
	}
}

// Without its detail in Badger a segment is read by its footer.
func TestLostDetail(t *testing.T) {
	dir := t.TempDir()
	s := sealedStore(t, dir, 2)
	if err := s.deleteKeys([][]byte{positionKey(detailPrefix, s.segments[0].ID)}); err != nil {
		t.Fatal(err)
	}
	r := ScanRequest{Table: event.Lookup("process_events"), Where: []Condition{{Column: "pid", Op: GreaterOrEqual, Values: []any{int64(0)}}}}
	if got := len(rowTexts(t, s, r)); got != 10_000 {
		t.Errorf("%d rows, want 10,000", got)
	}
}

// A batch that can not be read is lost when its turn to be sealed comes, and
// does not stop the others.
func TestSealLosesDamagedBatch(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, quiet())
	for i := range 3 {
		if _, err := s.Append(noDeadline(), []Batch{{"c", uint64(i + 1), processEvents(epoch, 10*i, 10)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.deleteKeys([][]byte{positionKey(batchPrefix, 2)}); err != nil {
		t.Fatal(err)
	}
	if done, err := s.SealAll(noDeadline()); err != nil || done.Segments != 1 {
		t.Fatalf("SealAll() = %+v, %v", done, err)
	}
	for range 2 {
		list := s.Losses()
		if len(list) != 1 || list[0].Rows != 10 || list[0].File != "" || list[0].From != epoch.UnixMicro() {
			t.Errorf("Losses() = %+v", list)
		}
		if st, err := s.Stats(); err != nil || st.Rows["process_events"] != 20 || st.Batches != 2 {
			t.Errorf("Stats() = %+v, %v", st, err)
		}
		if rows, err := scanRows(s); err != nil || rows != 20 {
			t.Errorf("%d rows, %v", rows, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, dir, quiet())
	}
}

func mountSmall(t *testing.T, dir, size string) {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
}

// A full disk stops sealing and loses nothing; with space it goes on. It shows
// before Badger writes, which could not bear it, or as the file is written.
func TestSealOnFullDisk(t *testing.T) {
	for _, c := range []struct {
		name    string
		minFree int64
		mount   string // below the directory of the store
		size    string
	}{
		{"refused", 8 << 20, "", "64m"},
		{"cut off", -1, filepath.Join(segmentsDir, "process_events"), "300k"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			full := filepath.Join(dir, c.mount)
			if err := os.MkdirAll(full, 0o750); err != nil {
				t.Fatal(err)
			}
			mountSmall(t, full, c.size)
			cfg := quiet()
			cfg.MinFree = c.minFree
			s := openStore(t, dir, cfg)
			for i := range 20 {
				if _, err := s.Append(noDeadline(), []Batch{{"c", uint64(i + 1), processEvents(epoch, 1000*i, 1000)}}); err != nil {
					t.Fatal(err)
				}
			}
			ballast := filepath.Join(full, "ballast")
			free, err := freeSpace(full)
			if err == nil {
				err = os.WriteFile(ballast, make([]byte, min(free*3/4, free-max(0, c.minFree)+1)), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			done, err := s.SealAll(noDeadline())
			if !errors.Is(err, ErrDiskFull) || done.Segments != 0 {
				t.Errorf("SealAll on a full disk = %+v, %v, want ErrDiskFull", done, err)
			}
			if st, err := s.Stats(); err != nil || st.SealError == "" {
				t.Errorf("Stats() = %+v, %v, want the error", st, err)
			}
			if rows, err := scanRows(s); err != nil || rows != 20_000 {
				t.Errorf("%d rows, %v", rows, err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, segmentsDir, "process_events", "*"+temporaryExt)); len(left) > 0 {
				t.Errorf("left %v", left)
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			if done, err := s.SealAll(noDeadline()); c.minFree > 0 && (err != nil || done.Rows != 20_000) {
				t.Errorf("SealAll with space again = %+v, %v", done, err)
			}
			if rows, err := scanRows(s); err != nil || rows != 20_000 {
				t.Errorf("%d rows, %v", rows, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func FuzzCatalog(f *testing.F) {
	dir := f.TempDir()
	s := sealedStore(f, dir, 1)
	f.Add(s.segments[0].encode())
	f.Add((&Loss{Table: "scans", File: "scans." + s.segments[0].Name}).encode())
	f.Add(s.gone.append([]byte{goneVersion}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if x, err := decodeSegment(1, data); err == nil {
			path := s.segmentPath(x)
			if rel, err := filepath.Rel(filepath.Join(s.dir, segmentsDir), path); err != nil || strings.Count(rel, string(filepath.Separator)) != 1 || strings.HasPrefix(rel, ".") {
				t.Errorf("the file of a segment is %s", path)
			}
		}
		if l, err := decodeLoss(1, data); err == nil && strings.ContainsRune(l.File, filepath.Separator) {
			t.Errorf("the file of a loss is %s", l.File)
		}
		d := decoder{data: data}
		d.version(goneVersion)
		if set := d.positions(); d.err == nil {
			again := decoder{data: set.append(nil)}
			if got := again.positions(); again.err != nil || got.count() != set.count() {
				t.Errorf("%+v is read again as %+v, %v", set, got, again.err)
			}
		}
		_, _, _ = decodeDetail(data, event.Lookup("process_events"))
	})
}
