package client

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"daemoneye/roles/api"
	"daemoneye/roles/term"
	"daemoneye/rules"
)

// refusals returns one for each problem.
func refusals(set *rules.Set) []api.Refusal {
	list := []api.Refusal{}
	for _, r := range set.Refused {
		for _, p := range r.Problems {
			list = append(list, api.Refusal{File: r.File, Message: p.Error(), Caret: p.Caret()})
		}
	}
	return list
}

// ruleArguments loads the rules that the arguments name.
func (c *call) ruleArguments(builtin bool) (*rules.Set, error) {
	var sources []rules.Source
	if builtin {
		sources = append(sources, rules.Builtin())
	}
	for _, name := range c.Args().Slice() {
		sources = append(sources, rules.Dir(name))
	}
	if c.NArg() == 0 && !c.Bool("builtin") {
		return nil, usage(fmt.Sprintf("see %q", c.Command.HelpName+" --help"), "name the files or directories of rules")
	}
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	return rules.Load(rules.LoadConfig{SQL: sqlConfig(cfg), Packs: anyPack}, sources...), nil
}

// validated loads the rules that the arguments name as an agent of this
// configuration would: after the built-in ones, whose ids are taken. The
// built-in ones themselves are left out of the set. What has expired is of all.
func (c *call) validated() (*rules.Set, []rules.Expired, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, nil, err
	}
	set, err := c.ruleArguments(cfg.Rules.Builtin)
	if err != nil {
		return nil, nil, err
	}
	ours := rules.Builtin().Name
	return &rules.Set{
		Rules:   slices.DeleteFunc(slices.Clone(set.Rules), func(r *rules.Rule) bool { return strings.HasPrefix(r.File, ours) }),
		Refused: slices.DeleteFunc(slices.Clone(set.Refused), func(r *rules.Refusal) bool { return strings.HasPrefix(r.File, ours) }),
		Loaded:  set.Loaded,
	}, set.Expired(time.Now()), nil
}

// finding is what an editor or CI shows at a place of a file.
type finding struct {
	File     string `json:"file"`
	Line     int    `json:"line"`     // 0: the file as a whole
	Column   int    `json:"column"`   // in characters, from 1; 0: the line as a whole
	Severity string `json:"severity"` // error or warning
	Code     string `json:"code"`     // file, header, yaml, lint, or the SQLSTATE of an error in a SELECT
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
}

func findings(set *rules.Set, warnings []ruleWarning) []finding {
	list := []finding{}
	for _, r := range set.Refused {
		for _, p := range r.Problems {
			code := p.Code
			if code == "" {
				code = "file"
			}
			list = append(list, finding{p.File, p.Line, p.Column, "error", code, p.Message, p.Hint})
		}
	}
	for _, w := range warnings {
		list = append(list, finding{File: w.File, Line: w.Line, Severity: "warning", Code: "lint", Message: w.Message})
	}
	return list
}

func rulesValidate(c *call) error {
	asJSON, err := c.wantJSON()
	if err != nil {
		return err
	}
	set, expired, err := c.validated()
	if err != nil {
		return err
	}
	refused := refusals(set)
	warnings, err := c.ruleWarnings(set)
	for _, e := range expired {
		warnings = append(warnings, ruleWarning{e.File, e.What(), e.Line})
	}
	if err != nil {
		return err
	}
	if asJSON {
		valid := []string{}
		for _, r := range set.Rules {
			valid = append(valid, r.File)
		}
		err = writeJSON(c.out, struct {
			Valid    []string      `json:"valid"`
			Refused  []api.Refusal `json:"refused"`
			Warnings []ruleWarning `json:"warnings"`
			Findings []finding     `json:"findings"`
		}{valid, refused, warnings, findings(set, warnings)})
	} else {
		for _, w := range warnings {
			c.warn("%s: warning: %s", w.place(), w.Message)
		}
		var b strings.Builder
		for _, r := range refused {
			writeRefusal(&b, r)
		}
		fmt.Fprintf(&b, "%s, %d refused\n", term.Plural(int64(len(set.Rules)), "valid rule", "valid rules"), len(set.Refused))
		_, err = fmt.Fprint(c.out, b.String())
	}
	switch {
	case err != nil:
		return err
	case len(set.Refused) > 0:
		return ErrNo
	case len(set.Rules) == 0:
		return &Error{Err: errors.New("there is no rule to check"), Hint: "rules are files whose names end in .sql, or in .yml (Sigma)"}
	}
	return nil
}

