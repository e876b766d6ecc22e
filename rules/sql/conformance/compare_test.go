//go:build unix

package conformance

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"daemoneye/rules/sql/conformance/generator"
)

// verdict is what a comparison of the two answers says.
type verdict string

const (
	agrees    verdict = ""
	refused   verdict = "refused by name"
	timedOut  verdict = "timed out"
	errorHere verdict = "only the engine has an error"
	noError   verdict = "only PostgreSQL has an error"
	otherCode verdict = "the errors are of different classes"
	otherHead verdict = "names or types of the columns differ"
	otherRows verdict = "rows differ"
)

// judge compares the engine's answer with PostgreSQL's. Rows are compared in
// order if the statement determines it; else they are in the same order by the
// columns that it sorts by first, and otherwise the same in any order.
func judge(s *generator.Statement, got, want answer) verdict {
	switch {
	case got.err == "0A000" || got.err == "54000" || got.err == "53200" || strings.Contains(got.message, "is not supported"):
		return refused
	case got.err == timeout || got.err == "57014" || want.err == "57014":
		return timedOut
	case got.err != "" && want.err != "":
		if got.err != want.err && !(runtimeError(got.err) && runtimeError(want.err)) {
			return otherCode
		}
		return agrees
	case got.err != "":
		return errorHere
	case want.err != "":
		return noError
	case got.lines[0] != want.lines[0]:
		return otherHead
	}
	if len(got.rows) != len(want.rows) {
		return otherRows
	}
	tolerances := s.Tolerances()
	equal := func(a, b []string) bool { return equalRows(a, b, tolerances) }
	if s.Ordered() {
		if !slices.EqualFunc(got.rows, want.rows, equal) {
			return otherRows
		}
		return agrees
	}
	for _, k := range s.SortedBy() {
		for i := range got.rows {
			if got.rows[i][k] != want.rows[i][k] {
				return otherRows
			}
		}
	}
	if !slices.EqualFunc(inAnyOrder(got.rows, tolerances), inAnyOrder(want.rows, tolerances), equal) {
		return otherRows
	}
	return agrees
}

// runtimeError reports whether a row's values made the error: data exceptions
// and subqueries with more rows than one.
func runtimeError(code string) bool { return strings.HasPrefix(code, "22") || code == "21000" }

// inAnyOrder sorts by the columns that are compared exactly.
func inAnyOrder(rows [][]string, tolerances []float64) [][]string {
	out := slices.Clone(rows)
	slices.SortFunc(out, func(a, b []string) int {
		for i := range a {
			if i < len(tolerances) && tolerances[i] > 0 {
				continue
			}
			if c := strings.Compare(a[i], b[i]); c != 0 {
				return c
			}
		}
		return slices.Compare(a, b)
	})
	return out
}

func equalRows(a, b []string, tolerances []float64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] == b[i] {
			continue
		}
		if i >= len(tolerances) || tolerances[i] == 0 || !near(a[i], b[i], tolerances[i]) {
			return false
		}
	}
	return true
}

// near compares sums of double precision.
func near(a, b string, tolerance float64) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX != nil || errY != nil {
		return false
	}
	return math.Abs(x-y) <= tolerance*max(math.Abs(x), math.Abs(y))
}

// anyOrder are the constructs that let PostgreSQL's planner, or ours, leave
// out or bring forward the evaluation of an expression that fails: conditions
// that can be moved or reordered, branches with constants, and subqueries and
// joins, whose parts are evaluated only if others have rows. A WHERE with one
// condition is none of them: the select list must not be evaluated for rows
// that it does not keep.
var anyOrder = regexp.MustCompile(`\b(AND|OR|CASE|COALESCE|FILTER|LIMIT|OFFSET|FETCH|JOIN|WITH|EXISTS|HAVING|DISTINCT|IN \(|OVER)\b|\((SELECT|VALUES)|\b(UNION|EXCEPT|INTERSECT)\b|\bt\d+, |NULL::`)

// minMaxOrder is what PostgreSQL has no plan for beside a set-returning function.
var minMaxOrder = regexp.MustCompile(`ORDER BY .*\b(min|max)\(|\b(min|max)\(.*ORDER BY`)

// nullsOfSets is what PostgreSQL 15 turns into IS [NOT] NULL before it looks for
// the grouping expression in it, and then computes from a row of the group
// instead of from the NULL of the grouping set.
var nullsOfSets = regexp.MustCompile(`NOT \(.* IS (NOT )?NULL\).*(ROLLUP|CUBE|GROUPING SETS)`)

// permitted reports whether a run-time error of one engine only is no
// difference: the smallest statement that still shows it has one of anyOrder,
// or no row reaches what is constant here and only stable in PostgreSQL, such
// as array_to_string('{…}', ',').
func permitted(v verdict, got, want answer, reduced string) bool {
	code := got.err + want.err
	if v == errorHere && got.compiling && len(want.rows) == 0 {
		return runtimeError(code)
	}
	if v == noError && strings.HasPrefix(want.message, "set-valued function called in context") {
		return minMaxOrder.MatchString(reduced)
	}
	if v == otherRows && nullsOfSets.MatchString(reduced) {
		return true
	}
	return (v == errorHere || v == noError) && runtimeError(code) && anyOrder.MatchString(reduced)
}

// difference is a failure with all that is needed to look into it.
func difference(v verdict, text string, got, want answer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n> %s\ngot:\n%s", v, text, shown(got))
	fmt.Fprintf(&b, "want:\n%s", shown(want))
	return b.String()
}

// shown is an answer as in testdata, each row once, cut after some.
func shown(a answer) string {
	if a.err != "" {
		return fmt.Sprintf("ERROR %s\n# %s\n", a.err, strings.ReplaceAll(a.message, "\n", "\n# "))
	}
	lines := slices.Clone(a.lines)
	slices.Sort(lines[1:])
	lines = slices.Compact(lines)
	if len(lines) > 25 {
		lines = append(lines[:25], fmt.Sprintf("# and %d more", len(lines)-25))
	}
	return strings.Join(lines, "\n") + "\n"
}
