package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"

	"daemoneye/bus/event"
	"daemoneye/bus/event/eventtest"
)

// rowTexts returns the rows that a scan yields, sorted.
func rowTexts(t testing.TB, s *Store, r ScanRequest) []string {
	t.Helper()
	var list []string
	err := s.Scan(noDeadline(), r, func(_ uint64, b *event.Batch) error {
		for i := range b.Rows {
			list = append(list, string(event.AppendJSONRow(nil, b, i)))
		}
		return nil
	})
	if err != nil {
		t.Fatalf("Scan(%s) = %v", r.Table.Name, err)
	}
	slices.Sort(list)
	return list
}

func textsOf(b *event.Batch) (list []string) {
	for i := range b.Rows {
		list = append(list, string(event.AppendJSONRow(nil, b, i)))
	}
	return list
}

func streamTables() (list []*event.Table) {
	for _, t := range event.Tables() {
		if t.Kind == event.Stream {
			list = append(list, t)
		}
	}
	return list
}

// drawBatch makes a few rows of a stream table, of all types, with NULLs.
func drawBatch(t *rapid.T) *event.Batch {
	table := rapid.SampledFrom(streamTables()).Draw(t, "table")
	b := event.NewBuilder(table)
	texts := []string{"", "a", "größer", "/usr/bin/sh", strings.Repeat("日本", 40)}
	for range rapid.IntRange(0, 8).Draw(t, "rows") {
		seed := rapid.IntRange(0, 1<<20).Draw(t, "row")
		for j, c := range table.Columns {
			x := (seed*2654435761 + j*40503) >> 7 & 0xffff
			if x%5 == 0 {
				continue
			}
			column := b.Column(c.Name)
			switch c.Type {
			case event.Bool:
				column.Bool(x%2 == 0)
			case event.Int4, event.Int8:
				column.Int(int64(x%41 - 20))
			case event.Timestamptz:
				column.Micro(int64(seed%1000) * 1_000_000)
			case event.Float8:
				column.Float(float64(x%13) / 4)
			case event.JSONB:
				column.JSON([]byte([]string{`{}`, `{"a": "ü"}`}[x%2]))
			case event.TextArray:
				column.Texts(texts[:x%4])
			default:
				column.Text(texts[x%len(texts)])
			}
		}
		b.EndRow()
	}
	return b.Batch()
}

// Whatever is appended, sealed, and opened anew: a scan has each row once.
func TestSealKeepsRows(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp("", "store")
		if err != nil {
			r.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		cfg := quiet()
		cfg.MinFree = -1
		s, err := Open(dir, cfg)
		if err != nil {
			r.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		want, seq := map[string][]string{}, uint64(0)
		for range rapid.IntRange(1, 8).Draw(r, "steps") {
			switch rapid.IntRange(0, 5).Draw(r, "step") {
			case 0:
				if err := s.Close(); err != nil {
					r.Fatal(err)
				}
				if s, err = Open(dir, cfg); err != nil {
					r.Fatal(err)
				}
			case 1, 2:
				if _, err := s.SealAll(noDeadline()); err != nil {
					r.Fatal(err)
				}
			default:
				for range rapid.IntRange(1, 6).Draw(r, "batches") {
					b := drawBatch(r)
					seq++
					if _, err := s.Append(noDeadline(), []Batch{{"c", seq, event.Encode(nil, b)}}); err != nil {
						r.Fatal(err)
					}
					want[b.Table.Name] = append(want[b.Table.Name], textsOf(b)...)
				}
			}
		}
		st, err := s.Stats()
		if err != nil || st.Damaged != 0 || st.Position != seq {
			r.Fatalf("Stats() = %+v, %v, want position %d and no damage", st, err, seq)
		}
		for _, table := range streamTables() {
			slices.Sort(want[table.Name])
			if got := rowTexts(t, s, ScanRequest{Table: table}); !slices.Equal(got, want[table.Name]) {
				r.Fatalf("%s: %d rows, want %d", table.Name, len(got), len(want[table.Name]))
			}
			if got := st.Rows[table.Name]; got != int64(len(want[table.Name])) {
				r.Fatalf("Stats says %d rows of %s, want %d", got, table.Name, len(want[table.Name]))
			}
		}
	})
}

