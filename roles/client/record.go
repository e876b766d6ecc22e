package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/config"
	"daemoneye/roles/term"
	"daemoneye/rules/sql"
)

func recordCommand() *cli.Command {
	return &cli.Command{
		Name:  "record",
		Usage: "record events as they come, for replay and for the tests of rules",
		Description: `   daemoneye record --duration 60s -o events.jsonl
   daemoneye record --table file_events --where "event = 'rename'" --limit 1000 -o renames.jsonl
   daemoneye replay --builtin events.jsonl

Events of all tables are recorded, or those of --table, until --duration has passed, --limit rows are there or Ctrl-C.
FILE is JSON Lines, whose rows name their tables, for the owner alone, since command lines may be confidential; it
appears when the recording ends, and its name ends in .jsonl or .jsonl.gz. "replay" and "query --input" read it, and a
test of a rule names it with "file:", if it has at most 64 MiB, 50,000 rows of the rule's tables and is not compressed.
What is past is written by "export".

When more comes than can be written the oldest are left out: their number is told, the exit status is 1, and FILE has
the rest.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "duration", Usage: "end after `DURATION`, such as 60s or 10m", DefaultText: "Ctrl-C ends"},
			&cli.Int64Flag{Name: "limit", Usage: "end after `N` rows", DefaultText: "none"},
			&cli.StringFlag{Name: "table", Usage: "record the `TABLE` alone", DefaultText: "all tables of events"},
			&cli.StringFlag{Name: "where", Usage: "only rows for which the SQL `CONDITION` is true; of all tables, only those that have its columns are recorded"},
		}, outputFlags()...),
		Action: run(record),
	}
}

func record(c *call) error {
	if err := c.exactly(0, ""); err != nil {
		return err
	}
	if err := c.required("output"); err != nil {
		return err
	}
	if name := strings.TrimSuffix(c.String("output"), ".gz"); filepath.Ext(name) != ".jsonl" {
		return usage("", "the name of a recording ends in .jsonl or .jsonl.gz, and %s does not", c.String("output"))
	}
	r := &recorder{limit: c.Int64("limit"), progress: &term.Progress{}}
	if c.IsSet("limit") && r.limit < 1 {
		return usage("leave it out for none", "--limit = %d: expected 1 or more", r.limit)
	}
	if text := c.String("duration"); text != "" {
		var err error
		if r.duration, err = config.ParseDuration(text); err != nil || r.duration <= 0 {
			return usage("write 60s, 10m or 1h", "--duration = %q: expected a duration", text)
		}
	}
	topic, err := r.choose(c)
	if err != nil {
		return err
	}
	conn, _, err := c.agent()
	if err != nil {
		return err
	}
	defer conn.Close()
	d, err := c.openOutput("jsonl", r.progress)
	if err != nil {
		return err
	}
	if err = r.begin(d); err == nil {
		err = r.record(c, conn, topic)
	}
	r.progress.Stop()
	if r.broken != nil {
		return d.finish(r.broken)
	}
	if r.begun.IsZero() { // there is nothing to keep
		return d.finish(err)
	}
	if failed := d.finish(nil); failed != nil {
		return failed
	}
	c.warn("%s: %s", d.name, r.summary())
	if err != nil {
		return err
	}
	if r.missed > 0 {
		return &Error{
			Err:  fmt.Errorf("%s missed: more came than could be written", term.Plural(int64(r.missed), "batch of events was", "batches of events were")),
			Hint: "record less with --table and --where",
		}
	}
	return nil
}

// recorder writes events that a subscription brings.
type recorder struct {
	tables   map[string]*recorded
	limit    int64         // 0: none
	duration time.Duration // 0: for ever
	progress *term.Progress
	begun    time.Time

	rows   int64
	missed uint64 // batches
	broken error  // the file could not be written
}

// recorded is a table that is recorded.
type recorded struct {
	query   *sql.Query
	printer *jsonPrinter
	rows    int64
}

// choose finds the tables to record and the topic with their events.
func (r *recorder) choose(c *call) (topic string, err error) {
	where := c.String("where")
	if c.IsSet("where") && strings.TrimSpace(where) == "" {
		return "", usage("leave it out to record all rows", "--where is empty")
	}
	r.tables = map[string]*recorded{}
	if name := c.String("table"); name != "" {
		t, err := lookupStream(name)
		if err != nil {
			return "", err
		}
		q, err := liveQuery(t.Name, where)
		if err != nil {
			return "", explain(err)
		}
		r.tables[t.Name] = &recorded{query: q}
		return api.EventsTopic + t.Name, nil
	}
	var first error
	var without []string
	for _, t := range event.Tables() {
		if t.Kind != event.Stream {
			continue
		}
		q, err := liveQuery(t.Name, where)
		if err != nil {
			without = append(without, t.Name)
			if first == nil {
				first = explain(err)
			}
			continue
		}
		r.tables[t.Name] = &recorded{query: q}
	}
	if len(r.tables) == 0 {
		return "", first
	}
	if len(without) > 0 {
		c.warn("--where does not fit %s: not recorded", strings.Join(without, ", "))
	}
	return api.EventsTopic + "+", nil
}

// begin prepares the writing to the file.
func (r *recorder) begin(d *destination) error {
	out := &term.Output{Writer: d.out}
	r.broken = d.temp.Chmod(0o600)
	for _, name := range slices.Sorted(maps.Keys(r.tables)) {
		t := r.tables[name]
		// A row is written at once, since the tables take turns.
		t.printer = newLivePrinter(out, "jsonl", true).(*jsonPrinter)
		t.printer.table, t.printer.sparse = name, true
		var columns []api.QueryColumn
		for _, c := range t.query.Columns() {
			columns = append(columns, api.QueryColumn{Name: c.Name, Type: c.Type.String()})
		}
		r.broken = errors.Join(r.broken, t.printer.header(columns))
	}
	return r.broken
}

// record records until the user, the duration or the limit ends it.
func (r *recorder) record(c *call, conn *bus.Conn, topic string) error {
	s, err := conn.Subscribe(c.ctx, topic, bus.Shed)
	if err != nil {
		return agentError(err)
	}
	defer s.Close()
	ctx, ends := c.ctx, ""
	if r.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.duration)
		defer cancel()
		ends = " for " + term.Duration(r.duration)
	}
	c.warn("recording%s; Ctrl-C ends", ends)
	r.begun = time.Now()
	r.progress = term.StartProgress(c.err, "record", "rows", 0)
	for r.limit == 0 || r.rows < r.limit {
		d, err := s.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil // this is how it ends
			}
			return agentError(err)
		}
		r.missed += d.Missed
		t := r.tables[strings.TrimPrefix(d.Topic, api.EventsTopic)]
		if t == nil { // the present state of something
			continue
		}
		for message := range d.Messages() {
			if err := r.add(t, message); err != nil {
				return err
			}
		}
	}
	return nil
}

// add writes the rows of a batch that the condition holds for.
func (r *recorder) add(t *recorded, message []byte) error {
	b, err := event.Decode(message, nil)
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	at, rows, err := t.query.Match(b, time.Now())
	if err != nil {
		return explain(err)
	}
	n := int64(len(at))
	if r.limit > 0 {
		n = min(n, r.limit-r.rows)
	}
	if n == 0 {
		return nil
	}
	columns := len(t.query.Columns())
	if r.broken = t.printer.rows(cellsOf(rows, columns, true)[:n*int64(columns)]); r.broken != nil {
		return r.broken
	}
	t.rows, r.rows = t.rows+n, r.rows+n
	r.progress.Add(n)
	return nil
}

// summary says what was recorded.
func (r *recorder) summary() string {
	text := fmt.Sprintf("%s in %s", term.Plural(r.rows, "row", "rows"), term.Duration(time.Since(r.begun)))
	var list []string
	for _, name := range slices.Sorted(maps.Keys(r.tables)) {
		if n := r.tables[name].rows; n > 0 {
			list = append(list, fmt.Sprintf("%s %s", name, term.Count(n)))
		}
	}
	if len(list) == 0 {
		return text
	}
	return text + ": " + strings.Join(list, ", ")
}
