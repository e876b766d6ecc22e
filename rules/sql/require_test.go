package sql

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"daemoneye/bus/event"
)

// show writes a requirement: is, begins, ends, part with * for either case
// and ? where NULL passes.
func (r *Requirement) show(t *event.Table) string {
	if r == nil {
		return "anything"
	}
	var parts []string
	for _, p := range r.Of {
		parts = append(parts, p.show(t))
	}
	switch r.Kind {
	case RequireAll:
		return "all(" + strings.Join(parts, " ") + ")"
	case RequireAny:
		return "any(" + strings.Join(parts, " ") + ")"
	}
	out := t.Columns[r.Column].Name + " " + [...]string{"", "is", "begins", "ends", "part"}[r.Test]
	for _, mark := range []struct {
		set  bool
		text string
	}{{r.Fold, "*"}, {r.Null, "?"}} {
		if mark.set {
			out += mark.text
		}
	}
	if r.Not {
		out = "not " + out
	}
	return out + fmt.Sprintf(" %q", r.Texts)
}

func TestRequires(t *testing.T) {
	table := event.Lookup("process_events")
	for _, c := range []struct{ where, want string }{
		{"name = 'a'", `name is ["a"]`},
		{"'a' = name", `name is ["a"]`},
		{"name IN ('a', 'b')", `name is ["a" "b"]`},
		{"name = 'a' OR name = 'b' OR name LIKE 'c%'", `any(name is ["a" "b"] name begins ["c"])`},
		{"name LIKE 'a%' AND name LIKE '%b' AND name LIKE '%c%'", `all(name begins ["a"] name ends ["b"] name part ["c"])`},
		{"name LIKE 'a%b_c%'", `all(name begins ["a"] name part ["b"] name part ["c"])`},
		{"name LIKE 'a\\%b'", `name is ["a%b"]`},
		{"name LIKE '%'", `anything`},
		{"name LIKE '%x\\'", `anything`},
		{"name ILIKE '%Ab%'", `name part* ["ab"]`},
		{"lower(name) = 'ab'", `name is* ["ab"]`},
		{"upper(name) LIKE '%AB'", `name ends* ["ab"]`},
		{"name LIKE ANY (ARRAY['%a', '%b'])", `name ends ["a" "b"]`},
		{"name LIKE ALL (ARRAY['%a%', '%b%'])", `all(name part ["a"] name part ["b"])`},
		{"name ~ '/(ba|z)?sh$'", `name ends ["/sh" "/bash" "/zsh"]`},
		{"name ~ '^/tmp/'", `name begins ["/tmp/"]`},
		{"name ~ '^(nc|ncat)$'", `name is ["nc" "ncat"]`},
		{"name ~ ' -e +/bin'", `name part ["/bin"]`},
		{"name ~* 'Curl'", `name part* ["curl"]`},
		{"name ~ '.*'", `anything`},
		{"starts_with(name, 'a')", `name begins ["a"]`},
		{"'/usr/bin/sshd' = ANY (ancestors)", `ancestors is ["/usr/bin/sshd"]`},
		{"name = 'a' AND pid = 1", `name is ["a"]`},
		{"name = 'a' OR pid = 1", `anything`},
		{"(name = 'a' AND cwd = 'x') OR (name = 'b' AND pid = 3)", `any(all(name is ["a"] cwd is ["x"]) name is ["b"])`},

		// Negations: what matches the filter is ruled out.
		{"name <> 'a'", `not name is? ["a"]`},
		{"NOT (name LIKE '%a' OR name LIKE '%b')", `not name ends? ["a" "b"]`},
		{"name NOT IN ('a', 'b')", `not name is? ["a" "b"]`},
		{"name NOT LIKE ALL (ARRAY['%a', '%b'])", `not name ends? ["a" "b"]`},
		{"(name LIKE '%a') IS NOT TRUE", `not name ends? ["a"]`},
		{"NOT coalesce(name LIKE '%a', false)", `not name ends? ["a"]`},
		{"coalesce(name, '') NOT LIKE 'a%'", `not name begins? ["a"]`},
		{"coalesce(name, 'ab') NOT LIKE 'a%'", `not name begins ["a"]`},
		{"coalesce(name, 'ab') LIKE 'a%'", `name begins? ["a"]`},
		{"NOT (name = 'a' AND cwd = 'b')", `any(not name is? ["a"] not cwd is? ["b"])`},
		{"name !~ '/sh$'", `not name ends? ["/sh"]`},
		{"name !~ '/sh +x'", `anything`},
		{"NOT name LIKE 'a%b'", `anything`},
		{"lower(name) <> 'Ab'", `anything`},
		{"NOT '/a' = ANY (ancestors)", `not ancestors is? ["/a"]`},

		// What may fail must be computed for each row that got that far.
		{"name = 'a' AND 1 / pid = 1", `name is ["a"]`},
		{"1 / pid = 1 AND name = 'a'", `anything`},
		{"1 / pid = 1 OR name = 'a'", `anything`},
		{"(name = 'a' AND 1 / pid = 1) IS TRUE", `name is? ["a"]`},
		{"NOT (name <> 'a' OR 1 / pid = 1)", `name is? ["a"]`},
		{"pid > 1 AND name = 'a' AND pid % 2 = 0", `name is ["a"]`},

		{"name LIKE NULL", `any()`},
		{"false", `any()`},
	} {
		text := "SELECT pid FROM process_events WHERE " + c.where
		q, err := Compile(text, Config{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := q.Requires("process_events").show(table); got != c.want {
			t.Errorf("%s\nrequires %s, want %s", c.where, got, c.want)
		}
	}
}

// Of a query over history the condition of each scan is required, or of one of them.
func TestRequiresOfScans(t *testing.T) {
	table := event.Lookup("process_events")
	for text, want := range map[string]string{
		"SELECT count(*) FROM process_events WHERE name = 'a' GROUP BY pid":                                    `name is ["a"]`,
		"SELECT 1 FROM process_events a JOIN process_events b USING (pid) WHERE a.name = 'a' AND b.name = 'b'": `name is ["a" "b"]`,
		"SELECT 1 FROM process_events a JOIN process_events b USING (pid) WHERE a.name = 'a'":                  `anything`,
		"SELECT 1 FROM scans": `anything`,
	} {
		q, err := Compile(text, Config{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := q.Requires("process_events").show(table); got != want {
			t.Errorf("%s\nrequires %s, want %s", text, got, want)
		}
	}
}

// A long list is one test.
func TestRequiresLongList(t *testing.T) {
	var list []string
	for i := range 4000 {
		list = append(list, fmt.Sprintf("'%d'", i))
	}
	q, err := Compile("SELECT pid FROM process_events WHERE name IN ("+strings.Join(list, ", ")+")", Config{})
	if err != nil {
		t.Fatal(err)
	}
	if r := q.Requires("process_events"); r.Kind != RequireText || len(r.Texts) != 4000 || !slices.Contains(r.Texts, "3999") {
		t.Errorf("requires %s", r.show(event.Lookup("process_events")))
	}
}

// MatchRows gives of some rows what Match gives of all.
func TestMatchRows(t *testing.T) {
	b := event.NewBuilder(event.Lookup("process_events"))
	for i := range 100 {
		b.Column("time").Time(testTime)
		b.Column("pid").Int(int64(i))
		b.Column("name").Text(fmt.Sprintf("n%d", i%10))
		b.EndRow()
	}
	batch := b.Batch()
	q, err := Compile("SELECT pid * 2 AS twice, name FROM process_events WHERE name LIKE '%3' OR pid < 5", Config{})
	if err != nil {
		t.Fatal(err)
	}
	m := NewMatching(batch, testTime)
	for _, some := range [][]int32{{}, {3}, {1, 7, 33, 50}, sequence(0, 60), nil} {
		rows, out, err := q.MatchRows(m, some)
		if err != nil {
			t.Fatal(err)
		}
		var want []int
		for i := range batch.Rows {
			if (i%10 == 3 || i < 5) && (some == nil || slices.Contains(some, int32(i))) {
				want = append(want, i)
			}
		}
		if !slices.Equal(rows, want) || out.Len() != len(want) {
			t.Fatalf("of rows %v: %v, want %v", some, rows, want)
		}
		for k, i := range rows {
			if got, want := string(out.AppendJSON(nil, k, 0)), fmt.Sprint(2*i); got != want {
				t.Errorf("row %d: %s, want %s", i, got, want)
			}
		}
	}
}