// sealedStore returns a store of n segments of 5,000 rows each.
func sealedStore(t testing.TB, dir string, n int) *Store {
	t.Helper()
	cfg := quiet()
	var now atomic.Int64 // the store looks at it by itself, too
	now.Store(epoch.UnixNano())
	cfg.Now = func() time.Time { return time.Unix(0, now.Load()) }
	s := openStore(t, dir, cfg)
	g := eventtest.New(eventtest.Config{Rows: 5000 * n})
	seq := uint64(0)
	for range n {
		for range 5 {
			seq++
			if _, err := s.Append(noDeadline(), []Batch{{"c", seq, event.Encode(nil, g.Next())}}); err != nil {
				t.Fatal(err)
			}
		}
		if done, err := s.SealAll(noDeadline()); err != nil || done.Segments != 1 || done.Rows != 5000 {
			t.Fatalf("SealAll() = %+v, %v", done, err)
		}
		now.Add(int64(25 * time.Hour))
	}
	return s
}

// Retention by size deletes segments and batches in the order in which they
// came, and files of segments with them.
func TestRetentionDeletesOldestSegments(t *testing.T) {
	dir := t.TempDir()
	s := sealedStore(t, dir, 8)
	want := rowTexts(t, s, ScanRequest{Table: event.Lookup("process_events")})
	if _, err := s.Append(noDeadline(), []Batch{{"d", 1, processEvents(epoch, 1, 10)}}); err != nil {
		t.Fatal(err)
	}
	st, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.deleteOldest(noDeadline(), math.MinInt64, st.Segments["process_events"].Bytes/4); err != nil {
		t.Fatal(err)
	}
	after, err := s.Stats()
	d := after.Deleted
	if err != nil || d.Segments < 2 || d.Segments > 3 || d.Rows != 5000*d.Segments || after.Segments["process_events"].Segments != 8-d.Segments ||
		after.Rows["process_events"] != int64(len(want))+10-d.Rows || !after.Oldest.After(st.Oldest) {
		t.Errorf("Stats() = %+v, %v, was %+v", after, err, st)
	}
	if files := segmentFiles(t, dir); len(files) != int(8-d.Segments) {
		t.Errorf("files %v", files)
	}
	// The rows that are left are the newest: times rise with the segments.
	if got := rowTexts(t, s, ScanRequest{Table: event.Lookup("process_events"), To: 1 << 62, From: 1}); int64(len(got)) != after.Rows["process_events"] {
		t.Errorf("%d rows left, want %d", len(got), after.Rows["process_events"])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, quiet())
	if again, err := s.Stats(); err != nil || again.Damaged != 0 || again.Batches != after.Batches || again.Rows["process_events"] != after.Rows["process_events"] {
		t.Errorf("Stats() after opening anew = %+v, %v", again, err)
	}
	s.cfg.MaxBytes = 1 // as if other files took all of it
	if d, err := s.Retain(noDeadline()); err != nil || d.Rows != after.Rows["process_events"] {
		t.Errorf("Retain() = %+v, %v, want all rows gone", d, err)
	}
}

// Sealing waits for the rules and the thresholds, and for nothing else.
func TestSealIsDue(t *testing.T) {
	now := epoch
	cfg := quiet()
	cfg.SealUnmatched, cfg.SealRows = false, 250
	cfg.Now = func() time.Time { return now }
	dir := t.TempDir()
	s := openStore(t, dir, cfg)
	for i := range 3 {
		if _, err := s.Append(noDeadline(), []Batch{{"c", uint64(i + 1), processEvents(epoch, 100*i, 100)}}); err != nil {
			t.Fatal(err)
		}
	}
	seal := func(want int64) {
		t.Helper()
		if done, err := s.Seal(noDeadline()); err != nil || done.Rows != want {
			t.Fatalf("Seal() = %+v, %v, want %d rows", done, err, want)
		}
	}
	matched := func(position uint64) {
		t.Helper()
		if err := s.PutAlerts(noDeadline(), nil, position); err != nil {
			t.Fatal(err)
		}
	}
	seal(0)
	matched(2)
	seal(0) // 200 rows
	now = now.Add(9 * time.Minute)
	seal(0)
	now = now.Add(time.Minute)
	seal(200)
	var left []uint64
	if err := s.Batches(noDeadline(), 2, func(p uint64, _ *event.Batch) error { left = append(left, p); return nil }); err != nil || !slices.Equal(left, []uint64{3}) {
		t.Errorf("Batches(2) yields %v, %v, want what the rules have not seen", left, err)
	}
	// The state is that of all batches, also after opening anew.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, cfg)
	st, err := s.Stats()
	if err != nil || st.Processes != 300 || st.Position != 3 || st.Rows["process_events"] != 300 || st.Segments["process_events"].Rows != 200 {
		t.Errorf("Stats() = %+v, %v", st, err)
	}
	matched(3)
	now = now.Add(20 * time.Minute)
	seal(100) // into the segment that is there
	st, err = s.Stats()
	if err != nil || st.Segments["process_events"].Segments != 1 || st.Segments["process_events"].Rows != 300 || st.Batches != 3 {
		t.Errorf("Stats() = %+v, %v, want one segment of 300 rows", st, err)
	}
	if got := len(scanned(t, s)); got != 300 {
		t.Errorf("%d rows, want 300", got)
	}
}

