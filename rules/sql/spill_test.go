package sql

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"daemoneye/bus/event"
)

// run gives the rows of a query, sorted, and how many bytes of temporary files
// it wrote; afterwards none are left and nothing is counted as held.
func runSpilling(t *testing.T, text string, src Source, opt Options) (lines []string, spilled int64, err error) {
	t.Helper()
	q, err := Compile(text, Config{})
	if err != nil {
		t.Fatal(err)
	}
	opt.Now = testTime
	x := newEnv(t.Context(), src, opt)
	x.frame = q.frame
	err = q.plan.run(x, func(c *chunk) error {
		for k := range c.len() {
			var line []byte
			for i, v := range c.cols {
				if x := v.at(c.row(k)); x.null {
					line = append(line, "NULL|"...)
				} else {
					line = append(appendOutput(line, q.columns[i].Type, x), '|')
				}
			}
			lines = append(lines, string(line))
		}
		return nil
	})
	if n := x.tempUsed.Load(); n != 0 {
		t.Errorf("%s: %d bytes of temporary files are left", text, n)
	}
	if opt.TempDir != "" {
		if files, _ := os.ReadDir(opt.TempDir); len(files) > 0 {
			t.Errorf("%s: there is still %s", text, files[0].Name())
		}
	}
	slices.Sort(lines)
	for _, t := range x.tallies {
		spilled += t.spilled.Load()
	}
	return lines, spilled, err
}

// threeBatches have 4,000 rows each; pids begin step after those of the one before.
func threeBatches(step int) (batches []*event.Batch) {
	for i := range 3 {
		b := eventBatch(4_000)
		for k := range b.Column("pid").Ints {
			b.Column("pid").Ints[k] = int64(k + step*i)
		}
		batches = append(batches, b)
	}
	return batches
}

// Joins and windows that do not fit into memory give what they give when they do.
func TestSpill(t *testing.T) {
	batches := threeBatches(3_000)
	const events = "(SELECT pid, name, command_line, time, accessible, namespaces, pid::numeric / 7 AS n, CASE WHEN pid % 9 > 0 THEN pid / 2.0::float8 END AS f, ancestors FROM process_events) "
	little := Options{MemoryLimit: 512 << 10, TempDir: t.TempDir()}
	for _, text := range []string{
		"SELECT a.*, b.time FROM " + events + "a JOIN " + events + "b ON a.pid = b.pid + 1",
		"SELECT a.pid, b.name, b.command_line FROM " + events + "a LEFT JOIN " + events + "b ON a.pid = b.pid + 5000 AND b.name <> 'curl'",
		"SELECT a.pid, b.* FROM " + events + "a RIGHT JOIN " + events + "b ON a.pid = b.pid + 5000",
		"SELECT a.pid, a.n, b.pid FROM " + events + "a FULL JOIN " + events + "b ON a.pid = b.pid + 5000 AND a.name = b.name",
		"SELECT count(*), sum(a.pid), min(b.command_line) FROM " + events + "a JOIN " + events + "b ON a.f = b.f",
		"SELECT count(*) FROM " + events + "a FULL JOIN " + events + "b ON a.n = b.n AND a.command_line = b.command_line",
		"SELECT name, row_number() OVER (PARTITION BY pid ORDER BY time, name), lag(n) OVER (PARTITION BY pid ORDER BY time), f, namespaces, ancestors FROM " + events + "e",
		"SELECT pid, avg(f) OVER (PARTITION BY pid / 10, name ORDER BY pid ROWS 2 PRECEDING), accessible FROM " + events + "e",
		"SELECT pid, count(*) OVER (PARTITION BY f) FROM " + events + "e",
	} {
		want, spilled, err := runSpilling(t, text, &memory{batches: batches}, Options{})
		if err != nil || spilled != 0 || len(want) == 0 {
			t.Fatalf("%s: %d rows, %d bytes spilled, %v", text, len(want), spilled, err)
		}
		for name, src := range map[string]Source{"whole": &memory{batches: batches}, "in parts": &inParts{memory{batches: batches}}} {
			opt := little
			opt.Workers = 2
			got, spilled, err := runSpilling(t, text, src, opt)
			if err != nil || spilled == 0 || !slices.Equal(got, want) {
				t.Errorf("%s, %s: %d rows, want %d, %d bytes spilled, %v", text, name, len(got), len(want), spilled, err)
			}
		}
	}
}

// A join keeps only rows that the left side asks for, once there is little
// room: then it fits, and spills nothing.
func TestJoinFilter(t *testing.T) {
	batches := threeBatches(4_000)
	opt := Options{MemoryLimit: 1 << 20, Workers: 2}
	spilling := opt
	spilling.TempDir = t.TempDir()
	for _, text := range []string{
		"SELECT a.pid, b.name, b.command_line, b.namespaces FROM process_events a JOIN process_events b ON a.pid % 50 * 200 = b.pid",
		"SELECT a.pid, b.name, b.ancestors FROM process_events a LEFT JOIN process_events b ON a.pid % 50 * 200 = b.pid AND b.pid > 7 AND a.name = b.name",
		"SELECT a.pid, b.name FROM process_events a JOIN process_events b ON lower((a.pid % 50 * 200)::text) = b.pid::text WHERE a.pid % 3 = 0 AND b.name <> 'x'",
		"SELECT a.name, b.command_line FROM process_events b RIGHT JOIN process_events a ON a.pid % 50 * 200 = b.pid",
	} {
		want, _, err := runSpilling(t, text, &memory{batches: batches}, Options{})
		if err != nil || len(want) == 0 {
			t.Fatalf("%s: %d rows, %v", text, len(want), err)
		}
		for name, src := range map[string]Source{"whole": &memory{batches: batches}, "in parts": &inParts{memory{batches: batches}}} {
			for _, opt := range []Options{opt, spilling} {
				got, spilled, err := runSpilling(t, text, src, opt)
				if err != nil || spilled > 0 || !slices.Equal(got, want) {
					t.Errorf("%s, %s: %d rows, want %d, %d bytes spilled, %v", text, name, len(got), len(want), spilled, err)
				}
			}
		}
	}
}

