package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/term"
	"daemoneye/rules/sql"
)

func watchCommand() *cli.Command {
	return &cli.Command{
		Name:      "watch",
		Usage:     "print events or alerts as they come, until Ctrl-C",
		ArgsUsage: "[events|alerts]",
		Description: `   daemoneye watch
   daemoneye watch events --where "event = 'exec' AND user_id = 0"
   daemoneye watch alerts --where "severity IN ('high', 'critical')" --format jsonl

When this program is slower than the agent the oldest are left out, and their number is shown where they would
have been: as a line, in jsonl as {"missed": N}, in csv on standard error.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "table", Usage: "`FORMAT` of the output: table (lines for people), jsonl, csv"},
			&cli.StringFlag{Name: "where", Usage: "only rows for which the SQL `CONDITION` is true"},
			&cli.StringFlag{Name: "table", Value: "process_events", Usage: "for events: the `TABLE` to watch"},
		},
		Action: run(watch),
	}
}

func watch(c *call) error {
	name := c.String("format")
	if name != "table" && name != "jsonl" && name != "csv" {
		return usage("it can be table, jsonl or csv", "watch has no format %q", name)
	}
	what := "events"
	if c.NArg() > 0 {
		what = c.Args().First()
	}
	if c.NArg() > 1 || what != "events" && what != "alerts" {
		return usage(`write "watch events" or "watch alerts"`, "watch can not show %q", what)
	}
	if what == "alerts" && c.IsSet("table") {
		return usage("leave it out, or watch events of that table", "--table goes with events; alerts are of one table")
	}
	if c.IsSet("where") && strings.TrimSpace(c.String("where")) == "" {
		return usage("leave it out to see all rows", "--where is empty")
	}
	table, topic := "alerts", api.AlertsTopic+"+"
	if what == "events" {
		t, err := lookupStream(c.String("table"))
		if err != nil {
			return err
		}
		table, topic = t.Name, api.EventsTopic+t.Name
	}
	q, err := liveQuery(table, c.String("where"))
	if err != nil {
		return explain(err)
	}
	conn, _, err := c.agent()
	if err != nil {
		return err
	}
	defer conn.Close()
	s, err := conn.Subscribe(c.ctx, topic, bus.Shed)
	if err != nil {
		return agentError(err)
	}
	defer s.Close()
	w := &watcher{query: q, format: name, out: c.out, err: c.err, alerts: what == "alerts"}
	if err := w.begin(); err != nil {
		return err
	}
	c.note("watching %s; Ctrl-C ends", table)
	err = w.follow(c.ctx, s)
	if c.ctx.Err() != nil {
		return nil // Ctrl-C is how it ends
	}
	return agentError(err)
}

// liveQuery compiles a condition on rows of a table as they come; "": all.
func liveQuery(table, condition string) (*sql.Query, error) {
	if condition == "" {
		condition = "true"
	}
	q, err := sql.CompileWhere(table, condition, sql.Config{})
	if err == nil && !q.Streams() {
		err = usage("use comparisons of the row's own columns", "--where can not be decided row by row")
	}
	return q, err
}

// watcher prints what a subscription brings.
type watcher struct {
	query    *sql.Query
	format   string
	out, err *term.Output
	alerts   bool
	printer  printer // of jsonl and csv
}

func (w *watcher) begin() error {
	if w.format == "table" {
		return nil
	}
	w.printer = newLivePrinter(w.out, w.format, true) // somebody waits for each row
	var columns []api.QueryColumn
	for _, c := range w.query.Columns() {
		columns = append(columns, api.QueryColumn{Name: c.Name, Type: c.Type.String()})
	}
	if err := w.printer.header(columns); err != nil {
		return err
	}
	return w.printer.rows(nil)
}

func (w *watcher) follow(ctx context.Context, s *bus.Subscription) error {
	for {
		d, err := s.Next(ctx)
		if err != nil {
			return err
		}
		if d.Missed > 0 {
			if err := w.missed(d.Missed); err != nil {
				return err
			}
		}
		for message := range d.Messages() {
			if err := w.message(message); err != nil {
				return err
			}
		}
	}
}

// missed says how many messages (batches of events, or alerts) were shed.
func (w *watcher) missed(n uint64) error {
	if w.format == "jsonl" {
		_, err := fmt.Fprintf(w.out, "{\"missed\": %d}\n", n)
		return err
	}
	to := w.out
	if w.format == "csv" {
		to = w.err
	}
	what := term.Plural(int64(n), "batch of events", "batches of events")
	if w.alerts {
		what = term.Plural(int64(n), "alert", "alerts")
	}
	_, err := fmt.Fprintln(to, to.Paint(term.Yellow, "... "+what+" missed: more came than could be shown"))
	return err
}

func (w *watcher) message(data []byte) error {
	if !w.alerts {
		b, err := event.Decode(data, nil)
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		return w.show(b, func(i int) error { return term.Event(w.out, b, i) })
	}
	var a event.Alert
	if err := msgpack.Unmarshal(data, &a); err != nil {
		return fmt.Errorf("read alert: %w", err)
	}
	if !json.Valid(a.Row) || a.Process != nil && !json.Valid(a.Process) {
		return fmt.Errorf("read alert %q: its row or process is not JSON", a.ID)
	}
	b := event.NewBuilder(event.Lookup("alerts"))
	a.AppendTo(b)
	return w.show(b.Batch(), func(int) error { return term.Alert(w.out, &a) })
}

// show prints the rows of b that the condition holds for; line prints one for
// people.
func (w *watcher) show(b *event.Batch, line func(i int) error) error {
	at, rows, err := w.query.Match(b, time.Now())
	if err != nil {
		return explain(err)
	}
	if w.printer != nil {
		if len(at) == 0 {
			return nil
		}
		return w.printer.rows(cellsOf(rows, len(w.query.Columns()), w.printer.json()))
	}
	for _, i := range at {
		if err := line(i); err != nil {
			return err
		}
	}
	return nil
}
