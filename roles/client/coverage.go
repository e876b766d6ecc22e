package client

import (
	"fmt"
	"strings"

	"daemoneye/bus/event"
	"daemoneye/roles/term"
	"daemoneye/rules"
)

// coverageReport is what rules test says of the conditions of one rule.
type coverageReport struct {
	Covered    int               `json:"covered_outcomes"`
	Outcomes   int               `json:"outcomes"` // two of each condition
	Conditions []conditionReport `json:"conditions"`
	More       int               `json:"more_conditions"` // that were not tried
}

type conditionReport struct {
	Text  string `json:"condition"`
	True  bool   `json:"true_decides"`  // some case
	False bool   `json:"false_decides"` // some case
}

// coverageOf returns nil for nil.
func coverageOf(c *rules.Coverage) *coverageReport {
	if c == nil {
		return nil
	}
	r := &coverageReport{Conditions: []conditionReport{}, More: c.More}
	r.Covered, r.Outcomes = c.Outcomes()
	for _, k := range c.Conditions {
		r.Conditions = append(r.Conditions, conditionReport(k))
	}
	return r
}

// lacks says what cases and outcomes a rule lacks that passed.
func (r *testReport) lacks() string {
	text := ""
	switch {
	case r.NotMatching == 0:
		text = ", none that must not match"
	case r.Matching == 0:
		text = ", none that matches"
	}
	if c := r.Coverage; c != nil {
		text += fmt.Sprintf(", %d of %d outcomes", c.Covered, c.Outcomes)
	}
	return text
}

// maxCondition is how many bytes of a condition are shown.
const maxCondition = 200

// write names the conditions of which an outcome is not covered.
func (c *coverageReport) write(b *strings.Builder, out *term.Output) {
	if c == nil {
		return
	}
	for _, k := range c.Conditions {
		which := "that it is true or false"
		switch {
		case k.True && k.False:
			continue
		case k.True:
			which = "that it is false"
		case k.False:
			which = "that it is true"
		}
		fmt.Fprintf(b, "          no case needs %s: %s\n", which, out.Text(event.CutText(k.Text, maxCondition)))
	}
	if c.More > 0 {
		fmt.Fprintf(b, "          %d more conditions were not tried\n", c.More)
	}
}

// coverageSummary is of all rules, "" where it was not asked for.
func coverageSummary(reports []testReport) string {
	covered, all, oneSided := 0, 0, 0
	asked := false
	for i := range reports {
		r := &reports[i]
		if len(r.Cases) > 0 && r.NotMatching == 0 {
			oneSided++
		}
		if c := r.Coverage; c != nil {
			asked = true
			covered, all = covered+c.Covered, all+c.Outcomes
		}
	}
	text := ""
	if oneSided > 0 {
		text = fmt.Sprintf(", %d without a case that must not match", oneSided)
	}
	if asked && all > 0 {
		text += fmt.Sprintf("; %d of %d outcomes of conditions decide a case (%d%%)", covered, all, 100*covered/all)
	}
	return text
}
