package client

import (
	"bytes"
	"iter"
	"os"

	"github.com/urfave/cli/v2"

	"daemoneye/bus/event"
	"daemoneye/roles/history"
	"daemoneye/roles/term"
	"daemoneye/rules"
)

func replayCommand() *cli.Command {
	return &cli.Command{
		Name:      "replay",
		Usage:     "feed recorded events through rules and print the alerts as JSON Lines; no agent is needed",
		ArgsUsage: "EVENTS|-",
		Description: `   daemoneye replay --rules ./my-rules events.jsonl
   daemoneye replay --builtin --table scans scans.parquet
   daemoneye query "SELECT * FROM process_events" --format jsonl | daemoneye replay --builtin -

EVENTS is ` + fileTypes + `.
The same events and rules give the same alerts with the same ids. Rules over history run once, at the end.`,
		Flags: []cli.Flag{
			repeatedFlag("rules", "use the rules of `DIR` or of one file; may be repeated"),
			&cli.BoolFlag{Name: "builtin", Usage: "use the rules that come with DaemonEye"},
			&cli.StringFlag{Name: "table", Usage: "the table `NAME` of rows that do not name one themselves", Value: "process_events"},
		},
		Action: run(replay),
	}
}

func replay(c *call) error {
	if err := c.exactly(1, "one file of events"); err != nil {
		return err
	}
	var sources []rules.Source
	if c.Bool("builtin") {
		sources = append(sources, rules.Builtin())
	}
	for _, dir := range c.repeated("rules") {
		sources = append(sources, rules.Dir(dir))
	}
	if len(sources) == 0 {
		return usage("use --rules DIR, --builtin or both", "no rules were named")
	}
	file := &fileSource{paths: []string{c.Args().First()}}
	if name := c.String("table"); name != "" {
		t, err := lookupTable(name)
		if err != nil {
			return err
		}
		file.table = t
	}
	cfg, err := c.config()
	if err != nil {
		return err
	}
	set := rules.Load(rules.LoadConfig{SQL: sqlConfig(cfg), Packs: anyPack}, sources...)
	for _, r := range refusals(set) {
		c.warn("refused: %s", r.Message)
	}
	progress := term.StartProgress(c.err, "replay", "rows", 0)
	defer progress.Stop()
	result, err := rules.Replay(c.ctx, set, counted(file.batches(c.ctx), progress), rules.ReplayConfig{Matcher: history.MatcherConfig(cfg, history.Resources(cfg, os.TempDir()))})
	progress.Stop()
	if err != nil {
		return err
	}
	file.report(c)
	for _, s := range result.Stats {
		if s.Failed > 0 && s.Error != nil {
			c.warn("rule %s failed %s: %s", s.Rule.ID, term.Plural(s.Failed, "time", "times"), s.Error.Message)
		}
	}
	if err := writeAlerts(c.out, result); err != nil {
		return err
	}
	if result.Excluded > 0 {
		c.note("%s excluded by exceptions", term.Plural(result.Excluded, "match was", "matches were"))
	}
	c.note("%s, %s", term.Plural(result.Rows, "row", "rows"), term.Plural(int64(len(result.Alerts)), "alert", "alerts"))
	if len(set.Refused) > 0 {
		return ErrNo
	}
	return nil
}

// writeAlerts writes JSON Lines.
func writeAlerts(out *term.Output, result *rules.ReplayResult) error {
	if !out.Terminal {
		return result.WriteJSON(out)
	}
	var b bytes.Buffer
	if err := result.WriteJSON(&b); err != nil {
		return err
	}
	_, err := out.Write(out.JSON(b.Bytes()))
	return err
}

// counted shows the batches that pass.
func counted(batches iter.Seq2[*event.Batch, error], progress *term.Progress) iter.Seq2[*event.Batch, error] {
	return func(yield func(*event.Batch, error) bool) {
		for b, err := range batches {
			if b != nil {
				progress.Add(int64(b.Rows))
			}
			if !yield(b, err) {
				return
			}
		}
	}
}