// EXPLAIN ANALYZE tells what a join did to fit into memory.
func TestExplainTally(t *testing.T) {
	src := &memory{batches: []*event.Batch{eventBatch(12_000)}}
	for text, want := range map[string]string{
		"SELECT a.pid, b.command_line FROM process_events a JOIN process_events b ON a.pid % 50 * 200 = b.pid": "left out of the second: 11950 rows, whose keys the first does not have",
		"SELECT a.pid, b.* FROM process_events a FULL JOIN process_events b ON a.pid = b.pid":                  "temporary files: ",
		"SELECT pid, row_number() OVER (PARTITION BY pid), command_line, time, namespaces FROM process_events": "temporary files: ",
	} {
		q, err := Compile(text, Config{})
		if err != nil {
			t.Fatal(err)
		}
		for _, analyze := range []bool{true, false} {
			n, err := q.Explain(t.Context(), src, Options{Now: testTime, MemoryLimit: 512 << 10, TempDir: t.TempDir()}, analyze)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(n.Text(), "\n"); strings.Contains(got, want) != analyze {
				t.Errorf("analyze %v of %s:\n%s\nwant %q", analyze, text, got, want)
			}
		}
	}
}

// What can not be spilled is an error that names the operator and says why.
func TestSpillErrors(t *testing.T) {
	b := eventBatch(60_000)
	const join = "SELECT count(*) FROM process_events a JOIN process_events b ON a.pid = b.pid"
	for name, c := range map[string]struct {
		text, want string
		opt        Options
	}{
		"nowhere":      {join, "the hash join needs more than the memory limit of 1 MiB", Options{MemoryLimit: 1 << 20}},
		"no keys":      {"SELECT b.pid, b.time, b.command_line, b.namespaces FROM process_events a CROSS JOIN process_events b LIMIT 1", "the nested loop needs more than the memory limit of 1 MiB", Options{TempDir: t.TempDir()}},
		"too much":     {join, "the hash join needs more than 0 MiB of temporary files", Options{TempDir: t.TempDir(), TempLimit: 9999}},
		"no room":      {join, "the hash join needs more temporary files than the disk has room for", Options{TempDir: t.TempDir(), TempRoom: func() int64 { return 1 << 19 }}},
		"no directory": {join, "temporary file of the hash join: ", Options{TempDir: "/nonexistent"}},
		"one value": {
			"SELECT row_number() OVER (PARTITION BY accessible ORDER BY pid) FROM process_events",
			"the window needs more than the memory limit of 1 MiB",
			Options{TempDir: t.TempDir()},
		},
	} {
		c.opt.MemoryLimit = 1 << 20
		_, _, err := runSpilling(t, c.text, &memory{batches: []*event.Batch{b}}, c.opt)
		if e := new(Error); !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Rows come back from a temporary file as they were.
func TestSpillRoundTrip(t *testing.T) {
	types := []Type{Text, Bool, Int4, Int8, Float8, ArrayOf(Text), Numeric, Interval, Inet, JSONB, Bytea, Timestamptz, ArrayOf(Float8)}
	samples := map[Type][]string{
		Numeric: {"0", "1.50", "-NaN", "1e40", "Infinity"}, Interval: {"1 mon -2 days 00:00:00.000001", "-178000000 years", "0"},
		Inet: {"10.0.0.1/8", "::1", "0.0.0.0/0"}, JSONB: {`{"a": [1, "x\u0001", null]}`, `"\\"`}, Bytea: {`\x00ff`, ""},
		ArrayOf(Text): {"{}", `{"a,b",NULL,"NULL",""}`}, ArrayOf(Float8): {"{NaN,-0,1e-300,0.1}"},
	}
	rapid.Check(t, func(t *rapid.T) {
		p := &spillPart{cols: make([]spillColumn, len(types))}
		n := rapid.IntRange(0, 9).Draw(t, "rows")
		in := &chunk{n: n}
		for _, typ := range types {
			if samples[typ] == nil {
				in.cols = append(in.cols, drawColumn(t, typ, n))
				continue
			}
			v := newVector(typ, n)
			for i := range n {
				text := rapid.SampledFrom(append(samples[typ], "NULL")).Draw(t, "text")
				if text == "NULL" {
					v.setNull(i, n)
				} else if y, err := input(typ, strings.Replace(text, "-NaN", "NaN", 1)); err != nil {
					t.Fatal(err)
				} else {
					v.set(i, y, n)
				}
			}
			in.cols = append(in.cols, v)
		}
		p.add(in, in.rows())
		out, err := (&rowReader{p.appendBlock(nil), make([][]string, len(types))}).rows(types)
		if err != nil || out.n != n {
			t.Fatalf("%d rows, want %d: %v", out.n, n, err)
		}
		for k, typ := range types {
			for i := range n {
				a, b := in.cols[k].at(i), out.cols[k].at(i)
				same := a.null == b.null && (a.null || fmt.Sprint(string(appendOutput(nil, typ, a))) == string(appendOutput(nil, typ, b)))
				if typ == Float8 && !a.null {
					same = same && math.Float64bits(a.f) == math.Float64bits(b.f)
				}
				if !same {
					t.Fatalf("%v: %v is %v", typ, output(typ, a), output(typ, b))
				}
			}
		}
	})
}
