package client

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"daemoneye/rules"
)

func rulesAttackCommand() *cli.Command {
	return &cli.Command{
		Name:      "attack",
		Usage:     "show what of ATT&CK the rules are tagged with, by tactic and technique",
		ArgsUsage: "[FILE|DIR...]",
		Description: `   daemoneye rules attack
   daemoneye rules attack ./my-rules --format json
   daemoneye rules attack --navigator layer.json

Without arguments it is of the rules that the agent runs, or would run. Disabled rules do not count.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "table", Usage: "`FORMAT` of the output: table (text for people), json"},
			&cli.StringFlag{Name: "navigator", Usage: "write a layer for the ATT&CK Navigator to `FILE`, which must not exist"},
		},
		Action: run(rulesAttack),
	}
}

func rulesAttack(c *call) error {
	asJSON, err := c.wantJSON()
	if err != nil {
		return err
	}
	var set *rules.Set
	if c.NArg() > 0 {
		set, err = c.ruleArguments(false)
	} else {
		cfg, failed := c.config()
		if err = failed; err == nil {
			set = c.instanceRules(cfg)
		}
	}
	if err != nil {
		return err
	}
	for _, r := range refusals(set) {
		c.warn("refused: %s", r.Message)
	}
	a := set.Attack()
	if name := c.String("navigator"); name != "" {
		var b bytes.Buffer
		if err := a.WriteNavigator(&b); err != nil {
			return err
		}
		if err := writeNew(name, b.Bytes()); err != nil {
			return fmt.Errorf("write layer: %w", err)
		}
		c.note("wrote %s", name)
	}
	if asJSON {
		return writeJSON(c.out, a)
	}
	list := newListing("attack text", "count bigint", "rules text")
	for _, items := range [][]rules.AttackItem{a.Tactics, a.Techniques} {
		for _, item := range items {
			list.add(item.ID, int64(len(item.Rules)), strings.Join(item.Rules, ", "))
		}
	}
	if len(a.Untagged) > 0 {
		list.add("no technique", int64(len(a.Untagged)), strings.Join(a.Untagged, ", "))
	}
	return list.print(newPrinter(c.out, "table"))
}
