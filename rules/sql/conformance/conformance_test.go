//go:build unix

package conformance

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	record    = flag.Bool("record", false, "ask a live PostgreSQL and write its answers to testdata")
	mutations = flag.Int("mutations", 2000, "statements that TestLiveMutations makes")
	seed      = flag.Uint64("seed", 1, "of TestLiveMutations")
)

// A case in testdata is a line that starts with "> " and PostgreSQL's answer
// below it, up to an empty line. Lines that start with # are remarks.
type testCase struct {
	line  int
	sql   string
	lines []string // as answered
	head  []string // remarks above
}

func readCases(t *testing.T, path string) []testCase {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cases []testCase
	var head []string
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for n := 1; in.Scan(); n++ {
		text := in.Text()
		switch {
		case strings.HasPrefix(text, "#"):
			head = append(head, text)
		case strings.HasPrefix(text, "> "):
			cases = append(cases, testCase{line: n, sql: text[2:], head: head})
			head = nil
		case text != "" && len(cases) > 0:
			c := &cases[len(cases)-1]
			c.lines = append(c.lines, text)
		}
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	return cases
}

// files are those of the cases that the engine passes, and pending those about
// parts of the language that it still refuses.
func files(t *testing.T) []string { return glob(t, "testdata/*.txt") }

func pending() []string {
	list, _ := filepath.Glob("testdata/pending/*.txt") // the pattern is right
	return list
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(pattern)
	if err != nil || len(list) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	return list
}

// TestRecorded compares the engine with the answers in testdata.
func TestRecorded(t *testing.T) {
	batches := dataSet()
	if *record {
		recordAll(t)
	}
	count, tooMuch, dir := 0, 0, t.TempDir()
	for _, path := range files(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			for _, c := range readCases(t, path) {
				count++
				if len(c.lines) == 0 {
					t.Errorf("%s:%d: no answer recorded: run with -record", path, c.line)
					continue
				}
				want := strings.Join(c.lines, "\n")
				a := evaluate(batches, c.sql)
				if got := a.normalized(c.sql); got != want {
					t.Errorf("%s:%d: %s\ngot:\n%s\n%s\nwant:\n%s", path, c.line, c.sql, got, a.message, want)
				}
				if got := evaluateParted(batches, c.sql).normalized(c.sql); got != a.normalized(c.sql) {
					t.Errorf("%s:%d: %s\nin parts:\n%s\nas a whole:\n%s", path, c.line, c.sql, got, a.normalized(c.sql))
				}
				switch little := evaluateSpilling(batches, dir, c.sql); {
				case little.err == codeOutOfMemory && a.err != codeOutOfMemory:
					tooMuch++
				case little.normalized(c.sql) != a.normalized(c.sql):
					t.Errorf("%s:%d: %s\nwith little memory:\n%s\n%s\nas a whole:\n%s", path, c.line, c.sql, little.normalized(c.sql), little.message, a.normalized(c.sql))
				}
			}
		})
	}
	t.Logf("%d statements, %d of them need more than little memory", count, tooMuch)
}

const (
	codeSyntax      = "42601"
	codeOutOfMemory = "53200"
)

// TestPending looks at the cases about what the engine refuses by name for now:
// what it does not refuse must be right. A file of which nothing is refused
// belongs among the others.
func TestPending(t *testing.T) {
	batches := dataSet()
	for _, path := range pending() {
		passed, refusals := 0, 0
		for _, c := range readCases(t, path) {
			want := strings.Join(c.lines, "\n")
			a := evaluate(batches, c.sql)
			switch got := a.normalized(c.sql); {
			case a.err == "0A000" && want != "ERROR 0A000" || strings.Contains(a.message, "is not supported"):
				refusals++
			case a.err == codeSyntax && strings.HasPrefix(want, "ERROR"):
				refusals++ // by the parser, which does not tell PostgreSQL's code
			case got != want:
				t.Errorf("%s:%d: %s\ngot:\n%s\n%s\nwant:\n%s", path, c.line, c.sql, got, a.message, want)
			default:
				passed++
			}
		}
		t.Logf("%s: %d pass, %d are refused", path, passed, refusals)
	}
}

