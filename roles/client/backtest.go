package client

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/config"
	"daemoneye/roles/term"
	"daemoneye/rules"
)

func rulesBacktestCommand() *cli.Command {
	return &cli.Command{
		Name:      "backtest",
		Usage:     "run a rule over the stored history: how many alerts, when, of what",
		ArgsUsage: "FILE|ID",
		Description: `   daemoneye rules backtest new.sql --since 30d
   daemoneye rules backtest new.sql --since 30d --against old.sql
   daemoneye rules backtest exec-from-temp --since 2026-11-01 --until 2026-11-08
   daemoneye rules backtest new.sql --input "logs/*.parquet" --format json

A rule that groups, joins or sorts is run again and again, half of its window apart, where the agent would run it when
rows have arrived; --step makes that finer or coarser. A rule that reads the present state, such as processes, has no
history to be run over. Nothing is stored and no alert is raised. What the exceptions of the rules in force say of the
rule's id is applied: matches that meet one are counted as excluded, and nowhere else.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "since", Value: "30d", Usage: "look at what happened within `DURATION`, such as 90m or 7d, or since a time (UTC), such as 2026-11-01 or 2026-11-01T12:00:00Z"},
			&cli.StringFlag{Name: "until", Usage: "leave out what happened since `TIME`, a duration ago or a time", DefaultText: "now"},
			&cli.StringFlag{Name: "against", Usage: "show what differs from another version of the rule, `FILE|ID`: what it adds and removes"},
			&cli.BoolFlag{Name: "no-exceptions", Usage: "apply no exceptions"},
			&cli.StringFlag{Name: "step", Usage: "run a rule over history every `DURATION`", DefaultText: "half of its window"},
			repeatedFlag("input", "run it over `FILE` instead of the history, all of it unless --since is given; no agent is needed. It is "+fileTypes+". May be a pattern, and repeated"),
			&cli.StringFlag{Name: "format", Value: "table", Usage: "`FORMAT` of the output: table (text for people), json"},
			&cli.StringFlag{Name: "timeout", Usage: "give up after `DURATION`, such as 30s or 10m; an agent gives 1h at most", DefaultText: "10m"},
		},
		Action: run(rulesBacktest),
	}
}

// backtestTimeout is longer than a query may take: all of the history is read,
// and that again for each window.
const backtestTimeout = 10 * time.Minute

func rulesBacktest(c *call) error {
	asJSON, err := c.wantJSON()
	if err != nil {
		return err
	}
	if err := c.exactly(1, "the file or the id of one rule"); err != nil {
		return err
	}
	r := api.QueryRequest{Rule: true, Timeout: backtestTimeout}
	if c.IsSet("timeout") {
		if r.Timeout, err = c.timeout(); err != nil {
			return err
		}
	}
	if r.Backtest, err = c.backtestRange(time.Now()); err != nil {
		return err
	}
	r.Backtest.NoExceptions = c.Bool("no-exceptions")
	if r.SQL, err = c.ruleText(c.Args().First()); err != nil {
		return err
	}
	if name := c.String("against"); name != "" {
		if r.Backtest.Against, err = c.ruleText(name); err != nil {
			return err
		}
	}
	inputs, err := c.inputs()
	if err != nil {
		return err
	}
	progress := term.StartProgress(c.err, "backtest", "rows", 0)
	defer progress.Stop()
	var e engine
	if inputs == nil {
		e, err = c.engine()
	} else {
		e, err = c.backtestFiles(inputs, r.SQL, progress)
	}
	if err != nil {
		return err
	}
	defer c.closing(e)
	var answer []byte
	done, err := e.query(c.ctx, r, func([]api.QueryColumn) error { return nil }, func(cells [][]byte) error {
		answer = append(answer, cells[0]...)
		return nil
	})
	if err != nil {
		return err
	}
	progress.Stop()
	var b rules.Backtest
	if err := json.Unmarshal(answer, &b); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if asJSON {
		err = writeJSON(c.out, &b)
	} else {
		err = showBacktest(c.out, &b)
	}
	unfit := b.Unfit
	if b.Against != nil {
		unfit = append(unfit, b.Against.Old.Unfit...)
	}
	for _, text := range unfit {
		c.warn("not applied: %s", text)
	}
	c.incomplete(done)
	return err
}

// backtestFiles runs over files; rows that name no table are of the rule's.
func (c *call) backtestFiles(inputs []string, text string, progress *term.Progress) (engine, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	table := ""
	if r, err := rules.Parse("rule", []byte(text), sqlConfig(cfg)); err == nil && len(r.Tables) == 1 {
		table = r.Table()
	}
	return c.fileEngine(inputs, table, progress)
}

// backtestRange reads --since, --until and --step.
func (c *call) backtestRange(now time.Time) (*api.Backtest, error) {
	b := &api.Backtest{}
	var err error
	if c.IsSet("since") || len(c.repeated("input")) == 0 {
		if b.From, err = moment("since", c.String("since"), now); err != nil {
			return nil, err
		}
	}
	if text := c.String("until"); text != "" {
		if b.To, err = moment("until", text, now); err != nil {
			return nil, err
		}
		if !b.To.After(b.From) {
			return nil, usage("", "--until %s is not after --since %s", text, c.String("since"))
		}
	}
	if text := c.String("step"); text != "" {
		if b.Step, err = config.ParseDuration(text); err != nil || b.Step < time.Second {
			return nil, usage("write 1s, 5m or 1h", "--step = %q: expected a duration of a second or more", text)
		}
	}
	return b, nil
}

// moment reads a time, or a duration before now.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if d, err := config.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, form := range []string{time.RFC3339Nano, time.DateOnly, "2006-01-02 15:04", time.DateTime} {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, usage("write 90m, 7d, 2026-11-01 or 2026-11-01T12:00:00Z", "--%s = %q: expected a duration or a time", flag, text)
}

// backtestDays is up to how many days each has a line, also one of nothing.
const backtestDays = 62

func showBacktest(out *term.Output, b *rules.Backtest) error {
	s := newSheet(out)
	s.line("rule", "%s", b.RuleID)
	if b.Rows == 0 {
		s.line("rows", "none in this time")
	} else {
		s.line("rows", "%s, %s to %s UTC", term.Plural(b.Rows, "row", "rows"), minute(b.From), minute(b.To))
	}
	if b.Runs > 0 {
		s.line("runs", "%d, one every %v", b.Runs, time.Duration(b.Step*float64(time.Second)))
	}
	s.line("found", "%s in %s", term.Plural(b.Matches, "match", "matches"), term.Plural(b.Alerts, "alert", "alerts"))
	if b.Excluded > 0 {
		s.line("excluded", "%s by exceptions", term.Plural(b.Excluded, "more match", "more matches"))
	}
	if b.Forced > 0 {
		s.line("", "at most: %d alerts were ended early, to bound memory", b.Forced)
	}
	if b.Failed > 0 {
		s.line("failed", "%s: %s", term.Plural(b.Failed, "time", "times"), b.Error)
	}
	showDays(s, b)
	if len(b.Top) > 0 {
		s.title("Most frequent values")
		for _, col := range b.Top {
			var list []string
			for _, v := range col.Values {
				list = append(list, fmt.Sprintf("%s (%d)", v.Value, v.Matches))
			}
			if col.Others > 0 {
				list = append(list, fmt.Sprintf("others (%d)", col.Others))
			}
			s.item("%s: %s", col.Column, strings.Join(list, ", "))
		}
	}
	if a := b.Against; a != nil {
		s.title("Against " + a.Old.RuleID)
		s.line("it found", "%s in %s", term.Plural(a.Old.Matches, "match", "matches"), term.Plural(a.Old.Alerts, "alert", "alerts"))
		if a.Old.Excluded > 0 {
			s.line("", "%s excluded by exceptions", term.Plural(a.Old.Excluded, "more match", "more matches"))
		}
		if a.Old.Failed > 0 {
			s.line("it failed", "%s: %s", term.Plural(a.Old.Failed, "time", "times"), a.Old.Error)
		}
		showPart(s, "added", &a.Added)
		showPart(s, "removed", &a.Removed)
	} else if len(b.Sample) > 0 {
		s.title("The first alerts")
		showSample(s, b.Sample)
	}
	return s.flush()
}

// sampleRow bounds the bytes of a row that is shown.
const sampleRow = 400

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// showDays draws the alerts of each day.
func showDays(s *sheet, b *rules.Backtest) {
	if b.Matches == 0 {
		return
	}
	days := slices.Clone(b.Days)
	if b.To.Sub(b.From) <= backtestDays*24*time.Hour {
		for day := b.From.UTC().Truncate(24 * time.Hour); !day.After(b.To); day = day.AddDate(0, 0, 1) {
			name := day.Format(time.DateOnly)
			if !slices.ContainsFunc(b.Days, func(d rules.BacktestDay) bool { return d.Day == name }) {
				days = append(days, rules.BacktestDay{Day: name})
			}
		}
		slices.SortFunc(days, func(a, b rules.BacktestDay) int { return strings.Compare(a.Day, b.Day) })
	}
	most := int64(1)
	for _, d := range days {
		most = max(most, d.Alerts)
	}
	const width = 40
	block := "█"
	if s.out.ASCII {
		block = "#"
	}
	s.title("Alerts by day (UTC)")
	for _, d := range days {
		bar := int((d.Alerts*width + most - 1) / most)
		s.b.WriteString("  " + d.Day + " " + term.Pad(strings.Repeat(block, bar), width) + fmt.Sprintf(" %d", d.Alerts))
		if d.Matches != d.Alerts {
			s.b.WriteString(" of " + term.Plural(d.Matches, "match", "matches"))
		}
		s.b.WriteByte('\n')
	}
}

func showPart(s *sheet, label string, p *rules.ChangedPart) {
	if p.Matches == 0 {
		s.line(label, "nothing")
		return
	}
	s.line(label, "%s, by themselves %s", term.Plural(p.Matches, "match", "matches"), term.Plural(p.Alerts, "alert", "alerts"))
	showSample(s, p.Sample)
}

func showSample(s *sheet, list []event.Alert) {
	for i := range list {
		a := &list[i]
		times := ""
		if a.Count > 1 {
			times = fmt.Sprintf(" (%d times)", a.Count)
		}
		s.item("%s%s %s", a.Time.UTC().Format(time.DateTime), times, event.ShrinkJSON(a.Row, sampleRow))
	}
}
