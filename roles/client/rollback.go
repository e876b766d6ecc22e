package client

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/roles/api"
	"daemoneye/roles/ruleset"
	"daemoneye/roles/term"
)

func rulesHistoryCommand(textOrJSON cli.Flag) *cli.Command {
	return &cli.Command{
		Name:  "history",
		Usage: "list the sets of rules that were in force, and what each changed",
		Description: `   daemoneye rules history
   daemoneye rules history --format json

A set is what the directories of rules held when it was put in force: rules, lists, exceptions and packs, without the
rules that come with DaemonEye. Of the sets the last 10 are kept beside the store (64 MiB at most, a set of 32 MiB at
most before it is compressed). +ID is a rule that the set before did not have, -ID one that it had, ~ID one with another
text; in JSON with their hashes.`,
		Flags:  []cli.Flag{textOrJSON},
		Action: run(rulesHistory),
	}
}

func rulesRollbackCommand(textOrJSON cli.Flag) *cli.Command {
	return &cli.Command{
		Name:      "rollback",
		Usage:     "put an earlier set of rules in force",
		ArgsUsage: "[NUMBER]",
		Description: `   daemoneye rules rollback
   daemoneye rules rollback 12
   daemoneye rules rollback --end

NUMBER is one of "daemoneye rules history"; without it, it is the set before the one in force. All of its rules are put in
force in one step, with its lists and exceptions, or none when one of them is refused now. No file is changed. The set
stays, also after a restart, and changed files are not read, until "daemoneye rules reload", "daemoneye rules pack
install" or --end, which is a reload, puts in force what the directories hold then; SIGHUP does not. Until then
"daemoneye health" and "daemoneye rules list" say so. The rules that come with DaemonEye stay, and what "enable" and
"disable" have switched holds for all sets.`,
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "end", Usage: "put in force again what the directories of rules hold"}, textOrJSON},
		Action: run(rulesRollback),
	}
}

func rulesHistory(c *call) error {
	asJSON, err := c.wantJSON()
	if err != nil {
		return err
	}
	if err := c.exactly(0, ""); err != nil {
		return err
	}
	h, err := c.ruleHistory()
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(c.out, h)
	}
	list := newListing("set bigint", "in_force boolean", "time timestamptz", "by text", "rules bigint", "changes text")
	for i := range h.Sets {
		s := &h.Sets[i]
		if s.Error != "" {
			list.add(int64(s.Number), nil, nil, nil, nil, s.Error)
			continue
		}
		list.add(int64(s.Number), s.Number == h.InForce, s.Time, s.By, s.Rules, changesText(&s.Changes))
	}
	c.warnRolledBack(h.RolledBack)
	return list.print(newPrinter(c.out, "table"))
}

// ruleHistory asks the agent, or reads what it has left.
func (c *call) ruleHistory() (*api.RuleHistory, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	conn, socket, err := c.dial(cfg)
	if err == nil {
		defer conn.Close()
		return ask[api.RuleHistory](c.ctx, conn, socket, api.RulesHistory, nil)
	}
	var none *noAgentError
	if !errors.As(err, &none) || none.named {
		return nil, err
	}
	c.warn("the agent is not running; this is what it has kept at %s", cfg.Paths.Store)
	sets, err := ruleset.List(cfg.Paths.Store)
	if err != nil {
		return nil, err
	}
	h := &api.RuleHistory{Sets: []api.RuleSet{}}
	for i := range sets {
		h.Sets = append(h.Sets, sets[i].Reply())
	}
	rolled, err := ruleset.ReadRollback(cfg.Paths.Store)
	if err == nil && rolled != nil {
		h.InForce = rolled.Set
		h.RolledBack = &api.RolledBack{Set: rolled.Set, Since: rolled.Time, UID: rolled.UID}
	}
	return h, err
}

// warnRolledBack says that files are not what is in force.
func (c *call) warnRolledBack(r *api.RolledBack) {
	if r != nil {
		c.warn("%s", rolledBackText(r))
	}
}

func rolledBackText(r *api.RolledBack) string {
	return fmt.Sprintf("rolled back to set %d by uid %d since %s: changed files are not read until daemoneye rules reload", r.Set, r.UID, stamp(r.Since))
}

// changesText names some of the changes, for a line.
func changesText(c *api.RuleChanges) string {
	var list []string
	for _, kind := range []struct {
		sign string
		of   *api.RuleChange
	}{{"+", &c.Added}, {"-", &c.Removed}, {"~", &c.Changed}, {"", &c.Files}} {
		const most = 5
		for _, e := range kind.of.First[:min(most, len(kind.of.First))] {
			list = append(list, kind.sign+e.ID)
		}
		if more := kind.of.Count - most; more > 0 {
			list = append(list, fmt.Sprintf("%s%d more", kind.sign, more))
		}
	}
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

func rulesRollback(c *call) error {
	if c.Bool("end") {
		if err := c.exactly(0, ""); err != nil {
			return err
		}
		return rulesReload(c) // which ends it
	}
	asJSON, err := c.wantJSON()
	if err != nil {
		return err
	}
	var r api.Rollback
	if c.NArg() > 0 {
		if err := c.exactly(1, "the number of a set"); err != nil {
			return err
		}
		if r.Set, err = strconv.ParseUint(c.Args().First(), 10, 64); err != nil || r.Set == 0 {
			return usage(`"daemoneye rules history" shows the numbers`, "%q is not the number of a set", c.Args().First())
		}
	}
	body, err := msgpack.Marshal(r)
	if err != nil {
		return err
	}
	reply, err := askAgent[api.RollbackReply](c, api.RulesRollback, body)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(c.out, reply)
	}
	if !reply.Changed {
		_, err = fmt.Fprintf(c.out, "set %d is in force already\n", reply.Set.Number)
		return err
	}
	text := fmt.Sprintf("set %d of %s is in force, with %s", reply.Set.Number, stamp(reply.Set.Time), term.Plural(int64(reply.Set.Rules), "rule", "rules"))
	if reply.Changes != nil {
		text += ": " + changesText(reply.Changes)
	}
	_, err = fmt.Fprintf(c.out, "%s\nuntil daemoneye rules reload or daemoneye rules rollback --end\n", c.out.Text(text))
	return err
}

// tellRollback warns when what the agent runs is not what the files hold.
func (c *call) tellRollback(e engine) error {
	agent, ok := e.(*agentEngine)
	if !ok {
		return nil
	}
	h, err := ask[api.RuleHistory](c.ctx, agent.conn, "", api.RulesHistory, nil)
	if err == nil {
		c.warnRolledBack(h.RolledBack)
	}
	return err
}
