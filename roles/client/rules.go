package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/term"
	"daemoneye/rules"
	"daemoneye/rules/sql"
)

func rulesFlag() cli.Flag {
	return repeatedFlag("rules", "read the rules of `DIR` (and the built-in ones) instead of asking the agent; may be repeated")
}

func rulesCommand() *cli.Command {
	textOrJSON := &cli.StringFlag{Name: "format", Value: "table", Usage: "`FORMAT` of the output: table (text for people), json"}
	return &cli.Command{
		Name:  "rules",
		Usage: "list, show, make, validate, test, explain, backtest, switch, roll back, pack or reload detection rules, and show what of ATT&CK they cover",
		Subcommands: []*cli.Command{
			{
				Name:  "list",
				Usage: "list the rules, loaded and refused",
				Description: `   daemoneye rules list
   daemoneye rules list --stats
   daemoneye rules list --rules ./my-rules
   daemoneye rules list --format csv`,
				Flags:  []cli.Flag{formatFlag(), rulesFlag(), &cli.BoolFlag{Name: "stats", Usage: "show what each rule did and what it cost, the dearest first"}},
				Action: run(rulesList),
			},
			{
				Name:      "show",
				Usage:     "show one rule: its header, its SQL and what came of it",
				ArgsUsage: "ID",
				Description: `   daemoneye rules show server-spawns-shell
   daemoneye rules show server-spawns-shell --format json`,
				Flags:  []cli.Flag{formatFlag(), rulesFlag()},
				Action: run(rulesShow),
			},
			{
				Name:      "validate",
				Usage:     "check rule files; exit status 1 when one is refused",
				ArgsUsage: "FILE|DIR...",
				Description: `   daemoneye rules validate ./my-rules
   daemoneye rules validate new.sql --format json`,
				Flags:  []cli.Flag{textOrJSON},
				Action: run(rulesValidate),
			},
			{
				Name:      "test",
				Usage:     "run the fixtures beside rules; exit status 1 when one fails",
				ArgsUsage: "FILE|DIR...",
				Description: `   daemoneye rules test ./my-rules
   daemoneye rules test --builtin
   daemoneye rules test new.sql --format json
   daemoneye rules test ./my-rules --coverage
   daemoneye rules test ./my-rules --format junit > report.xml

The fixtures of NAME.sql are in NAME.test.yaml beside it. Exit status 1: a case failed, or a rule was refused. A rule
without fixtures is reported as untested and does not fail: in JSON its "passed" and "file" are null.

With --coverage the cases of each rule that passes are run again with each condition of its WHERE, ON and HAVING (what AND,
OR and NOT join) always true, and always false. These are its two outcomes; one is covered when some case then finds
something else. Named are conditions whose being true, or being false, decides no case: in an OR, branches by which no
case matches; in an AND, conditions that no case that must not match needs.`,
				Flags:  []cli.Flag{&cli.BoolFlag{Name: "coverage", Usage: "show which conditions of the rules the fixtures try"}, &cli.StringFlag{Name: "format", Value: "table", Usage: "`FORMAT` of the output: table (text for people), json, junit (XML for CI)"}, &cli.BoolFlag{Name: "builtin", Usage: "test the rules that come with DaemonEye, too"}},
				Action: run(rulesTest),
			},
			rulesNewCommand(),
			rulesAttackCommand(),
			rulesExplainCommand(),
			rulesBacktestCommand(),
			ruleSwitchCommand("enable", "run a rule again that was switched off"),
			ruleSwitchCommand("disable", "switch a rule off in a running agent, also after its next start"),
			rulesHistoryCommand(textOrJSON),
			rulesRollbackCommand(textOrJSON),
			rulesPackCommand(),
			{
				Name:  "reload",
				Usage: "let the agent read its rules again",
				Description: `   daemoneye rules reload
   daemoneye rules reload --format json`,
				Flags:  []cli.Flag{textOrJSON},
				Action: run(rulesReload),
			},
		},
	}
}

// rulesEngine answers queries of the rules table: from --rules, the agent, or
// the configured directories.
func (c *call) rulesEngine() (engine, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	if len(c.repeated("rules")) == 0 {
		conn, _, err := c.dial(cfg)
		if err == nil {
			return &agentEngine{conn}, nil
		}
		var none *noAgentError
		if !errors.As(err, &none) || none.named {
			return nil, err
		}
		c.warn("the agent is not running; these are the rules on disk, which it would load")
		return &localEngine{source: batchSource{ruleRows(c.instanceRules(cfg))}}, nil
	}
	for _, dir := range c.repeated("rules") {
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("rules: %w", err)
		}
	}
	return &localEngine{source: batchSource{ruleRows(loadRules(cfg))}}, nil
}