// testReport is what rules test says of one rule.
type testReport struct {
	Rule     string       `json:"rule_id"`
	File     *string      `json:"file"`   // nil: there are no fixtures
	Passed   *bool        `json:"passed"` // nil: untested
	Untested bool         `json:"untested"`
	Error    string       `json:"error,omitempty"`
	Cases    []caseReport `json:"cases"`

	Matching    int             `json:"matching_cases"`
	NotMatching int             `json:"must_not_match_cases"`
	Coverage    *coverageReport `json:"coverage,omitempty"` // nil: not asked for, or not passed
}

type caseReport struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	Want   int    `json:"want_matches"`
	Got    int    `json:"got_matches"`
	Error  string `json:"error,omitempty"`
}

func rulesTest(c *call) error {
	asJUnit, asJSON := c.String("format") == "junit", false
	var err error
	if !asJUnit {
		if asJSON, err = c.wantJSON(); err != nil {
			return err
		}
	}
	set, err := c.ruleArguments(c.Bool("builtin"))
	if err != nil {
		return err
	}
	progress := term.StartProgress(c.err, "test rules", "rules", 0)
	results := rules.Test(c.ctx, set)
	if c.Bool("coverage") && c.ctx.Err() == nil {
		err = rules.Cover(c.ctx, set, results)
	}
	progress.Stop()
	if err := cmp.Or(c.ctx.Err(), err); err != nil {
		return err
	}
	reports := make([]testReport, len(results))
	bad := len(set.Refused) > 0
	for i := range results {
		reports[i] = reportOf(&results[i])
		bad = bad || !results[i].Passed() && !results[i].Untested
	}
	if asJUnit {
		err = writeJUnit(c.out, reports, set)
	} else if asJSON {
		err = writeJSON(c.out, struct {
			Rules   []testReport  `json:"rules"`
			Refused []api.Refusal `json:"refused"`
		}{reports, refusals(set)})
	} else {
		err = showTests(c.out, reports, set)
	}
	switch {
	case err != nil:
		return err
	case bad:
		return ErrNo
	case len(results) == 0:
		return &Error{Err: errors.New("there is no rule to test"), Hint: "rules are files whose names end in .sql, or in .yml (Sigma)"}
	}
	return nil
}

func reportOf(r *rules.TestResult) testReport {
	report := testReport{Rule: r.Rule.ID, Untested: r.Untested, Cases: []caseReport{}}
	if !r.Untested {
		passed := r.Passed()
		report.File, report.Passed = &r.File, &passed
	}
	if r.Err != nil {
		report.Error = r.Err.Error()
	}
	report.Coverage = coverageOf(r.Coverage)
	for i := range r.Cases {
		k := &r.Cases[i]
		if k.Want > 0 {
			report.Matching++
		} else {
			report.NotMatching++
		}
		one := caseReport{Name: k.Name, Passed: k.Passed(), Want: k.Want, Got: k.Got}
		if k.Err != nil {
			one.Error = k.Err.Error()
		}
		report.Cases = append(report.Cases, one)
	}
	return report
}

func showTests(out *term.Output, reports []testReport, set *rules.Set) error {
	var b strings.Builder
	for _, r := range refusals(set) {
		writeRefusal(&b, r)
	}
	cases, failed, untested := 0, 0, 0
	for _, r := range reports {
		cases += len(r.Cases)
		switch {
		case r.Untested:
			untested++
			fmt.Fprintf(&b, "%s  %s: no fixtures\n", out.Paint(term.Yellow, "untested"), out.Text(r.Rule))
			continue
		case *r.Passed:
			fmt.Fprintf(&b, "%s        %s: %s%s\n", out.Paint(term.Green, "ok"), out.Text(r.Rule), term.Plural(int64(len(r.Cases)), "case", "cases"), r.lacks())
			r.Coverage.write(&b, out)
			continue
		}
		failed++
		fmt.Fprintf(&b, "%s    %s\n", out.Paint(term.BoldRed, "FAILED"), out.Text(r.Rule))
		if r.Error != "" {
			fmt.Fprintf(&b, "          %s: %s\n", out.Text(*r.File), out.Text(r.Error))
		}
		for _, k := range r.Cases {
			switch {
			case k.Error != "":
				fmt.Fprintf(&b, "          %s: %s\n", out.Text(k.Name), out.Text(k.Error))
			case !k.Passed:
				fmt.Fprintf(&b, "          %s: %s, want %d\n", out.Text(k.Name), term.Plural(int64(k.Got), "match", "matches"), k.Want)
			}
		}
	}
	fmt.Fprintf(&b, "%s with %s: %d failed, %d untested, %d refused%s\n", term.Plural(int64(len(reports)), "rule", "rules"),
		term.Plural(int64(cases), "case", "cases"), failed, untested, len(set.Refused), coverageSummary(reports))
	_, err := fmt.Fprint(out, b.String())
	return err
}
