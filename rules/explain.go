package rules

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// Explanation says when a rule runs, what it sees, and how.
type Explanation struct {
	Rule   string  `json:"rule_id"`
	Mode   string  `json:"mode"`
	Runs   string  `json:"runs"`   // for people
	Tables []Reach `json:"tables"` // that it reads
	// Triggers are the conditions on new rows that make a rule over history
	// run, one for each table.
	Triggers []Trigger     `json:"triggers"`
	Plan     *sql.PlanNode `json:"plan"`
}

// Reach is how far back a rule sees a table.
type Reach struct {
	Table  string  `json:"table"`
	Window string  `json:"window"`  // what bounds it: header, default or select; none: it sees all
	Since  float64 `json:"since_s"` // s before the run; 0: there is no bound
	Text   string  `json:"-"`       // for people
}

// Trigger is which new rows of a table make a rule over history run.
type Trigger struct {
	Table     string `json:"table"`
	Condition string `json:"condition"` // "": all
}

// Explain describes the rule as a Matcher of cfg would run it over src, with
// the plan as sql.Query.Explain has it. The plan of a Stream rule is that of
// a run over all of src.
func (r *Rule) Explain(ctx context.Context, src sql.Source, opt sql.Options, cfg MatcherConfig, analyze bool) (*Explanation, error) {
	if opt.Now.IsZero() {
		opt.Now = time.Now()
	}
	x := &Explanation{Rule: r.ID, Mode: r.Mode.String(), Runs: r.schedule(cfg.withDefaults())}
	x.Triggers = []Trigger{}
	for _, table := range r.Tables {
		x.Tables = append(x.Tables, r.reach(table, opt.Now))
		if r.Mode == History {
			x.Triggers = append(x.Triggers, Trigger{table, r.query.Trigger(table).String()})
		}
	}
	var err error
	x.Plan, err = r.query.Explain(ctx, r.Windowed(src, opt.Now), opt, analyze)
	return x, err
}

func (r *Rule) schedule(cfg MatcherConfig) string {
	bound := fmt.Sprintf("for %v at most", shown(cfg.Timeout))
	switch r.Mode {
	case Stream:
		return fmt.Sprintf("matched row by row as events arrive on table %s; the plan is that of a run over all of its history", r.Table())
	case History:
		text := fmt.Sprintf("run over stored events when a row came that passes its trigger, every %v at most, %s", shown(cmp.Or(r.Every, cfg.Every)), bound)
		if r.query.ByTime() {
			text += fmt.Sprintf("; also every %v without one, since it compares with now()", shown(cmp.Or(r.Every, scheduledEvery)))
		}
		return text
	}
	return "run over the present state after each scan, " + bound
}

func (r *Rule) reach(table string, now time.Time) Reach {
	x := Reach{Table: table, Window: "none"}
	if event.Lookup(table).Kind == event.State {
		x.Text = "the present state"
		return x
	}
	asked, _ := r.query.TimeRange(table, now)
	from, bounded := asked, asked != math.MinInt64
	window := now.Add(-r.Window).UnixMicro()
	switch {
	case r.Mode != Stream && r.WindowSet && asked > window:
		x.Window, x.Text = "select", "rows of the last %v, as the SELECT says"
	case r.Mode != Stream && r.WindowSet:
		from, x.Window, x.Text = window, "header", "rows of the last %v, the window of the header"
		if bounded && asked < window {
			x.Text += fmt.Sprintf(", though the SELECT asks for %v", span(now, asked))
		}
	case bounded:
		x.Window, x.Text = "select", "rows of the last %v, as the SELECT says"
	case r.Mode == Stream:
		x.Text = "each row once"
		return x
	default:
		from, x.Window, x.Text = window, "default", "rows of the last %v, the default window, since neither the SELECT nor the header bounds the time"
	}
	d := span(now, from)
	x.Since = time.Duration(d).Seconds()
	x.Text = fmt.Sprintf(x.Text, d)
	return x
}

// span is the time from a moment in µs until now.
func span(now time.Time, from int64) shown {
	return shown(now.Sub(time.UnixMicro(from)).Round(time.Second))
}

// shown is a duration without the zeros at its end: 1h, 90 days as 90d.
type shown time.Duration

func (d shown) String() string {
	const day = shown(24 * time.Hour)
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Text writes the explanation in lines.
func (x *Explanation) Text() []string {
	lines := []string{fmt.Sprintf("rule %s: %s: %s", x.Rule, x.Mode, x.Runs)}
	for _, t := range x.Tables {
		lines = append(lines, "  "+t.Table+": "+t.Text)
	}
	for _, t := range x.Triggers {
		if t.Condition == "" {
			lines = append(lines, "  trigger: each row of "+t.Table)
		} else {
			lines = append(lines, "  trigger: rows of "+t.Table+" with "+t.Condition)
		}
	}
	return append(append(lines, ""), x.Plan.Text()...)
}