func rulesList(c *call) error {
	name, err := format(c.Context)
	if err != nil {
		return err
	}
	if err := c.exactly(0, ""); err != nil {
		return err
	}
	e, err := c.rulesEngine()
	if err != nil {
		return err
	}
	defer c.closing(e)
	if err := c.tellRollback(e); err != nil {
		return err
	}
	counts := "evaluated, matched, failed"
	_, onDisk := e.(*localEngine)
	if c.Bool("stats") {
		if onDisk {
			return &Error{Err: errors.New("rules on disk have no statistics"), Hint: `start the agent with "daemoneye run"`}
		}
		_, err = printQuery(c.ctx, e, api.QueryRequest{SQL: statsQuery}, newPrinter(c.out, name))
		return err
	}
	if onDisk { // nothing was evaluated there, which is not 0 of something
		counts = "NULL::bigint AS evaluated, NULL::bigint AS matched, NULL::bigint AS failed"
	}
	text := "SELECT rule_id, severity, enabled, mode, " + counts + ", title, file, error FROM rules ORDER BY rule_id, file"
	if name == "table" {
		return c.rulesTable(e, text, onDisk)
	}
	_, err = printQuery(c.ctx, e, api.QueryRequest{SQL: text}, newPrinter(c.out, name))
	return err
}

// statsQuery is what rules list --stats shows.
const statsQuery = `SELECT rule_id, evaluated, candidates, matched, failed, skipped,
	round((time_spent * 1000)::numeric, 3) AS spent_ms, round((slowest * 1000)::numeric, 3) AS slowest_ms,
	CASE WHEN paused_until > now() THEN paused_until END AS paused_until
FROM rules WHERE enabled ORDER BY time_spent DESC, rule_id`

// rulesTable lists what people look for first, so that it fits a terminal.
func (c *call) rulesTable(e engine, text string, onDisk bool) error {
	found, _, err := fetch[ruleRow](c.ctx, e, text, nil)
	if err != nil {
		return err
	}
	if err := c.warnExpired(e); err != nil {
		return err
	}
	columns := []string{"rule text", "severity text", "state text", "matched bigint", "title text"}
	if onDisk {
		columns = slices.Delete(columns, 3, 4)
	}
	list := newListing(columns...)
	for i := 0; i < 3; i++ {
		list.columns[i].Type = rigidText
	}
	for _, r := range found {
		state, title := r.Mode, r.Title
		switch {
		case r.Mode == "":
			state = "refused"
			title = r.Error
			if rest, ok := strings.CutPrefix(r.Error, r.File); ok { // whose name may have line breaks
				rest, _, _ = strings.Cut(rest, "\n")
				title = r.File + rest
			}
		case !r.Enabled:
			state = "disabled"
		case onDisk:
			state = "good" // how it would be run says less than whether
		case r.Failed > 0:
			state = "failing"
		}
		row := []any{r.ID, r.Severity, state, r.Matched, title}
		if onDisk {
			row = slices.Delete(row, 3, 4)
		}
		list.add(row...)
	}
	return list.print(newPrinter(c.out, "table"))
}

