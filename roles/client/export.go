package client

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/config"
	"daemoneye/roles/history"
	"daemoneye/roles/term"
	"daemoneye/rules/sql"
)

// exportTimeout is what an export may take: as much as the agent grants.
const exportTimeout = time.Hour

func exportFormats() []string { return []string{"jsonl", "csv", parquetFormat} }

func exportCommand() *cli.Command {
	return &cli.Command{
		Name:  "export",
		Usage: "write the rows of a table to a file, for DuckDB, pandas, Spark or another DaemonEye",
		Description: `   daemoneye export --table process_events --from 24h -o today.parquet
   daemoneye export --table process_events --from 2026-01-02 --to 2026-01-03T12:00:00Z --format jsonl > events.jsonl
   daemoneye export --table process_events --where "user_name = 'alice'" --format csv -o alice.csv
   daemoneye export --table alerts --from 30d -o alerts.parquet --force

A time is RFC 3339, a date (both in UTC), or how long ago: 90m, 24h, 30d. Rows are those with from <= time < to, in no
particular order; of a state table such as processes or alerts, by the column that "daemoneye schema" says.
What "jsonl" and "parquet" write is read back by "query --input" and "replay". CSV does not tell NULL from an empty text.
The file appears when all of it is written. What was lost of the table is reported on standard error as "incomplete: ...".`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "table", Usage: "the table `NAME`"},
			&cli.StringFlag{Name: "from", Usage: "no rows before `TIME`", DefaultText: "the oldest"},
			&cli.StringFlag{Name: "to", Usage: "no rows from `TIME` on", DefaultText: "the newest"},
			&cli.StringFlag{Name: "where", Usage: "only rows for which the SQL `CONDITION` is true"},
			&cli.StringFlag{Name: "format", Value: "jsonl", Usage: "`FORMAT` of the output: " + strings.Join(exportFormats(), ", "), DefaultText: "by the name of --output, else jsonl"},
			&cli.StringFlag{Name: "timeout", Usage: "give up after `DURATION`, such as 30s or 1h", DefaultText: "1h, which is the most"},
		}, outputFlags()...),
		Action: run(export),
	}
}

func export(c *call) error {
	format, err := c.fileFormat(exportFormats())
	if err != nil {
		return err
	}
	if err := c.exactly(0, ""); err != nil {
		return err
	}
	if c.String("table") == "" {
		return usage("daemoneye schema lists the tables", "name the table with --table")
	}
	table, err := lookupTable(c.String("table"))
	if err != nil {
		return err
	}
	r := api.QueryRequest{Timeout: exportTimeout}
	if c.IsSet("timeout") {
		if r.Timeout, err = c.timeout(); err != nil {
			return err
		}
	}
	if r.SQL, err = c.exportSQL(table, time.Now()); err != nil {
		return err
	}
	progress := term.StartProgress(c.err, "export "+table.Name, "rows", 0)
	defer progress.Stop()
	e, err := c.engine()
	if err != nil {
		return err
	}
	defer c.closing(e)
	d, err := c.openOutput(format, progress)
	if err != nil {
		return err
	}
	if p, ok := d.printer.(*jsonPrinter); ok {
		p.table = table.Name
	}
	return c.writeQuery(e, r, d)
}

// writeQuery runs a query and writes its result.
func (c *call) writeQuery(e engine, r api.QueryRequest, d *destination) error {
	done, err := printQuery(c.ctx, e, r, d)
	if err := d.finish(err); err != nil {
		return err
	}
	if d.name != "" {
		c.note("%s: %s", d.name, term.Plural(done.Rows, "row", "rows"))
	}
	c.incomplete(done)
	return nil
}

// exportSQL is the statement whose result is the export.
func (c *call) exportSQL(table *event.Table, now time.Time) (string, error) {
	var conditions []string
	var bounds [2]time.Time
	for i, flag := range []string{"from", "to"} {
		if !c.IsSet(flag) {
			continue
		}
		at, err := parseMoment(c.String(flag), now)
		if err != nil {
			return "", usage("write it as 2026-01-02T03:04:05Z, 2026-01-02, 24h or 30d", "--%s: %v", flag, err)
		}
		bounds[i] = at
		conditions = append(conditions, fmt.Sprintf("%s %s '%s'::timestamptz", table.Time, []string{">=", "<"}[i], at.UTC().Format("2006-01-02 15:04:05.999999Z07:00")))
	}
	if !bounds[0].IsZero() && !bounds[1].IsZero() && !bounds[0].Before(bounds[1]) {
		return "", usage("", "--from %s is not before --to %s", c.String("from"), c.String("to"))
	}
	if c.IsSet("where") {
		where := c.String("where")
		if strings.TrimSpace(where) == "" {
			return "", usage("", "--where is empty")
		}
		cfg, err := c.config()
		if err != nil {
			return "", err
		}
		if _, err := sql.CompileWhere(table.Name, where, sql.Config{Limits: history.Limits(cfg)}); err != nil {
			return "", explain(err)
		}
		conditions = append(conditions, "(\n"+where+"\n)") // which may end in a comment
	}
	text := "SELECT * FROM " + table.Name
	if len(conditions) > 0 {
		text += " WHERE " + strings.Join(conditions, " AND ")
	}
	return text, nil
}

// parseMoment reads a point in time as people give it: RFC 3339, a date, or how
// long before now.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if d, err := config.ParseDuration(text); err == nil {
		if strings.ContainsAny(text[:1], "+-") {
			return time.Time{}, fmt.Errorf("%q has a sign: how long ago a time was is written without one", text)
		}
		return now.Add(-d).Truncate(time.Microsecond), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07", time.DateTime, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time", text)
}
