package rules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"daemoneye/rules/sql"
)

// TestResult is what the fixtures beside one rule showed.
type TestResult struct {
	Rule     *Rule
	File     string // the fixtures, as shown to people
	Untested bool   // there are none
	Err      error  // they could not be read
	Cases    []CaseResult
	Coverage *Coverage // nil: see Cover
}

// CaseResult is the outcome of one case.
type CaseResult struct {
	Name      string
	Want, Got int   // rows that the rule returned
	Err       error // the case could not be run
}

// Passed reports whether the rule did what the case asks.
func (c *CaseResult) Passed() bool { return c.Err == nil && c.Want == c.Got }

// Passed reports whether there are fixtures and all of them passed.
func (r *TestResult) Passed() bool {
	for i := range r.Cases {
		if !r.Cases[i].Passed() {
			return false
		}
	}
	return r.Err == nil && !r.Untested
}

// Test runs the fixtures beside each rule of the set, of disabled rules too.
// now() is the greatest time in a case's rows.
func Test(ctx context.Context, set *Set) []TestResult {
	results := make([]TestResult, len(set.Rules))
	for i, r := range set.Rules {
		results[i] = r.test(ctx)
	}
	return results
}

func (r *Rule) test(ctx context.Context) TestResult {
	result := TestResult{Rule: r}
	if r.source.FS != nil { // else it was made by Parse
		result.File = r.source.display(r.fixture)
	}
	cases, err := r.fixtures()
	if errors.Is(err, fs.ErrNotExist) {
		result.Untested = true
		return result
	}
	if err != nil {
		result.Err = reason(err)
		return result
	}
	for i := range cases {
		c := CaseResult{Name: cases[i].Name, Want: cases[i].want()}
		c.Got, c.Err = r.runCase(ctx, &cases[i])
		result.Cases = append(result.Cases, c)
	}
	return result
}

// fixtures reads the cases beside the rule; fs.ErrNotExist when there are none.
func (r *Rule) fixtures() ([]fixtureCase, error) {
	if r.source.FS == nil {
		return nil, fs.ErrNotExist
	}
	data, err := readFile(r.source.FS, r.fixture, maxFixtureBytes)
	if err != nil {
		return nil, err
	}
	return parseFixtures(data)
}

// caseEvents are the rows of a case, and the time at which it is run.
type caseEvents struct {
	rows *held
	now  time.Time
}

func (r *Rule) events(c *fixtureCase) (*caseEvents, error) {
	if c.Table != "" && !slices.Contains(r.Tables, c.Table) {
		return nil, fmt.Errorf("its rows are of %s, and the rule reads %s", c.Table, strings.Join(r.Tables, ", "))
	}
	batches, err := c.batches(r.Tables, r.source.FS, path.Dir(r.fixture))
	if err != nil {
		return nil, err
	}
	e := &caseEvents{rows: &held{tables: map[string]bool{}, data: map[string][][]byte{}, limit: math.MaxInt}, now: fixtureStart}
	for _, name := range r.Tables {
		e.rows.tables[name] = true
	}
	for _, b := range batches {
		if err := e.rows.add(b); err != nil {
			return nil, err
		}
		if _, greatest, ok := b.TimeRange(); ok && greatest > e.now.UnixMicro() {
			e.now = time.UnixMicro(greatest).UTC()
		}
	}
	return e, nil
}

func (r *Rule) runCase(ctx context.Context, c *fixtureCase) (matched int, err error) {
	e, err := r.events(c)
	if err != nil {
		return 0, err
	}
	list, err := r.runEvents(ctx, e)
	if err == nil {
		err = c.missing(list)
	}
	return len(list), err
}

// runEvents returns what the rule finds in the rows of a case.
func (r *Rule) runEvents(ctx context.Context, e *caseEvents) ([]Match, error) {
	var failed error
	list, _, err := r.run(ctx, e.rows, sql.Options{Now: e.now}, maxCaseRows, func(err error, _ int64, _ time.Time) {
		if failed == nil {
			failed = fmt.Errorf("the rule failed on a row: %w", err)
		}
	})
	if errors.Is(err, errTooMany) {
		err = fmt.Errorf("more than %d matches", maxCaseRows)
	}
	return list, errors.Join(err, failed)
}
