//go:build unix

package conformance

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

var expressions = flag.Int("expressions", 1500, "regular expressions that TestLiveRegexps makes")

// regexpMaker makes small regular expressions and texts of few letters, so
// that there are many ways to match.
type regexpMaker struct{ *rand.Rand }

func (m regexpMaker) pick(list ...string) string { return list[m.IntN(len(list))] }

func (m regexpMaker) atom(depth int) string {
	if depth > 0 && m.IntN(5) < 2 {
		return m.pick("(", "(", "(", "(?:") + m.alternatives(depth-1) + ")"
	}
	switch m.IntN(12) {
	case 0:
		return m.pick(".", ".", `\w`, `\s`, `\d`, `\W`, `\D`, `\S`)
	case 1:
		return m.pick("[ab]", "[^a]", "[b-c]", "[^ab]", `[\w]`, `[^\d]`, "[[:alpha:]]", "[a-]", "[]a]", `[\s\da]`, `[\Wa]`, "[[:space:]x]")
	case 2:
		return m.pick("^", "$", `\m`, `\M`, `\y`, `\Y`, `\A`, `\Z`, "[[:<:]]", "[[:>:]]")
	case 3:
		return m.pick("é", "A", " ", `\n`, `\x61`, `\.`, "1", "_")
	}
	return m.pick("a", "b", "a", "b", "c")
}

func (m regexpMaker) branch(depth int) string {
	var b strings.Builder
	for range 1 + m.IntN(4) {
		a := m.atom(depth)
		b.WriteString(a)
		if m.IntN(2) == 0 && !strings.Contains("^$", a) && (len(a) < 2 || !strings.Contains("mMyYAZ", a[1:2]) || a[0] != '\\') && !strings.HasPrefix(a, "[[:<") && !strings.HasPrefix(a, "[[:>") {
			b.WriteString(m.pick("*", "+", "?", "{2}", "{0,2}", "{1,2}", "{1,}", "{0}", "{1}", "{1,1}", "*", "*"))
			if m.IntN(3) == 0 {
				b.WriteString("?")
			}
		}
	}
	return b.String()
}

func (m regexpMaker) alternatives(depth int) string {
	list := []string{m.branch(depth)}
	for m.IntN(3) == 0 && len(list) < 3 {
		list = append(list, m.branch(depth))
	}
	if m.IntN(25) == 0 {
		list = append(list, "")
	}
	return strings.Join(list, "|")
}

func (m regexpMaker) text() string {
	var b strings.Builder
	for range m.IntN(9) {
		b.WriteString(m.pick("a", "b", "a", "b", "c", " ", "\n", "é", "A", "1", "_"))
	}
	return b.String()
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// TestLiveRegexps asks both engines what random regular expressions find in
// random texts, and what is in their groups.
func TestLiveRegexps(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a PostgreSQL")
	}
	conn := startCluster(t, nil)
	types := typeNames(t, conn)
	m := regexpMaker{rand.New(rand.NewPCG(*seed, 2))}
	refused := 0
	for range *expressions {
		pattern := m.alternatives(3)
		flags := m.pick("", "", "", "i", "n", "p", "w", "in", "x")
		for range 4 {
			s := m.text()
			text := fmt.Sprintf(`SELECT regexp_match(%[1]s, %[2]s, %[3]s), regexp_replace(%[1]s, %[2]s, '<\1|\2|\&>', 'g%[4]s'), regexp_split_to_array(%[1]s, %[2]s, %[3]s), regexp_count(%[1]s, %[2]s, 1, %[3]s), regexp_like(%[1]s, %[2]s, %[3]s), regexp_instr(%[1]s, %[2]s, 2, 2, 1, %[3]s, 1), substring(%[1]s from %[2]s)`,
				quoted(s), quoted(pattern), quoted(flags), flags)
			got := evaluate(nil, text)
			if got.err == "0A000" || got.err == "54000" {
				refused++
				continue
			}
			want := ask(conn, types, text)
			if a, b := got.normalized(""), want.normalized(""); a != b {
				t.Errorf("%s\ngot:\n%s\n%s\nwant:\n%s %s", text, a, got.message, b, want.message)
			}
		}
	}
	t.Logf("%d expressions, %d of %d refused, seed %d", *expressions, refused, 4**expressions, *seed)
}
