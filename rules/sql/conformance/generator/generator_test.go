package generator

import (
	"strings"
	"testing"
	"time"

	"daemoneye/bus/event"
)

func TestEqualSeedsGiveEqualStatements(t *testing.T) {
	next, again := Statements(Data(3)), Statements(Data(3))
	different := map[string]bool{}
	for seed := range 200 {
		a, b := next(seed).String(), again(seed).String()
		if a != b {
			t.Errorf("seed %d gives\n%s\nand\n%s", seed, a, b)
		}
		if strings.Contains(a, "\n") {
			t.Errorf("seed %d gives more than one line: %q", seed, a)
		}
		different[a] = true
	}
	if len(different) < 190 {
		t.Errorf("200 seeds give %d statements", len(different))
	}
}

func TestReduceKeepsWhatIsLookedFor(t *testing.T) {
	next := Statements(Data(3))
	reduced := 0
	for seed := range 400 {
		s := next(seed)
		if !strings.Contains(s.String(), " GROUP BY ") {
			continue
		}
		before := len(s.String())
		s.Reduce(500, func() bool { return strings.Contains(s.String(), " GROUP BY ") })
		if text := s.String(); !strings.Contains(text, " GROUP BY ") || strings.Contains(text, "SELECT  FROM") {
			t.Errorf("seed %d is reduced to %s", seed, text)
		}
		if len(s.String()) < before/2 {
			reduced++
		}
	}
	if reduced < 40 {
		t.Errorf("only %d statements became half as long", reduced)
	}
}

func TestData(t *testing.T) {
	rows := map[string]int{}
	for seed := range 20 {
		for _, b := range Data(seed) {
			v := b.Column(b.Table.Time)
			seen := map[int64]bool{}
			for i := range b.Rows {
				if v.IsNull(i) || seen[v.Ints[i]] {
					t.Errorf("%s has a time twice", b.Table.Name)
				}
				seen[v.Ints[i]] = true
			}
			rows[b.Table.Name] += b.Rows
		}
	}
	for _, name := range tableNames {
		if rows[name] < 100 {
			t.Errorf("%s has %d rows in 20 sets", name, rows[name])
		}
	}
}

func TestLiteral(t *testing.T) {
	b := event.NewBuilder(event.Lookup("scans"))
	b.Column("time").Time(time.Date(-43, 3, 15, 0, 0, 0, 0, time.UTC))
	b.Column("source").Text("it's\n")
	b.EndRow()
	batch := b.Batch()
	if got, want := Literal(batch.Column("time"), 0), "'0044-03-15 00:00:00+00 BC'"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := Literal(batch.Column("source"), 0), `E'it''s\n'`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
