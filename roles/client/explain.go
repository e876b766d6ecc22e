package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/history"
	"daemoneye/roles/term"
	"daemoneye/rules"
	"daemoneye/rules/sql"
	"daemoneye/store"
)

func analyzeFlag() cli.Flag {
	return &cli.BoolFlag{Name: "analyze", Usage: "also run it, and say how many rows each step gave and how long it took"}
}

func explainHow(analyze bool) string {
	if analyze {
		return api.ExplainAnalyze
	}
	return api.ExplainPlan
}

// printPlan prints the answer to a request for an explanation: the tree as
// indented JSON, else as rows in the format.
func (c *call) printPlan(e engine, r api.QueryRequest, format string, progress *term.Progress) error {
	if format == "json" {
		return c.printTree(e, r, progress)
	}
	p := newPrinter(c.out, format)
	r.JSON = p.json()
	header := func(columns []api.QueryColumn) error {
		progress.Stop()
		for i := range columns {
			columns[i].Type = rigidText // a plan that is cut says something else
		}
		return p.header(columns)
	}
	done, err := e.query(c.ctx, r, header, p.rows)
	if err == nil {
		err = p.close(done.Rows)
	}
	if err == nil {
		c.incomplete(done)
	}
	return err
}

func (c *call) printTree(e engine, r api.QueryRequest, progress *term.Progress) error {
	r.Tree, r.JSON = true, true
	var b bytes.Buffer
	done, err := e.query(c.ctx, r, func([]api.QueryColumn) error { return nil }, func(cells [][]byte) error {
		for _, cell := range cells {
			if err := json.Indent(&b, cell, "", "  "); err != nil {
				return fmt.Errorf("read plan: %w", err)
			}
			b.WriteByte('\n')
		}
		return nil
	})
	if err != nil {
		return err
	}
	progress.Stop()
	if _, err := c.out.Write(c.out.JSON(b.Bytes())); err != nil {
		return err
	}
	c.incomplete(done)
	return nil
}

// planEngine is an engine for plans alone: where there is no history, there is
// still a plan.
func (c *call) planEngine(analyze bool) (engine, error) {
	e, err := c.engine()
	var none *noAgentError
	if err == nil || analyze || !errors.Is(err, store.ErrNotExist) && !(errors.As(err, &none) && !none.named) {
		return e, err
	}
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	c.warn("there is no history: nothing is estimated")
	return &localEngine{source: noHistory{}, limits: history.Limits(cfg), lists: sqlConfig(cfg).Lists, matcher: history.MatcherConfig(cfg, history.Resources(cfg, os.TempDir()))}, nil
}

type noHistory struct{}

// Scan implements sql.Source.
func (noHistory) Scan(context.Context, sql.ScanRequest, func(*event.Batch) error) error { return nil }

func rulesExplainCommand() *cli.Command {
	return &cli.Command{
		Name:      "explain",
		Usage:     "show when a rule runs, how far back it sees, and its plan",
		ArgsUsage: "FILE|ID",
		Description: `   daemoneye rules explain new.sql
   daemoneye rules explain exec-from-temp
   daemoneye rules explain new.sql --analyze
   daemoneye rules explain new.sql --format json

The estimates are those of the agent's history, or of the store at rest.`,
		Flags: []cli.Flag{
			analyzeFlag(),
			&cli.StringFlag{Name: "format", Value: "table", Usage: "`FORMAT` of the output: table (text for people), json"},
			&cli.StringFlag{Name: "timeout", Usage: "give up after `DURATION`, such as 500ms or 30s; an agent gives 1h at most", DefaultText: "the configuration's agent.query_timeout"},
		},
		Action: run(rulesExplain),
	}
}

func rulesExplain(c *call) error {
	asJSON, err := c.wantJSON()
	if err != nil {
		return err
	}
	if err := c.exactly(1, "the file or the id of one rule"); err != nil {
		return err
	}
	r := api.QueryRequest{Rule: true, Explain: explainHow(c.Bool("analyze"))}
	if r.Timeout, err = c.timeout(); err != nil {
		return err
	}
	if r.SQL, err = c.ruleText(c.Args().First()); err != nil {
		return err
	}
	e, err := c.planEngine(c.Bool("analyze"))
	if err != nil {
		return err
	}
	defer c.closing(e)
	progress := term.StartProgress(c.err, "explain", "rows", 0)
	defer progress.Stop()
	if asJSON {
		return c.printTree(e, r, progress)
	}
	var b strings.Builder
	done, err := e.query(c.ctx, r, func([]api.QueryColumn) error { return nil }, func(lines [][]byte) error {
		for _, line := range lines {
			b.WriteString(c.out.Text(string(line)) + "\n")
		}
		return nil
	})
	if err != nil {
		return err
	}
	progress.Stop()
	if _, err := fmt.Fprint(c.out, b.String()); err != nil {
		return err
	}
	c.incomplete(done)
	return nil
}

// ruleText returns the text of a rule, named by its file or its id; of a file
// that is not good it says why on standard error.
func (c *call) ruleText(name string) (string, error) {
	cfg, err := c.config()
	if err != nil {
		return "", err
	}
	switch info, err := os.Stat(name); {
	case err == nil && info.IsDir():
		return "", usage("name the file of one rule", "%s is a directory", name)
	case errors.Is(err, fs.ErrNotExist):
		for _, r := range loadRules(cfg).Rules {
			if r.ID == name {
				return r.Text()
			}
		}
		return "", &Error{Err: fmt.Errorf("%q is neither a file nor the id of a rule", name), Hint: `"daemoneye rules list" shows the rules there are`}
	}
	set := rules.Load(rules.LoadConfig{SQL: sqlConfig(cfg), Packs: anyPack}, rules.Dir(name))
	if len(set.Rules) == 0 {
		var b strings.Builder
		for _, r := range refusals(set) {
			writeRefusal(&b, r)
		}
		if _, err := fmt.Fprint(c.err, b.String()); err != nil {
			return "", err
		}
		return "", ErrNo
	}
	for _, w := range set.Rules[0].Warnings() {
		c.warn("%s: warning: %s", set.Rules[0].File, w)
	}
	text, err := os.ReadFile(name) // it is small: it was just loaded
	if err != nil {
		return "", err
	}
	return string(text), nil
}
