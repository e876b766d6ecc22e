package store

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daemoneye/bus/event"
	"daemoneye/store/segment"
)

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

// Columns of ScanRequest.Passing are read into the same memory again, others are the caller's.
func TestPassing(t *testing.T) {
	s := sealedStore(t, t.TempDir(), 2)
	table := event.Lookup("process_events")
	sc, err := s.Parts(noDeadline(), ScanRequest{Table: table, Passing: []string{"name"}})
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	var names, users []*event.Vector
	for i := range sc.Len() {
		err := sc.Read(noDeadline(), i, func(b *event.Batch) error {
			name, err := b.Load(table.Index("name"))
			user, err2 := b.Load(table.Index("user_name"))
			names, users = append(names, name), append(users, user)
			return errors.Join(err, err2)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(names) != 2 || &names[0].Dict[0] != &names[1].Dict[0] || &names[0].Codes[0] != &names[1].Codes[0] {
		t.Error("memory of a column that is only looked at was not used again")
	}
	if &users[0].Dict[0] == &users[1].Dict[0] || &users[0].Codes[0] == &users[1].Codes[0] {
		t.Error("memory of a column that is the caller's was used again")
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