func TestReadersReadSegments(t *testing.T) {
	dir := t.TempDir()
	s := sealedStore(t, dir, 2)
	want := rowTexts(t, s, ScanRequest{Table: event.Lookup("process_events")})
	if _, err := s.Append(noDeadline(), []Batch{{"d", 1, processEvents(epoch, 1, 1)}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ro := openReadOnly(t, dir)
	if got := rowTexts(t, ro, ScanRequest{Table: event.Lookup("process_events")}); len(got) != len(want)+1 {
		t.Errorf("a reader sees %d rows, want %d", len(got), len(want)+1)
	}
	if _, err := ro.Seal(noDeadline()); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Seal of a reader = %v, want ErrReadOnly", err)
	}
}

// A store of format 1, which had a floor and no segments, is read and sealed.
func TestFormerFormat(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, quiet())
	for i := range 6 {
		if _, err := s.Append(noDeadline(), []Batch{{"c", uint64(i + 1), processEvents(epoch, 10*i, 10)}}); err != nil {
			t.Fatal(err)
		}
	}
	// As its retention did: batches 1 and 2 are deleted, the floor is 3.
	if err := errors.Join(s.writeSnapshot(), s.set(floorKey(), []byte{3}),
		s.deleteKeys([][]byte{positionKey(batchPrefix, 1), positionKey(metaPrefix, 1), positionKey(batchPrefix, 2), positionKey(metaPrefix, 2)})); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	format := filepath.Join(dir, formatFile)
	if err := os.WriteFile(format, []byte("daemoneye store 1\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	check := func(s *Store) {
		t.Helper()
		st, err := s.Stats()
		if err != nil || st.Damaged != 0 || st.Rows["process_events"] != 40 || st.Position != 6 || st.Processes != 60 {
			t.Fatalf("Stats() = %+v, %v", st, err)
		}
	}
	ro := openReadOnly(t, dir)
	check(ro)
	if err := ro.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, quiet())
	check(s)
	if done, err := s.SealAll(noDeadline()); err != nil || done.Rows != 40 {
		t.Fatalf("SealAll() = %+v, %v", done, err)
	}
	check(s)
	if text, err := os.ReadFile(format); err != nil || string(text) != fmt.Sprintf("%s %d\n", formatName, formatVersion) {
		t.Errorf("FORMAT is %q, %v", text, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(openStore(t, dir, quiet()))
}

// Who asked is told of each segment, with the hash of the file that is there.
func TestOnSealed(t *testing.T) {
	var told []Segment
	s, err := Open(t.TempDir(), Config{SealUnmatched: true, SealInterval: -1, RetainInterval: -1, OnSealed: func(f Segment) { told = append(told, f) }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := event.NewBuilder(event.Lookup("scans"))
	b.Column("time").Time(time.Now())
	b.Column("collector_id").Text("c")
	b.Column("source").Text("procfs")
	b.EndRow()
	if _, err := s.Append(context.Background(), []Batch{{Collector: "c", Sequence: 1, Data: event.Encode(nil, b.Batch())}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SealAll(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0].Table != "scans" || told[0].Rows != 1 {
		t.Fatalf("OnSealed was told of %+v, want one segment of scans with a row", told)
	}
	data, err := os.ReadFile(filepath.Join(s.Dir(), "segments", told[0].Table, told[0].Name))
	if err != nil {
		t.Fatal(err)
	}
	if sum := blake3.Sum256(data); sum != told[0].Sum {
		t.Errorf("the file has the hash %x, OnSealed was told %x", sum, told[0].Sum)
	}
}
