package rules

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParseHeader(t *testing.T) {
	const text = "-- id: a.b-1\r\n" +
		"-- title: A title: with a colon\n" +
		"-- description: first\n--   second\n--\tthird\n" +
		"--\n" +
		"--severity: high\n" +
		"-- tags: attack.T1059.004, attack.defense_evasion, own.tag,\n--   attack.s0002\n" +
		"-- references: https://a.example/1, https://a.example/2\n" +
		"-- dedup: user_id, executable_path\n" +
		"-- window: 1 day 2 hours\n" +
		"-- date: 2026/02/03\n" +
		"-- enabled: false\n" +
		"-- status: test\n" +
		"\n-- free comment\nSELECT 1\n"
	h, body, skipped, problems := parseHeader("f.sql", text)
	for _, p := range problems {
		t.Errorf("problem: %v", p)
	}
	want := Header{
		ID: "a.b-1", Title: "A title: with a colon", Description: "first second third", Severity: "high",
		Tags:       []string{"attack.t1059.004", "attack.defense_evasion", "own.tag", "attack.s0002"},
		References: []string{"https://a.example/1", "https://a.example/2"},
		Dedup:      []string{"user_id", "executable_path"}, Window: 26 * time.Hour, WindowSet: true, Date: "2026-02-03", Status: "test",
	}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("header = %+v, want %+v", h, want)
	}
	if body != "\n-- free comment\nSELECT 1\n" || skipped != strings.Count(text, "\n")-3 {
		t.Errorf("body = %q after %d lines", body, skipped)
	}
}

func TestHeaderDefaults(t *testing.T) {
	h, _, _, problems := parseHeader("f.sql", "-- id: a\n-- title: b\n-- severity: low\nSELECT 1")
	if len(problems) > 0 || h.Window != time.Hour || !h.Enabled || h.Status != "stable" {
		t.Errorf("header = %+v, problems %v; want a window of 1h, enabled, stable", h, problems)
	}
}

