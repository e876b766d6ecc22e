package rules

import (
	"context"
	"slices"
	"strings"

	"daemoneye/rules/sql"
)

// Coverage says which conditions of a rule its cases try.
type Coverage struct {
	Conditions []CoveredCondition
	More       int // conditions beyond the limit, which were not tried
}

// CoveredCondition is a condition of a rule's WHERE, ON or HAVING; see
// sql.Conditions. It is tried by running the cases with it always false, and
// always true: where no case finds anything else, no case needs it.
type CoveredCondition struct {
	Text  string
	True  bool // some case finds something else when it is never true
	False bool // some case finds something else when it is never false
}

// Outcomes returns how many outcomes the conditions have, two each, and how
// many of these decide some case.
func (c *Coverage) Outcomes() (covered, all int) {
	for i := range c.Conditions {
		for _, decides := range []bool{c.Conditions[i].True, c.Conditions[i].False} {
			if all++; decides {
				covered++
			}
		}
	}
	return covered, all
}

// maxConditions bounds the conditions of one rule that are tried.
const maxConditions = 200

// Cover finds the coverage of the rules whose cases passed; see Test. The error
// is that of ctx.
func Cover(ctx context.Context, set *Set, results []TestResult) error {
	for i := range results {
		r := &results[i]
		if !r.Passed() {
			continue
		}
		if r.Coverage, r.Err = r.Rule.cover(ctx, set.cfg.SQL); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (r *Rule) cover(ctx context.Context, cfg sql.Config) (*Coverage, error) {
	texts, err := sql.Conditions(r.SQL, cfg)
	if err != nil {
		return nil, err
	}
	cases, err := r.fixtures()
	if err != nil {
		return nil, err
	}
	c := &Coverage{More: max(0, len(texts)-maxConditions)}
	var events []*caseEvents
	var found []string
	for i := range cases {
		e, err := r.events(&cases[i])
		if err != nil {
			return nil, err
		}
		events, found = append(events, e), append(found, r.finds(ctx, e))
	}
	differs := func(condition int, value bool) bool {
		q, err := sql.CompileWith(r.SQL, condition, value, cfg)
		if err != nil {
			return true // the statement is none without it
		}
		other := *r
		other.query, other.active, other.marked = q, nil, nil
		for k, e := range events {
			if other.finds(ctx, e) != found[k] {
				return true
			}
		}
		return false
	}
	for i, text := range texts[:len(texts)-c.More] {
		c.Conditions = append(c.Conditions, CoveredCondition{Text: text, True: differs(i, false), False: differs(i, true)})
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// finds returns what the rule finds in the events of a case, as a text.
func (r *Rule) finds(ctx context.Context, e *caseEvents) string {
	list, err := r.runEvents(ctx, e)
	rows := make([]string, len(list))
	for i := range list {
		rows[i] = string(list[i].output)
	}
	slices.Sort(rows)
	if err != nil {
		rows = append(rows, err.Error())
	}
	return strings.Join(rows, "\n")
}