func recordAll(t *testing.T) {
	conn := startCluster(t, dataSet())
	types := typeNames(t, conn)
	for _, path := range slices.Concat(files(t), pending()) {
		var b strings.Builder
		for _, c := range readCases(t, path) {
			for _, h := range c.head {
				fmt.Fprintln(&b, h)
			}
			fmt.Fprintf(&b, "> %s\n%s\n\n", c.sql, ask(conn, types, c.sql).normalized(c.sql))
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLive asks a live PostgreSQL every statement of testdata, so that the
// records are known to be its answers.
func TestLive(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a PostgreSQL")
	}
	conn := startCluster(t, dataSet())
	types := typeNames(t, conn)
	for _, path := range slices.Concat(files(t), pending()) {
		for _, c := range readCases(t, path) {
			if got, want := ask(conn, types, c.sql).normalized(c.sql), strings.Join(c.lines, "\n"); got != want {
				t.Errorf("%s:%d: %s\nPostgreSQL says:\n%s\nrecorded:\n%s", path, c.line, c.sql, got, want)
			}
		}
	}
}

// TestDetermined asks PostgreSQL every statement of testdata again, with the rows
// in reverse and other plans: a recorded answer must not depend on either.
func TestDetermined(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a PostgreSQL")
	}
	conn := startCluster(t, nil)
	for _, b := range slices.Backward(dataSet()) {
		loadReversed(t, conn, b)
	}
	types := typeNames(t, conn)
	for _, set := range []string{"enable_hashjoin", "enable_hashagg", "enable_mergejoin"} {
		if _, err := conn.Exec(context.Background(), "SET "+set+" = off"); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range slices.Concat(files(t), pending()) {
		for _, c := range readCases(t, path) {
			if got, want := ask(conn, types, c.sql).normalized(c.sql), strings.Join(c.lines, "\n"); got != want {
				t.Errorf("%s:%d: %s\nwith the rows in reverse PostgreSQL says:\n%s\nrecorded:\n%s", path, c.line, c.sql, got, want)
			}
		}
	}
}

// tokens cuts SQL so that a mutation can put like in place of like.
var tokens = regexp.MustCompile(`[eE]?'(?:[^']|'')*'|[\p{L}_][\p{L}\d_]*|[\d.]+|[-+*/<>=~!@#%^&|?]+|\s+|.`)

func tokenKind(s string) byte {
	switch c := s[0]; {
	case strings.HasSuffix(s, "'") && len(s) > 1:
		return 'l'
	case c >= '0' && c <= '9':
		return 'n'
	case strings.ContainsRune("-+*/<>=~!@#%^&|?", rune(c)):
		return 'o'
	case c == '_' || c >= 'a' && c <= 'z':
		return 'w'
	case c >= 'A' && c <= 'Z':
		return 'k'
	}
	return 0
}

// undetermined are what may give another answer each time, or by the order of
// rows: such statements are left out of the mutations.
var undetermined = regexp.MustCompile(`(?i)\b(limit|offset|fetch|distinct on|rows|row_number|ntile|lag|lead|first_value|last_value|nth_value|string_agg|array_agg|jsonb_agg|jsonb_object_agg|now|current_\w+|localtimestamp|age)\b`)

// lastDigit are functions of double precision whose last digit may differ, or
// depends on the order of the rows: see the differences in docs/sql.md.
var lastDigit = regexp.MustCompile(`(?i)\b(a?sinh|a?cosh|a?tanh|corr|covar_\w+|regr_\w+|stddev\w*|var\w*)\b`)

// TestLiveMutations asks both engines statements in which tokens of one case
// were replaced by those of another: whatever one accepts and the other does
// not refuse by name must agree, rows in any order.
func TestLiveMutations(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a PostgreSQL")
	}
	batches := dataSet()
	conn := startCluster(t, batches)
	types := typeNames(t, conn)
	var list [][]string
	byKind := make(map[byte][]string)
	for _, path := range files(t) {
		for _, c := range readCases(t, path) {
			if undetermined.MatchString(c.sql) || lastDigit.MatchString(c.sql) || len(c.sql) > 400 {
				continue
			}
			words := tokens.FindAllString(c.sql, -1)
			list = append(list, words)
			for _, w := range words {
				byKind[tokenKind(w)] = append(byKind[tokenKind(w)], w)
			}
		}
	}
	random := rand.New(rand.NewPCG(*seed, 1))
	accepted := 0
	for range *mutations {
		words := slices.Clone(list[random.IntN(len(list))])
		for range 1 + random.IntN(2) {
			i := random.IntN(len(words))
			if kind := tokenKind(words[i]); kind != 0 && i > 0 {
				words[i] = byKind[kind][random.IntN(len(byKind[kind]))]
			}
		}
		text := strings.Join(words, "")
		got := evaluate(batches, text)
		if got.err == "0A000" || got.err == "54000" {
			continue
		}
		want := ask(conn, types, text)
		if got.err == "" {
			accepted++
		}
		// Which of several errors comes up first is no difference. The rest is
		// on the list of differences in docs/sql.md: names that only PostgreSQL
		// knows, forms of dates and intervals, wrong patterns that no row reaches, calls that only it finds ambiguous, what only it has not built.
		onlyThere := strings.Contains(got.message, "is not supported") || slices.Contains([]string{"42703", "42704", "22007", "2201B"}, got.err)
		if got.err != "" && (want.err != "" || onlyThere) || want.err == "42725" || want.err == "0A000" {
			continue
		}
		if a, b := got.normalized(""), want.normalized(""); a != b {
			t.Errorf("%s\ngot:\n%s\n%s\nwant:\n%s %s", text, a, got.message, b, want.message)
		}
	}
	t.Logf("%d of %d accepted, seed %d", accepted, *mutations, *seed)
}
