package client

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"daemoneye/roles/api"
	"daemoneye/roles/config"
	"daemoneye/roles/term"
	"daemoneye/rules/sql"
)

// maxQuery is more than the engine accepts, so that it says what its limit is.
const maxQuery = 1 << 20

func queryCommand() *cli.Command {
	return &cli.Command{
		Name:      "query",
		Usage:     "run a SELECT over the history, or over a file of events",
		ArgsUsage: "SQL|-",
		Description: `   daemoneye query "SELECT name, count(*) FROM process_events GROUP BY name ORDER BY 2 DESC LIMIT 10"
   daemoneye query --param user=alice "SELECT time, command_line FROM process_events WHERE user_name = :'user'"
   daemoneye query --input events.jsonl --format csv - < hunt.sql
   daemoneye query --input "logs/*.parquet" "SELECT count(*) FROM process_events"
   daemoneye query -o users.parquet "SELECT user_name, count(*) FROM process_events GROUP BY 1"
   daemoneye query --explain --analyze "SELECT name, count(*) FROM process_events GROUP BY name"

"-" reads the statement from standard input. "daemoneye schema" lists the tables.
In Parquet each column has its type; numeric, inet and interval, which have none there, are text.
Times are in UTC. CSV is what "psql --csv" writes. In JSON a second column of the same name is called name_2.
What was lost of the tables read is reported on standard error as "incomplete: ...".`,
		Flags: append([]cli.Flag{
			formatFlag(parquetFormat + " (with -o; also by the file's name)"),
			&cli.BoolFlag{Name: "explain", Usage: "show the plan instead: what is read, what is left out, what is done with it. With --format json as a tree"},
			analyzeFlag(),
			&cli.StringFlag{Name: "timeout", Usage: "give up after `DURATION`, such as 500ms or 30s; an agent gives 1h at most", DefaultText: "the configuration's agent.query_timeout"},
			&cli.Int64Flag{Name: "max-rows", Usage: "fail when the result has more than `N` rows", DefaultText: "no limit"},
			repeatedFlag("param", "let :'NAME' in the statement stand for a value: `NAME=VALUE`; may be repeated"),
			repeatedFlag("input", "read `FILE` instead of the history; no agent is needed. It is "+fileTypes+". May be a pattern, and repeated: a table has the rows of all files"),
			&cli.StringFlag{Name: "table", Usage: "the rows of --input that do not name one are of the table `NAME`", DefaultText: "the statement's, if it reads one"},
		}, outputFlags()...),
		Action: run(query),
	}
}

func query(c *call) error {
	name, err := c.fileFormat(append(formats(), parquetFormat))
	if err != nil {
		return err
	}
	if err := c.exactly(1, "one statement; put it in quotes"); err != nil {
		return err
	}
	r := api.QueryRequest{SQL: c.Args().First(), MaxRows: c.Int64("max-rows")}
	if r.Timeout, err = c.timeout(); err != nil {
		return err
	}
	if r.MaxRows < 0 {
		return usage("", "--max-rows can not be negative")
	}
	if c.Bool("analyze") && !c.Bool("explain") {
		return usage("write --explain --analyze", "--analyze goes with --explain")
	}
	if r.Params, err = c.params(); err != nil {
		return err
	}
	inputs, err := c.inputs()
	if err != nil {
		return err
	}
	if r.SQL == "-" {
		if slices.Contains(inputs, "-") {
			return usage("", "the statement and the events can not both come from standard input")
		}
		text, err := io.ReadAll(io.LimitReader(c.input(), maxQuery))
		if err != nil {
			return fmt.Errorf("read statement: %w", err)
		}
		r.SQL = string(text)
	}
	if strings.TrimSpace(r.SQL) == "" {
		return usage("", "the statement is empty")
	}
	for name := range r.Params {
		if !mentions(r.SQL, name) {
			return usage(fmt.Sprintf("its value is written :'%s' there", name), "the statement has no parameter %q", name)
		}
	}
	if inputs == nil && c.IsSet("table") {
		return usage(`name the table in the statement: "SELECT ... FROM NAME"`, "--table goes with --input")
	}
	if c.Bool("explain") {
		if name == parquetFormat || c.IsSet("output") {
			return usage("", "a plan goes to standard output, and not as Parquet")
		}
		r.Explain = explainHow(c.Bool("analyze"))
		return c.explainQuery(inputs, &r, name)
	}
	progress := term.StartProgress(c.err, "query", "rows", 0)
	defer progress.Stop()
	e, err := c.queryEngine(inputs, &r, progress)
	if err != nil {
		return err
	}
	defer c.closing(e)
	d, err := c.openOutput(name, progress)
	if err != nil {
		return err
	}
	d.silent = inputs != nil // progress counts what is read
	return c.writeQuery(e, r, d)
}

// timeout is the value of --timeout, 0 when it is not given.
func (c *call) timeout() (time.Duration, error) {
	if !c.IsSet("timeout") {
		return 0, nil
	}
	d, err := config.ParseDuration(c.String("timeout"))
	switch {
	case err != nil:
		return 0, usage("", "--timeout = %q: expected a duration, such as 500ms, 30s, 1h30m or 30d", c.String("timeout"))
	case d < 0:
		return 0, usage("", "--timeout can not be negative")
	}
	return d, nil
}

func (c *call) explainQuery(inputs []string, r *api.QueryRequest, format string) error {
	progress := term.StartProgress(c.err, "explain", "rows", 0)
	defer progress.Stop()
	var e engine
	var err error
	if inputs == nil {
		e, err = c.planEngine(r.Explain == api.ExplainAnalyze)
	} else {
		e, err = c.queryEngine(inputs, r, progress)
	}
	if err != nil {
		return err
	}
	defer c.closing(e)
	return c.printPlan(e, *r, format, progress)
}

// params returns the values of --param.
func (c *call) params() (map[string]string, error) {
	values := map[string]string{}
	for _, p := range c.repeated("param") {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, usage("write --param name=value", "%q is not name=value", p)
		}
		if _, twice := values[name]; twice {
			return nil, usage("", "--param %s was given twice", name)
		}
		values[name] = value
	}
	return values, nil
}

// mentions reports whether :name or :'name' stands in the statement. It looks
// into strings and comments too: a parameter that is used is never missed.
func mentions(statement, name string) bool {
	if strings.Contains(statement, ":'"+name+"'") {
		return true
	}
	for rest := statement; ; {
		_, after, ok := strings.Cut(rest, ":"+name)
		if !ok {
			return false
		}
		next, _ := utf8.DecodeRuneInString(after)
		if after == "" || next < utf8.RuneSelf && next != '_' && !unicode.IsLetter(next) && !unicode.IsDigit(next) {
			return true
		}
		rest = after
	}
}

func (c *call) queryEngine(inputs []string, r *api.QueryRequest, progress *term.Progress) (engine, error) {
	if inputs == nil {
		return c.engine()
	}
	table := c.String("table")
	if table == "" {
		// What is wrong with the statement is said when it is run.
		if q, err := sql.Compile(r.SQL, sql.Config{Params: r.Params, Limits: sql.MaxLimits()}); err == nil && len(q.Tables()) == 1 {
			table = q.Tables()[0]
		}
	}
	return c.fileEngine(inputs, table, progress)
}
