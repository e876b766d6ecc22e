package client

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"daemoneye/roles/config"
)

func configCommand() *cli.Command {
	return &cli.Command{
		Name:  "config",
		Usage: "show or check the configuration",
		Subcommands: []*cli.Command{
			{
				Name:  "show",
				Usage: "print every setting, its value and where it came from",
				Description: `   daemoneye config show
   DAEMONEYE_COLLECTOR__INTERVAL=5s daemoneye config show --format json
   daemoneye config show --example > config.yaml`,
				Flags: []cli.Flag{
					formatFlag(),
					&cli.BoolFlag{Name: "example", Usage: "print a file with every setting at its default, commented out, instead"},
				},
				Action: run(configShow),
			},
			{
				Name:      "check",
				Usage:     "check the configuration, or one file of it; exit status 1 with all problems",
				ArgsUsage: "[FILE]",
				Description: `   daemoneye config check
   daemoneye config check ./config.yaml

It also looks at what a start would fail on: users, directories of rules and the alert file.`,
				Action: run(configCheck),
			},
		},
	}
}

func configShow(c *call) error {
	name, err := format(c.Context)
	if err != nil {
		return err
	}
	if err := c.exactly(0, ""); err != nil {
		return err
	}
	if c.Bool("example") {
		return config.WriteExample(c.out)
	}
	cfg, err := c.config()
	if err != nil {
		return err
	}
	if name == "table" {
		list := newListing("key text", "value text", "source text")
		for _, e := range cfg.Entries() {
			list.add(e.Key, e.Value, e.Source)
		}
		return list.print(newPrinter(c.out, name))
	}
	list := newListing("key text", "value text", "source text", "description text")
	for _, e := range cfg.Entries() {
		list.add(e.Key, e.Value, e.Source, e.Doc)
	}
	return list.print(newPrinter(c.out, name))
}

func configCheck(c *call) error {
	if c.NArg() > 1 {
		return usage("", "config check takes one file or none")
	}
	var cfg *config.Config
	var err error
	if file := c.Args().First(); file != "" {
		cfg, err = config.Load(config.Options{File: file})
	} else {
		cfg, err = c.config()
	}
	var bad *config.Error
	var problems []config.Problem
	switch {
	case errors.As(err, &bad):
		problems = bad.Problems
	case err != nil:
		return err
	default:
		problems = startProblems(cfg)
	}
	for _, p := range problems {
		fmt.Fprintln(c.out, c.out.Text(p.String()))
	}
	if len(problems) > 0 {
		return ErrNo
	}
	_, err = fmt.Fprintln(c.out, "the configuration is good")
	return err
}
