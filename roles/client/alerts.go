package client

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/config"
	"daemoneye/roles/term"
)

func alertsCommand() *cli.Command {
	return &cli.Command{
		Name:  "alerts",
		Usage: "list alerts, or show one in full",
		Subcommands: []*cli.Command{
			{
				Name:  "list",
				Usage: "list alerts, the newest first",
				Description: `   daemoneye alerts list
   daemoneye alerts list --since 24h --severity high
   daemoneye alerts list --rule server-spawns-shell --format jsonl`,
				Flags: []cli.Flag{
					formatFlag(),
					&cli.StringFlag{Name: "since", Usage: "only those last seen within `DURATION`, such as 90m or 7d"},
					&cli.StringFlag{Name: "severity", Usage: "only those of at least `SEVERITY`: low, medium, high or critical"},
					&cli.BoolFlag{Name: "excluded", Usage: "what exceptions kept from being alerts, instead of alerts"},
					&cli.StringFlag{Name: "rule", Usage: "only those of the rule `ID`"},
				},
				Action: run(alertsList),
			},
			{
				Name:      "show",
				Usage:     "show one alert: what matched, the process and its ancestors, what it may be instead",
				ArgsUsage: "ID",
				Description: `   daemoneye alerts show 01JD
   daemoneye alerts show 01JD --format json

The start of the ID is enough when only one alert has it.`,
				Flags:  []cli.Flag{formatFlag()},
				Action: run(alertsShow),
			},
		},
	}
}

// severities from the least.
func severities() []string { return []string{"low", "medium", "high", "critical"} }

const alertsQuery = `SELECT alert_id, last_seen, severity, rule_id, title, pid, count, time, host, complete FROM alerts`

func alertsList(c *call) error {
	name, err := format(c.Context)
	if err != nil {
		return err
	}
	if err := c.exactly(0, ""); err != nil {
		return err
	}
	conditions := []string{"excluded IS NULL"}
	if c.Bool("excluded") {
		conditions[0] = "excluded IS NOT NULL"
	}
	params := map[string]string{}
	if text := c.String("since"); text != "" {
		d, err := config.ParseDuration(text)
		if err != nil || d < 0 {
			return usage("write 90m, 24h or 7d", "%q is not a duration", text)
		}
		params["since"] = time.Now().Add(-d).UTC().Format("2006-01-02 15:04:05.000000+00")
		conditions = append(conditions, "last_seen >= :'since'")
	}
	if text := c.String("severity"); text != "" {
		i := slices.Index(severities(), text)
		if i < 0 {
			return usage("it can be "+strings.Join(severities(), ", "), "there is no severity %q", text)
		}
		conditions = append(conditions, "severity IN ('"+strings.Join(severities()[i:], "', '")+"')")
	}
	if text := c.String("rule"); text != "" {
		params["rule"] = text
		conditions = append(conditions, "rule_id = :'rule'")
	}
	text := alertsQuery + " WHERE " + strings.Join(conditions, " AND ")
	e, err := c.engine()
	if err != nil {
		return err
	}
	defer c.closing(e)
	if rule := params["rule"]; rule != "" {
		if err := c.knownRule(e, rule); err != nil {
			return err
		}
	}
	text += " ORDER BY last_seen DESC, alert_id"
	if name == "table" {
		return c.alertsTable(e, text, params)
	}
	done, err := printQuery(c.ctx, e, api.QueryRequest{SQL: text, Params: params}, newPrinter(c.out, name))
	if err != nil {
		return err
	}
	c.incomplete(done)
	return nil
}

// knownRule refuses the id of a rule that neither exists nor has alerts from
// the time when it did.
func (c *call) knownRule(e engine, id string) error {
	params := map[string]string{"rule": id}
	for _, table := range []string{"rules", "alerts"} {
		found, _, err := fetch[event.Alert](c.ctx, e, "SELECT rule_id FROM "+table+" WHERE rule_id = :'rule' LIMIT 1", params)
		if err != nil || len(found) > 0 {
			return err
		}
	}
	return &Error{Err: fmt.Errorf("there is no rule %q", id), Hint: `"daemoneye rules list" shows those there are`}
}

// alertsTable lists what people look for first, so that it fits a terminal.
func (c *call) alertsTable(e engine, text string, params map[string]string) error {
	alerts, done, err := fetch[event.Alert](c.ctx, e, text, params)
	if err != nil {
		return err
	}
	c.incomplete(done)
	list := newListing("seen text", "severity text", "title text", "pid integer", "count bigint", "alert text")
	for _, i := range []int{0, 1, 5} {
		list.columns[i].Type = rigidText
	}
	length := 0
	if c.out.Terminal {
		// What is not listed must not share the shortened ids either.
		all, _, err := fetch[event.Alert](c.ctx, e, "SELECT alert_id FROM alerts", nil)
		if err != nil {
			return err
		}
		length = idLength(append(all, alerts...))
	}
	for _, a := range alerts {
		var pid any
		if a.PID != 0 {
			pid = a.PID
		}
		id, seen := a.ID, string(textCell(a.LastSeen.Truncate(time.Second)))
		if c.out.Terminal {
			id, seen = id[:min(length, len(id))], c.out.Moment(a.LastSeen)
		}
		list.add(seen, a.Severity, a.Title, pid, a.Count, id)
	}
	return list.print(newPrinter(c.out, "table"))
}

