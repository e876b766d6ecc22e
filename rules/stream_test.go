package rules

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
	"daemoneye/rules/sql/conformance/generator"
)

var (
	streamRules = flag.Int("stream-rules", 1500, "rules that TestStreamIsBatch makes")
	streamSeed  = flag.Int("stream-seed", 1, "of TestStreamIsBatch")
)

// TestStreamIsBatch makes random streaming rules over random rows: what the
// matcher finds, however the rows are cut into batches, is what the query
// gives for them. Where the query fails, the matcher passes over the rows on
// which it does, and over no others.
//
//	go test ./rules -run TestStreamIsBatch -stream-rules N -stream-seed S
func TestStreamIsBatch(t *testing.T) {
	tables := []string{"process_events", "process_samples", "scans", "event_gaps"}
	counts := map[string]int{}
	const perData = 30
	for first := 0; first < *streamRules; first += perData {
		seed := *streamSeed*1_000_003 + first
		batches := generator.Data(seed)
		random := rand.New(rand.NewPCG(uint64(seed), 1))
		for i := range perData {
			table := event.Lookup(tables[max(0, i%8-4)])
			s := generator.Filters(table, batches)(seed + i)
			c := streamCase{t: t, text: s.String(), rows: ofTable(batches, table), random: random, counts: counts}
			what := c.compare()
			counts[what]++
			if what != "differs" {
				continue
			}
			s.Reduce(200, func() bool { c.text = s.String(); return c.compare() == "differs" })
			c.text = s.String()
			c.compare()
			t.Errorf("seed %d, rule %d:\n%s\n%s", *streamSeed, first+i, c.text, c.why)
		}
	}
	t.Log(counts)
	if n := *streamRules; counts["equal"] < n*9/10 || counts["match some rows"] < n/5 || counts["fail on some rows"] < n/100 {
		t.Errorf("%d rules are not the ones to compare: %v", n, counts)
	}
}

// ofTable is the table's rows.
func ofTable(batches []*event.Batch, table *event.Table) []*event.Batch {
	return slices.DeleteFunc(slices.Clone(batches), func(b *event.Batch) bool { return b.Table != table || b.Rows == 0 })
}

// streamCase is one rule and its rows.
type streamCase struct {
	t      *testing.T
	text   string
	rows   []*event.Batch
	random *rand.Rand
	counts map[string]int
	why    string // the stream differs from the batch
}

// compare says "equal", "refused" or "differs".
func (c *streamCase) compare() string {
	set := Load(LoadConfig{}, files("a.sql", ruleText("r", "", c.text)))
	if len(set.Refused) > 0 {
		return "refused"
	}
	if set.Rules[0].Mode != Stream {
		c.why = fmt.Sprintf("the rule has the mode %v", set.Rules[0].Mode)
		return "differs"
	}
	q, err := sql.Compile(c.text, sql.Config{})
	if err != nil {
		c.t.Fatalf("%s\nis a rule but no query: %v", c.text, err)
	}
	var want, output []string // with and without the time of the row
	failing := int64(0)
	for _, b := range c.rows {
		times := b.Column(b.Table.Time)
		for i := range b.Rows {
			list, err := answers(q, memory{pick(b, []int32{int32(i)})})
			if err != nil {
				failing++
				continue
			}
			for _, row := range list {
				want = append(want, time.UnixMicro(times.Ints[i]).UTC().Format(time.RFC3339Nano)+" "+row)
			}
			output = append(output, list...)
		}
	}
	m := NewMatcher(set, MatcherConfig{Share: -1})
	var got []string
	for _, b := range c.cut() {
		for _, match := range m.Match(b, testStart) {
			got = append(got, match.Time.Format(time.RFC3339Nano)+" "+string(match.Row()))
		}
	}
	stats := m.Stats()[0]
	switch {
	case !slices.Equal(got, want):
		c.why = fmt.Sprintf("the matcher finds\n%s\nthe query gives\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		return "differs"
	case stats.Failed != failing || stats.Matched != int64(len(want)):
		c.why = fmt.Sprintf("the matcher counts %d rows that match and %d that fail, want %d and %d", stats.Matched, stats.Failed, len(want), failing)
		return "differs"
	}
	whole, err := answers(q, c.rows)
	slices.Sort(whole)
	slices.Sort(output)
	switch {
	case (err != nil) != (failing > 0):
		c.why = fmt.Sprintf("%d rows fail by themselves, all together: %v", failing, err)
		return "differs"
	case err == nil && !slices.Equal(whole, output):
		c.why = fmt.Sprintf("all rows together give\n%s\neach by itself\n%s", strings.Join(whole, "\n"), strings.Join(output, "\n"))
		return "differs"
	}
	switch {
	case failing > 0:
		c.counts["fail on some rows"]++
	case len(want) > 0:
		c.counts["match some rows"]++
	}
	return "equal"
}

// cut are the rows in batches of other sizes.
func (c *streamCase) cut() []*event.Batch {
	var out []*event.Batch
	for _, b := range c.rows {
		for from := 0; from < b.Rows; {
			to := min(from+1+c.random.IntN(20), b.Rows)
			var rows []int32
			for i := from; i < to; i++ {
				rows = append(rows, int32(i))
			}
			out = append(out, pick(b, rows))
			from = to
		}
	}
	return out
}

// answers are the query's rows as alerts show them.
func answers(q *sql.Query, src memory) (out []string, err error) {
	err = q.Run(context.Background(), src, sql.Options{Now: testStart}, func(rows *sql.Rows) error {
		for at := range rows.Len() {
			row := []byte{'{'}
			for i, column := range q.Columns() {
				if i > 0 {
					row = append(row, ", "...)
				}
				row = append(event.AppendJSONString(row, column.Name), ": "...)
				row = rows.AppendJSON(row, at, i)
			}
			out = append(out, string(event.ShrinkJSON(append(row, '}'), maxRow)))
		}
		return nil
	})
	return out, err
}
