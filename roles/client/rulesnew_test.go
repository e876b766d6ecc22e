package client

import (
	"bytes"
	"encoding/xml"
	"os"
	"path/filepath"
	"testing"

	"daemoneye/rules"
	"daemoneye/rules/sql"
)

func TestSkeletonIsValidAndTested(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"new.sql":       "",
		"new.test.yaml": fixtureSkeleton,
	} {
		if name == "new.sql" {
			text = skeletonText("new")
		}
		if err := writeNew(filepath.Join(dir, name), []byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := writeNew(filepath.Join(dir, name), nil); !os.IsExist(err) {
			t.Errorf("%s was written twice: %v", name, err)
		}
	}
	set := rules.Load(rules.LoadConfig{SQL: sql.Config{}}, rules.Dir(dir))
	for _, r := range set.Refused {
		t.Error(r)
	}
	results := rules.Test(t.Context(), set)
	if len(results) != 1 || !results[0].Passed() || len(results[0].Cases) != 2 {
		t.Errorf("the skeleton's fixtures: %+v", results)
	}
}

func TestJUnit(t *testing.T) {
	file, passed := "r/a\x1b.test.yaml", false
	reports := []testReport{
		{Rule: "a", File: &file, Passed: &passed, Cases: []caseReport{{Name: "one", Passed: true}, {Name: "two\x1b[31m", Want: 1}, {Name: "three", Error: "bad\x00"}}},
		{Rule: "b", Untested: true},
	}
	set := &rules.Set{Refused: []*rules.Refusal{{File: "c.sql", Problems: []*rules.Problem{{File: "c.sql", Line: 1, Message: "no <id>"}}}}}
	var b bytes.Buffer
	if err := writeJUnit(&b, reports, set); err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsAny(b.Bytes(), "\x1b\x00") {
		t.Errorf("control characters in %q", b.String())
	}
	var got junitSuites
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Suites) != 3 || got.Suites[0].Errors != 1 || got.Suites[0].Cases[0].Error.Message != "c.sql:1: no <id>" {
		t.Fatalf("%+v", got.Suites)
	}
	if a := got.Suites[1]; a.Tests != 3 || a.Failures != 1 || a.Errors != 1 || a.Cases[1].Failure.Message != "0 matches, want 1" {
		t.Errorf("suite a: %+v", a)
	}
	if s := got.Suites[2]; s.Skipped != 1 {
		t.Errorf("suite b: %+v", s)
	}
}

func TestFindings(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.sql"), []byte("-- id: a\n-- title: t\n-- severity: none\nSELECT pidd FROM process_events\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	list := findings(rules.Load(rules.LoadConfig{}, rules.Dir(dir)), []ruleWarning{{"b.sql", "odd", 7}})
	if len(list) != 3 {
		t.Fatalf("%+v", list)
	}
	header, query, lint := list[0], list[1], list[2]
	if header.Code != "header" || header.Line != 3 || header.Column != 14 || header.Severity != "error" {
		t.Errorf("header: %+v", header)
	}
	if query.Code != "42703" || query.Line != 4 || query.Column != 8 {
		t.Errorf("query: %+v", query)
	}
	if lint.Severity != "warning" || lint.Code != "lint" || lint.File != "b.sql" || lint.Line != 7 {
		t.Errorf("lint: %+v", lint)
	}
}