// idLength is how much of the ids tells the alerts apart.
func idLength(alerts []event.Alert) int {
	ids := make([]string, len(alerts))
	for i := range alerts {
		ids[i] = alerts[i].ID
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	length := 8
	for i := 1; i < len(ids); i++ {
		common := 0
		for common < min(len(ids[i]), len(ids[i-1])) && ids[i][common] == ids[i-1][common] {
			common++
		}
		length = max(length, common+1)
	}
	return length
}

func alertsShow(c *call) error {
	name, err := format(c.Context)
	if err != nil {
		return err
	}
	if err := c.exactly(1, "the ID of an alert"); err != nil {
		return err
	}
	id := c.Args().First()
	e, err := c.engine()
	if err != nil {
		return err
	}
	defer c.closing(e)
	params := map[string]string{"id": id}
	list, done, err := fetch[event.Alert](c.ctx, e, "SELECT * FROM alerts WHERE strpos(alert_id, :'id') = 1 ORDER BY alert_id LIMIT 10", params)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(list, func(a event.Alert) bool { return a.ID == id }); i >= 0 {
		list = list[i : i+1]
	}
	switch {
	case len(list) == 0:
		return &Error{Err: fmt.Errorf("there is no alert whose ID starts with %q", id), Hint: `"daemoneye alerts list" shows those there are`}
	case len(list) > 1:
		count, err := c.ambiguous(e, id)
		if err != nil {
			return err
		}
		var ids []string
		for _, a := range list {
			ids = append(ids, a.ID)
		}
		hint := "they are " + strings.Join(ids, ", ")
		if more := count - int64(len(ids)); more > 0 {
			hint += fmt.Sprintf(" and %s more", term.Count(more))
		}
		return &Error{Err: fmt.Errorf("%s alerts have an ID that starts with %q", term.Count(count), id), Hint: hint}
	}
	if name != "table" {
		_, err := printQuery(c.ctx, e, api.QueryRequest{SQL: "SELECT * FROM alerts WHERE alert_id = :'id'", Params: map[string]string{"id": list[0].ID}}, newPrinter(c.out, name))
		return err
	}
	c.incomplete(done)
	var falsePositives []string
	if cfg, err := c.config(); err == nil {
		if r := loadRules(cfg).Rule(list[0].RuleID); r != nil {
			falsePositives = r.FalsePositives
		}
	}
	return showAlert(c.out, &list[0], falsePositives)
}

// ambiguous counts the alerts whose ids start with id.
func (c *call) ambiguous(e engine, id string) (int64, error) {
	counts, _, err := fetch[struct {
		N int64 `json:"n"`
	}](c.ctx, e, "SELECT count(*) AS n FROM alerts WHERE strpos(alert_id, :'id') = 1", map[string]string{"id": id})
	if err != nil || len(counts) == 0 {
		return 0, err
	}
	return counts[0].N, nil
}

func showAlert(out *term.Output, a *event.Alert, falsePositives []string) error {
	s := newSheet(out)
	s.b.WriteString(out.Paint(term.SeverityColor(a.Severity), out.Text(strings.ToUpper(a.Severity))) + "  " + out.Paint(term.Bold, out.Text(a.Title)) + "\n")
	if a.Description != "" {
		s.block(a.Description)
	}
	s.b.WriteByte('\n')
	s.line("alert", "%s", a.ID)
	s.line("rule", "%s", strings.TrimSpace(a.RuleID+" "+a.RuleVersion))
	if a.Excluded != "" {
		s.line("excluded", "no alert: %s", a.Excluded)
	}
	s.line("raised", "%s", stamp(a.Time))
	s.line("seen", "%s, %s to %s", term.Plural(a.Count, "time", "times"), stamp(a.FirstSeen), stamp(a.LastSeen))
	s.line("host", "%s", a.Host)
	if len(a.Tags) > 0 {
		s.line("tags", "%s", strings.Join(a.Tags, ", "))
	}
	s.line("counted by", "%s", a.DedupKey)
	switch {
	case a.Complete:
		s.line("complete", "yes: no events were lost that could have hidden more")
	case len(a.IncompleteReasons) == 0:
		s.line("complete", "no")
	default:
		s.line("complete", "no: %s", strings.Join(a.IncompleteReasons, "; "))
	}
	s.title("why it matched (" + a.Table + ")")
	for _, f := range term.Fields(a.Row) {
		s.line("  "+f.Column, "%s", f.Value)
	}
	if a.Process != nil && string(a.Process) != "null" {
		s.title("process")
		s.item("%s", term.ProcessLine(&term.Output{ASCII: out.ASCII}, a))
		fields := term.Fields(a.Process)
		slices.SortStableFunc(fields, func(x, y term.Reason) int {
			t := event.Lookup("processes") // jsonb has another order
			return t.Index(x.Column) - t.Index(y.Column)
		})
		for _, f := range fields {
			s.line("  "+f.Column, "%s", f.Value)
		}
	}
	if len(falsePositives) > 0 {
		s.title("what it may be instead")
		for _, text := range falsePositives {
			s.item("%s", text)
		}
	}
	return s.flush()
}

// stamp is a time in full.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