// ruleRow is a row of the rules table.
type ruleRow struct {
	ID          string   `json:"rule_id"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Severity    string   `json:"severity"`
	Tags        []string `json:"tags"`
	Author      string   `json:"author"`
	Version     string   `json:"version"`
	Status      string   `json:"status"`
	File        string   `json:"file"`
	Enabled     bool     `json:"enabled"`
	Mode        string   `json:"mode"`
	Table       string   `json:"table_name"`
	Error       string   `json:"error"`
	Evaluated   int64    `json:"evaluated"`
	Matched     int64    `json:"matched"`
	Failed      int64    `json:"failed"`
	SQL         string   `json:"sql"`
}

func rulesShow(c *call) error {
	name, err := format(c.Context)
	if err != nil {
		return err
	}
	if err := c.exactly(1, "the ID of a rule"); err != nil {
		return err
	}
	e, err := c.rulesEngine()
	if err != nil {
		return err
	}
	defer c.closing(e)
	id := c.Args().First()
	const text = `SELECT * FROM rules WHERE rule_id = :'id'`
	params := map[string]string{"id": id}
	list, _, err := fetch[ruleRow](c.ctx, e, text, params)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return &Error{Err: fmt.Errorf("there is no rule %q", id), Hint: `"daemoneye rules list" shows those there are`}
	}
	if name != "table" {
		_, err := printQuery(c.ctx, e, api.QueryRequest{SQL: text, Params: params}, newPrinter(c.out, name))
		return err
	}
	for i := range list {
		_, onDisk := e.(*localEngine)
		if err := showRule(c.out, &list[i], onDisk); err != nil {
			return err
		}
	}
	return nil
}

func showRule(out *term.Output, r *ruleRow, onDisk bool) error {
	s := newSheet(out)
	s.b.WriteString(out.Paint(term.Bold, out.Text(r.Title)) + "\n")
	if r.Description != "" {
		s.block(r.Description)
	}
	s.b.WriteByte('\n')
	for _, l := range []struct{ label, value string }{
		{"id", r.ID},
		{"severity", r.Severity},
		{"tags", strings.Join(r.Tags, ", ")},
		{"author", r.Author},
		{"version", r.Version},
		{"status", r.Status},
		{"file", r.File},
		{"evaluated", modeText(r)},
		{"error", r.Error},
	} {
		if l.value != "" {
			s.line(l.label, "%s", l.value)
		}
	}
	if !onDisk {
		s.line("since loaded", "%s evaluated, %s, %s", term.Plural(r.Evaluated, "row", "rows"), term.Plural(r.Matched, "match", "matches"),
			term.Plural(r.Failed, "failure", "failures"))
	}
	if r.SQL != "" {
		s.title("SQL")
		s.block(r.SQL)
	}
	return s.flush()
}

func modeText(r *ruleRow) string {
	switch {
	case !r.Enabled && r.Mode != "":
		return "no: it is disabled"
	case r.Mode == rules.Stream.String():
		return "as rows of " + r.Table + " arrive"
	case r.Mode == rules.History.String():
		return "over its window of " + r.Table + ", when rows have arrived"
	case r.Mode != "":
		return "over " + r.Table + ", after each scan"
	}
	return ""
}

func ruleSwitchCommand(name, usage string) *cli.Command {
	return &cli.Command{
		Name:      name,
		Usage:     usage,
		ArgsUsage: "ID",
		Description: "   daemoneye rules " + name + " exec-from-temp\n" +
			"   daemoneye rules " + name + " exec-from-temp --data-dir /srv/daemoneye",
		Action: run(func(c *call) error { return ruleSwitch(c, name == "enable") }),
	}
}

func ruleSwitch(c *call, enabled bool) error {
	if err := c.exactly(1, "the ID of a rule"); err != nil {
		return err
	}
	id := c.Args().First()
	body, err := msgpack.Marshal(api.RuleSwitch{ID: id, Enabled: enabled})
	if err != nil {
		return err
	}
	r, err := askAgent[api.RuleSwitched](c, api.RulesSwitch, body)
	if err != nil {
		return err
	}
	state, already := "disabled", ""
	if enabled {
		state = "enabled"
	}
	if !r.Changed {
		already = "already "
	}
	_, err = fmt.Fprintf(c.out, "%s is %s%s\n", c.out.Text(id), already, state)
	return err
}

func rulesReload(c *call) error {
	asJSON, err := c.wantJSON()
	if err != nil {
		return err
	}
	if err := c.exactly(0, ""); err != nil {
		return err
	}
	r, err := askAgent[api.ReloadReply](c, api.RulesReload, nil)
	if err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(c.out, r)
	} else {
		var b strings.Builder
		for _, refusal := range r.Refused {
			writeRefusal(&b, refusal)
		}
		if r.Kept {
			b.WriteString("nothing changes: what was in force stays until no file is refused that was not before\n")
		}
		fmt.Fprintf(&b, "%s, %d disabled, %d refused; read from %s\n", term.Plural(int64(r.Loaded), "rule loaded", "rules loaded"), r.Disabled, r.Failed,
			orNone(strings.Join(r.From, ", ")))
		_, err = fmt.Fprint(c.out, b.String())
	}
	if err == nil && len(r.Refused) > 0 {
		return ErrNo
	}
	return err
}

// wantJSON reads the --format of a command that writes text or JSON.
func (c *call) wantJSON() (bool, error) {
	switch name := c.String("format"); name {
	case "table":
		return false, nil
	case "json":
		return true, nil
	default:
		return false, usage("it can be table or json", "%s has no format %q", c.Command.Name, name)
	}
}

func writeRefusal(b *strings.Builder, r api.Refusal) {
	message := r.Message
	if !strings.HasPrefix(message, r.File) {
		message = r.File + ": " + message
	}
	b.WriteString(term.Escape(message) + "\n")
	if r.Caret != "" {
		writeCaret(b, "    ", r.Caret)
	}
}

// batchSource is one batch as the source of its table.
type batchSource struct{ batch *event.Batch }

func (s batchSource) Scan(_ context.Context, r sql.ScanRequest, yield func(*event.Batch) error) error {
	if r.Table != s.batch.Table {
		return nil
	}
	return yield(s.batch)
}
