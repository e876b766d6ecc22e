package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daemoneye/bus/event"
	"daemoneye/bus/event/eventtest"
	"daemoneye/store/segment"
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

// satisfies is what a Condition means.
func satisfies(c *Condition, v *event.Vector, i int) bool {
	if c.Op == IsNull || c.Op == IsNotNull {
		return v.IsNull(i) == (c.Op == IsNull)
	}
	if v.IsNull(i) {
		return false
	}
	for _, value := range c.Values {
		order := 0
		switch want := value.(type) {
		case int64:
			order = compare(v.Ints[i], want)
		case float64:
			got := 0.0
			if v.Type == event.Float8 {
				got = v.Floats[i]
			} else {
				got = float64(v.Ints[i])
			}
			order = compare(got, want)
		case string:
			order = compare(v.Dict[v.Codes[i]], want)
		case bool:
			order = compare(b2i(v.Bools[i]), b2i(want))
		}
		switch {
		case c.Op == Equal && order == 0, c.Op == Less && order < 0, c.Op == LessOrEqual && order <= 0,
			c.Op == Greater && order > 0, c.Op == GreaterOrEqual && order >= 0:
			return true
		}
	}
	return false
}

func compare[T int64 | float64 | string | byte](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func drawCondition(t *rapid.T, table *event.Table) Condition {
	c := rapid.SampledFrom(table.Columns).Draw(t, "column")
	op := rapid.SampledFrom([]segment.Op{Equal, Equal, Less, LessOrEqual, Greater, GreaterOrEqual, IsNull, IsNotNull}).Draw(t, "op")
	cond := Condition{Column: c.Name, Op: op}
	n := 1
	if op == Equal {
		n = rapid.IntRange(1, 3).Draw(t, "values")
	}
	for range n {
		switch c.Type {
		case event.Bool:
			cond.Values = append(cond.Values, rapid.Bool().Draw(t, "bool"))
		case event.Int4, event.Int8:
			if rapid.Bool().Draw(t, "float") {
				cond.Values = append(cond.Values, float64(rapid.IntRange(-50, 50).Draw(t, "value"))/2)
			} else {
				cond.Values = append(cond.Values, int64(rapid.IntRange(-25, 25).Draw(t, "value")))
			}
		case event.Timestamptz:
			cond.Values = append(cond.Values, int64(rapid.IntRange(-10, 1010).Draw(t, "value"))*1_000_000)
		case event.Float8:
			cond.Values = append(cond.Values, float64(rapid.IntRange(-2, 14).Draw(t, "value"))/4)
		case event.Text:
			cond.Values = append(cond.Values, rapid.SampledFrom([]string{"", "a", "b", "größer", strings.Repeat("日本", 40), strings.Repeat("日本", 39), "zz"}).Draw(t, "value"))
		default: // there is no order
			cond.Op, cond.Values = IsNull, nil
		}
	}
	return cond
}

// matching returns the rows that a scan of r has and that satisfy filter, and
// how many segments it left out.
func matching(t *rapid.T, s *Store, r, filter ScanRequest) (list []string, skipped int64) {
	sc, err := s.Parts(noDeadline(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	for i := range sc.Len() {
		err := sc.Read(noDeadline(), i, func(b *event.Batch) error {
			if err := b.FetchAll(nil); err != nil {
				return err
			}
			at := b.Column(b.Table.Time)
			for i := range b.Rows {
				ok := filter.To == 0 || !at.IsNull(i) && at.Ints[i] >= filter.From && at.Ints[i] < filter.To
				for j := range filter.Where {
					c := &filter.Where[j]
					ok = ok && satisfies(c, b.Column(c.Column), i)
				}
				if ok {
					list = append(list, string(event.AppendJSONRow(nil, b, i)))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list, sc.Skipped().Segments
}

// What conditions and times leave out has no wanted row.
func TestPruningLosesNothing(t *testing.T) {
	cfg, now := quiet(), epoch
	cfg.Now = func() time.Time { return now }
	s := openStore(t, t.TempDir(), cfg)
	seq, pruned := uint64(0), int64(0)
	rapid.Check(t, func(r *rapid.T) {
		// The store fills up with small segments, which do not grow after a day.
		for range rapid.IntRange(0, 3).Draw(r, "batches") {
			seq++
			if _, err := s.Append(noDeadline(), []Batch{{"c", seq, event.Encode(nil, drawBatch(r))}}); err != nil {
				r.Fatal(err)
			}
		}
		if rapid.IntRange(0, 2).Draw(r, "seal") > 0 {
			if _, err := s.SealAll(noDeadline()); err != nil {
				r.Fatal(err)
			}
			now = now.Add(25 * time.Hour)
		}
		req := ScanRequest{Table: rapid.SampledFrom(streamTables()).Draw(r, "table")}
		for range rapid.IntRange(0, 2).Draw(r, "conditions") {
			req.Where = append(req.Where, drawCondition(r, req.Table))
		}
		if rapid.Bool().Draw(r, "times") {
			req.From = int64(rapid.IntRange(1, 1000).Draw(r, "from")) * 1_000_000
			req.To = req.From + int64(rapid.IntRange(1, 300).Draw(r, "span"))*1_000_000
		}
		got, skipped := matching(r, s, req, req)
		pruned += skipped
		if want, _ := matching(r, s, ScanRequest{Table: req.Table}, req); !slices.Equal(got, want) {
			r.Fatalf("%d rows of %s satisfy %+v from %d to %d, a full scan has %d", len(got), req.Table.Name, req.Where, req.From, req.To, len(want))
		}
	})
	if pruned == 0 {
		t.Error("no segment was ever left out")
	}
	t.Logf("%d segments were left out", pruned)
}

// sealedStore returns a store of n segments of 5,000 rows each.
func sealedStore(t testing.TB, dir string, n int) *Store {
	t.Helper()
	cfg := quiet()
	now := epoch
	cfg.Now = func() time.Time { return now }
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
		now = now.Add(25 * time.Hour)
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
	s.cfg.MaxBytes = 1 << 40
	if d, err := s.Retain(noDeadline()); err != nil || d != (Deleted{}) {
		t.Fatalf("Retain() = %+v, %v", d, err)
	}
	if err := s.reclaim(noDeadline()); err != nil { // the space of the sealed batches
		t.Fatal(err)
	}
	st, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	s.cfg.MaxBytes = st.Bytes - st.Segments["process_events"].Bytes/8
	d, err := s.Retain(noDeadline())
	if err != nil || d.Segments < 1 || d.Segments > 6 || d.Rows != 5000*d.Segments {
		t.Fatalf("Retain() = %+v, %v, want some segments gone", d, err)
	}
	after, err := s.Stats()
	if err != nil || after.Bytes > s.cfg.MaxBytes || after.Segments["process_events"].Segments != 8-d.Segments ||
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
}

// A lookup of one process by what has a bloom filter reads one segment; a
// filter on one column decodes no other.
func TestScanReadsLittle(t *testing.T) {
	s := sealedStore(t, t.TempDir(), 8)
	table := event.Lookup("process_events")
	var entity string
	all, err := s.Parts(noDeadline(), ScanRequest{Table: table})
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	if all.Len() != 8 {
		t.Fatalf("%d parts, want 8", all.Len())
	}
	err = all.Read(noDeadline(), 3, func(b *event.Batch) error {
		v, err := b.Load(table.Index("entity_id"))
		entity = v.Text(4)
		for i, c := range b.Columns {
			if c != nil && i != table.Index("entity_id") {
				t.Errorf("column %s was decoded", table.Columns[i].Name)
			}
		}
		again, _ := b.Load(table.Index("entity_id"))
		if &again.Dict[0] != &v.Dict[0] {
			t.Error("the dictionary was read twice")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	few := all.Skipped().BytesRead
	sc, err := s.Parts(noDeadline(), ScanRequest{Table: table, Where: []Condition{{Column: "entity_id", Op: Equal, Values: []any{entity}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	if sc.Len() > 2 || sc.Skipped().Segments != int64(8-sc.Len()) || sc.Skipped().SegmentRows != int64(8-sc.Len())*5000 {
		t.Errorf("%d parts for one entity_id, %+v; want one, or two by accident", sc.Len(), sc.Skipped())
	}
	for i := range sc.Len() {
		if p := sc.Part(i); p.Rows != 5000 || p.Segment == "" {
			t.Errorf("Part(%d) = %+v", i, p)
		}
		if err := sc.Read(noDeadline(), i, func(b *event.Batch) error { return b.FetchAll(nil) }); err != nil {
			t.Fatal(err)
		}
	}
	if whole := sc.Skipped().BytesRead; few == 0 || few*3 > whole*2 {
		t.Errorf("one column is %d bytes, all of a segment %d", few, whole)
	}
}

// While appends, sealing and retention go on, a scan has each row of its
// moment once, and its files stay.
func TestScanIsConsistent(t *testing.T) {
	cfg := quiet()
	var mu sync.Mutex
	now := epoch
	cfg.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	cfg.MaxAge = 40 * time.Hour
	s := openStore(t, t.TempDir(), cfg)
	ctx, stop := context.WithCancel(noDeadline())
	defer stop()
	var wg sync.WaitGroup
	appended := make(chan struct{}, 1)
	wg.Go(func() {
		defer stop()
		for i := range 300 {
			// One batch of each of two tables; pids are consecutive.
			b := event.NewBuilder(event.Lookup("scans"))
			b.Column("processes").Int(int64(i))
			b.EndRow()
			if _, err := s.Append(noDeadline(), []Batch{{"c", uint64(2*i + 1), processEvents(epoch, 10*i, 10)}, {"c", uint64(2*i + 2), event.Encode(nil, b.Batch())}}); err != nil {
				t.Error(err)
			}
			mu.Lock()
			now = now.Add(time.Hour)
			mu.Unlock()
			select {
			case appended <- struct{}{}:
			default:
			}
		}
	})
	wg.Go(func() {
		for ctx.Err() == nil {
			if _, err := s.SealAll(noDeadline()); err != nil {
				t.Error(err)
			}
			if _, err := s.Retain(noDeadline()); err != nil {
				t.Error(err)
			}
		}
	})
	<-appended
	for ctx.Err() == nil && !t.Failed() {
		sc, err := s.Parts(noDeadline(), ScanRequest{Table: event.Lookup("process_events"), Columns: []string{"pid"}, Reuse: true})
		if err != nil {
			t.Fatal(err)
		}
		var got sync.Map
		var readers sync.WaitGroup
		count := make([]int, sc.Len())
		for i := range sc.Len() {
			readers.Go(func() {
				err := sc.Read(noDeadline(), i, func(b *event.Batch) error {
					v, err := b.Load(b.Table.Index("pid"))
					if err != nil {
						return err
					}
					for _, pid := range v.Ints {
						if _, twice := got.LoadOrStore(pid, true); twice {
							t.Errorf("pid %d twice", pid)
						}
						count[i]++
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		readers.Wait()
		if err := sc.Err(); err != nil {
			t.Error(err)
		}
		sc.Close()
		// What is there is without holes, since the oldest go first.
		n, least, greatest := 0, int64(1<<60), int64(-1)
		got.Range(func(pid, _ any) bool {
			n, least, greatest = n+1, min(least, pid.(int64)), max(greatest, pid.(int64))
			return true
		})
		if n > 0 && int64(n) != greatest-least+1 {
			t.Errorf("%d pids from %d to %d", n, least, greatest)
		}
	}
	stop()
	wg.Wait()
	st, err := s.Stats()
	if err != nil || st.Damaged != 0 || st.Sealed.Segments == 0 || st.Deleted.Segments == 0 {
		t.Errorf("Stats() = %+v, %v", st, err)
	}
	files, _ := filepath.Glob(filepath.Join(s.dir, segmentsDir, "*", "*"))
	want := int64(0)
	for _, x := range st.Segments {
		want += x.Segments
	}
	if int64(len(files)) != want {
		t.Errorf("%d files, the catalog has %d segments", len(files), want)
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