// Each error is one line and, below it, the line of the file with a mark.
func TestHeaderProblems(t *testing.T) {
	const start = "-- id: a\n-- title: b\n-- severity: low\n"
	for _, c := range []struct{ text, want string }{
		{"-- id: a\n-- titel: b\n", `f.sql:2:4: unknown key "titel" (did you mean "title"?)
-- titel: b
   ^`},
		{start + "-- zzzzzz: b\n", `f.sql:4:4: unknown key "zzzzzz" (known keys are author, date, dedup, description, enabled, every, falsepositives, id, references, severity, status, tags, title, version, window)
-- zzzzzz: b
   ^`},
		{"-- id: a\n-- severity: hihg\n", `f.sql:2:14: severity: "hihg" is not allowed (did you mean "high"? allowed are low, medium, high, critical)
-- severity: hihg
             ^`},
		{"-- id: A b\n", `f.sql:1:8: id: "A b" is not an id (an id has at most 80 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit)
-- id: A b
       ^`},
		{"SELECT 1", "f.sql:1: the header has no id, no title, no severity (a rule file begins with lines like `-- id: …`)\n"},
		{"-- id: a\n-- title: b\nSELECT 1", "f.sql:1: the header has no severity (a rule file begins with lines like `-- severity: …`)\n"},
		{start + "-- id: c\n", `f.sql:4:4: key "id" was given on line 1 already
-- id: c
   ^`},
		{start + "-- tags: attack.t59\n", `f.sql:4:10: tags: "attack.t59" is neither an ATT&CK id nor a tactic (attack.tNNNN, attack.tNNNN.NNN, attack.sNNNN, attack.gNNNN or attack.<tactic>, such as attack.execution)
-- tags: attack.t59
         ^`},
		{start + "-- tags: attack.persistance\n", `f.sql:4:10: tags: "attack.persistance" is neither an ATT&CK id nor a tactic (did you mean "attack.persistence"?)
-- tags: attack.persistance
         ^`},
		{start + "-- tags: a,,b\n", `f.sql:4:10: tags: an item of the list is empty
-- tags: a,,b
         ^`},
		{start + "-- window: 1 fortnight\n", `f.sql:4:12: window: "1 fortnight" is not a span of time (write it as 90s, 1h30m, 2 hours or 1 day)
-- window: 1 fortnight
           ^`},
		{start + "-- window: 500d\n", `f.sql:4:12: window: 500d is outside 1 second to 90 days
-- window: 500d
           ^`},
		{start + "-- Copyright 2026\n", "f.sql:4:4: not a `key: value` line (continue a value with two blanks after --; put other comments below an empty line after the header)\n-- Copyright 2026\n   ^"},
		{"--   id: a\n" + start, "f.sql:1:6: the header begins with a continuation line (a continued value needs a `-- key: value` line above it)\n--   id: a\n     ^"},
		{start + "-- author:\n", `f.sql:4:4: key "author" has no value
-- author:
   ^`},
		{start + "-- dedup: pid;drop\n", `f.sql:4:11: dedup: "pid;drop" is not a column name (name columns of the result or of the event table, separated by commas)
-- dedup: pid;drop
          ^`},
		{start + "-- date: yesterday\n", `f.sql:4:10: date: "yesterday" is not a date (write it as YYYY-MM-DD)
-- date: yesterday
         ^`},
	} {
		_, _, _, problems := parseHeader("f.sql", c.text)
		if len(problems) != 1 {
			t.Errorf("parseHeader(%q) has problems %v, want one", c.text, problems)
			continue
		}
		if got := problems[0].Error() + "\n" + problems[0].Caret(); got != c.want {
			t.Errorf("parseHeader(%q)\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestAllHeaderProblemsAreReported(t *testing.T) {
	_, _, _, problems := parseHeader("f.sql", "-- id: !\n-- severity: x\n-- nope: y\n")
	if len(problems) != 3 {
		t.Errorf("%d problems %v, want 3", len(problems), problems)
	}
}

func TestCaret(t *testing.T) {
	long := strings.Repeat("x", 500) + "HERE" + strings.Repeat("y", 500)
	got := caret(long, 1, 501)
	line, below, _ := strings.Cut(got, "\n")
	mark := utf8.RuneCountInString(below) - 1
	if n := utf8.RuneCountInString(line); n > caretWidth+2 || !strings.HasPrefix(string([]rune(line)[mark:]), "HERE") {
		t.Errorf("caret of a long line = %q (%d characters)", got, n)
	}
	if got, want := caret("a\tü\x1b[2J b", 1, 9), "a\tü\ufffd[2J b\n \t      ^"; got != want {
		t.Errorf("caret = %q, want %q", got, want)
	}
	for _, c := range []struct{ line, column int }{{0, 1}, {1, 0}, {9, 1}} {
		if got := caret("a\nb", c.line, c.column); got != "" {
			t.Errorf("caret at %d:%d = %q, want nothing", c.line, c.column, got)
		}
	}
	if got := caret("ab", 1, 99); got != "ab\n  ^" {
		t.Errorf("caret behind the end = %q", got)
	}
}

func TestParseWindow(t *testing.T) {
	for _, c := range []struct {
		in   string
		want time.Duration
	}{
		{"90s", 90 * time.Second},
		{"1h30m", 90 * time.Minute},
		{"2 hours", 2 * time.Hour},
		{"1 day 1 min", 24*time.Hour + time.Minute},
		{"2 weeks", 14 * 24 * time.Hour},
		{"10 mins", 10 * time.Minute},
		{"99999 weeks 99999 weeks", maxWindow + 1},
		{"500ms", 0},
		{"", 0},
		{"1", 0},
		{"h", 0},
		{"-1h", 0},
		{"1h30", 0},
		{"1 month", 0},
		{"1ds", 0},
		{"999999999999999999999h", 0},
	} {
		got, err := parseWindow(c.in)
		if got != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("parseWindow(%q) = %v, %v, want %v", c.in, got, err, c.want)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add("-- id: a\n-- title: b\n-- severity: low\n-- window: 1h\n-- tags: attack.t1059\nSELECT 1")
	f.Add("--\n--  \n-- \t:\n--id:\xff\n-- description: a\n--    b")
	f.Add("-- window: 99999999999h9w\r\n--")
	f.Fuzz(func(t *testing.T, text string) {
		h, body, skipped, problems := parseHeader("f", text)
		if !strings.HasSuffix(text, body) || strings.HasPrefix(body, "--") {
			t.Fatalf("body %q is not the rest of the file", body)
		}
		if n := strings.Count(text[:len(text)-len(body)], "\n"); skipped != n && skipped != n+1 {
			t.Fatalf("skipped %d lines, want %d", skipped, n)
		}
		for _, p := range problems {
			if strings.Contains(p.Caret(), "\x1b") || strings.Count(p.Caret(), "\n") > 1 || p.Line > skipped+1 {
				t.Fatalf("problem at line %d: %q", p.Line, p.Caret())
			}
		}
		if len(problems) == 0 && (h.ID == "" || h.Title == "" || h.Severity == "" || h.Window < minWindow || h.Window > maxWindow) {
			t.Fatalf("accepted %+v", h)
		}
	})
}
