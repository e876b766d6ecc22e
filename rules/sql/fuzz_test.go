package sql

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"daemoneye/bus/event"
)

// statements are those of the conformance tests.
func statements(tb testing.TB) []string {
	paths, err := filepath.Glob("conformance/testdata/*.txt")
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no statements: %v", err)
	}
	var out []string
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			tb.Fatal(err)
		}
		in := bufio.NewScanner(f)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			if text, ok := strings.CutPrefix(in.Text(), "> "); ok {
				out = append(out, text)
			}
		}
		f.Close()
	}
	return out
}

// check runs whatever compiles, within small bounds: there must be no panic,
// and every error must be one of ours with a code.
func checkStatement(t *testing.T, text string, batches []*event.Batch) {
	q, err := Compile(text, Config{Params: map[string]string{"p": "1", "q": "x"}})
	if err == nil {
		// generate_series(1, 1e9) is right, and takes its time.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		err = q.Run(ctx, &memory{batches: batches}, Options{MemoryLimit: 1 << 20}, func(r *Rows) error {
			for i := range r.Len() {
				for k := range r.Columns() {
					r.AppendText(nil, i, k)
					r.AppendJSON(nil, i, k)
				}
			}
			return nil
		})
		if q.Streams() && err == nil {
			for _, b := range batches {
				if b.Table == q.simple.scan.table {
					if _, _, err := q.Match(b, testTime); err != nil {
						t.Fatalf("%q: Run succeeds, Match fails: %v", text, err)
					}
				}
			}
		}
	}
	var e *Error
	if errors.Is(err, context.DeadlineExceeded) {
		return
	}
	if err != nil && (!errors.As(err, &e) || len(e.Code) != 5 || e.Message == "") {
		t.Fatalf("%q: error %#v", text, err)
	}
	if e != nil {
		_ = e.Caret()
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range statements(f) {
		f.Add(s, 0, 0)
	}
	for _, s := range chains() {
		f.Add(s, 0, 0)
	}
	list := statements(f)
	batches := []*event.Batch{eventBatch(7)}
	f.Fuzz(func(t *testing.T, text string, other, cut int) {
		checkStatement(t, text, batches)
		// A mutation that stays near to SQL: a piece of another statement.
		if other != 0 {
			s := list[int(uint(other)%uint(len(list)))]
			words, more := strings.SplitAfter(text, " "), strings.SplitAfter(s, " ")
			i, j := int(uint(cut)%uint(len(words))), int(uint(cut/7)%uint(len(more)))
			checkStatement(t, strings.Join(words[:i], "")+strings.Join(more[j:], ""), batches)
		}
	})
}

// TestMutations replaces words of valid statements by those of others.
func TestMutations(t *testing.T) {
	list := statements(t)
	batches := []*event.Batch{eventBatch(7)}
	seed := uint32(12345)
	next := func(n int) int {
		seed = seed*1664525 + 1013904223
		return int(seed>>8) % n
	}
	for range 4000 {
		words, more := strings.Fields(list[next(len(list))]), strings.Fields(list[next(len(list))])
		words[next(len(words))] = more[next(len(more))]
		if next(2) == 0 {
			words[next(len(words))] = more[next(len(more))]
		}
		checkStatement(t, strings.Join(words, " "), batches)
	}
}

func FuzzRegexp(f *testing.F) {
	for _, s := range []string{"a*b", `^\m[a-z\d]+\M$`, "(?i)[[:alpha:]]{2,3}?", "***=x", `(a|ab)(c|bcd)*?(d*)`, `((a*)|b){0,3}\M`, `\x41[^]b-]`} {
		f.Add(s, "abc")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		for _, fold := range []bool{false, true} {
			re, err := compileRegexp(pattern, fold)
			if err == nil {
				m := &reMachine{text: text}
				match, err := m.find(re, 0, true)
				if err == nil && utf8.ValidString(text) && (match != nil) != re.MatchString(text) {
					t.Fatalf("compileRegexp(%q) in %q: find = %v, MatchString = %t", pattern, text, match, match == nil)
				}
			} else if e := new(Error); !errors.As(err, &e) {
				t.Fatalf("compileRegexp(%q) = %#v", pattern, err)
			}
		}
	})
}

// FuzzFormats gives any text to what reads formats, patterns and escapes.
func FuzzFormats(f *testing.F) {
	for _, s := range []string{"YYYY-MM-DD HH24:MI:SS.US TZH:TZM", `FMDay "x\"y" TMMonth DDth J`, "FM999,990.99S", "9.99EEEE", "0V9PR th", "%1$-10s %*L %%", `a%_#"b#"[^]c]`, `\0061\+000061`, "2024-03-01 10:00 PM"} {
		f.Add(s, "2024-03-01 20:38:40")
	}
	f.Fuzz(func(t *testing.T, format, text string) {
		check := func(err error) {
			if e := new(Error); err != nil && !errors.As(err, &e) {
				t.Fatalf("%q, %q: %#v", format, text, err)
			}
		}
		nodes := parseFormat(format, timeFields, true)
		for _, b := range []brokenTime{breakTime(0, "UTC"), breakTime(minTimestamp, ""), breakTime(maxTimestamp, ""), breakInterval(interval{months: -1 << 31, days: 1<<31 - 1, us: -1 << 63})} {
			_, err := formatTime(nodes, b)
			check(err)
		}
		if nodes, err := parseTimeFormat(format); err == nil {
			_, err = scanTime(nodes, text, Timestamptz)
			check(err)
			_, err = scanTime(nodes, text, Date)
			check(err)
		}
		if n, err := parseNumberFormat(format); err == nil && len(format) < 1000 {
			for _, x := range []*numeric{numericInt(0), scaled(-123456789, 4), {kind: notANumber}, {kind: negInfinity}} {
				_, err = n.numeric(x)
				check(err)
			}
			_, err = n.float(-1.5e20)
			check(err)
		}
		_, err := formatText(format, []Type{Text, Int4}, []value{textValue(text), intValue(-3)})
		check(err)
		for _, name := range []string{"hex", "base64", "escape"} {
			_, err = decode(text, name)
			check(err)
		}
		_, err = unistr(text)
		check(err)
		_, err = findZone(text)
		check(err)
		if p, err := similarPattern(format, "#"); err == nil {
			if re, err := compileRegex(p, regexOptions{advanced: true}); err == nil {
				v, err := regexReplace(nil, re, text, format, 1, 0)
				check(err)
				_ = v
			}
		}
	})
}

// FuzzInput: what a type reads, it shows in a form that it reads as the same.
func FuzzInput(f *testing.F) {
	for _, s := range []string{"1", "1.5e3", "t", "2024-03-01 12:00:00.5+02", "1 year -2 days 03:04:05.6", `{"a":[1,null]}`, `{a,"b c",NULL}`, "NaN", "0044-03-15 BC", `\x00ff`, `a\\\001`, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "10.1/16", "::ffff:10.0.0.1/96", "1::2", "04:05:06.7 pm"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for ty := Bool; ty < lastType; ty++ {
			for _, ty := range []Type{ty, ArrayOf(ty)} {
				v, err := input(ty, s)
				if err != nil {
					continue
				}
				text := output(ty, v)
				w, err := input(ty, text)
				if err != nil {
					t.Fatalf("%v reads %q, shows %q, and does not read that: %v", ty, s, text, err)
				}
				if again := output(ty, w); again != text {
					t.Fatalf("%v shows %q, reads that and shows %q", ty, text, again)
				}
			}
		}
	})
}
