// Package roles is the table of what this one binary can be, and the command
// line that leads there.
package roles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"daemoneye/platform"
	"daemoneye/roles/agent"
	"daemoneye/roles/client"
	"daemoneye/roles/collector"
	"daemoneye/roles/config"
	"daemoneye/roles/hasher"
	"daemoneye/roles/supervisor"
	"daemoneye/roles/term"
)

// links are the names of the executable's symbolic links, each with the
// command that it stands for; daemoneye-cli is the client itself.
func links() map[string][]string {
	return map[string][]string{
		"procmond":        {"procmond"},
		"daemoneye-agent": {"agent"},
		"daemoneye-cli":   nil,
	}
}

// Main runs the role that args (argv) name and returns the exit status: 0
// done, 1 it could not be done or the answer is no, 2 wrong use.
func Main(ctx context.Context, version string, args []string, stdout, stderr io.Writer) int {
	name, rest := "daemoneye", []string{}
	if len(args) > 0 {
		rest = args[1:]
		// The whole name must be equal: procmond-old is not procmond.
		if command, ok := links()[filepath.Base(args[0])]; ok {
			name, rest = filepath.Base(args[0]), slices.Concat(command, rest)
		}
	}
	if len(rest) == 3 && rest[0] == collector.Name && rest[1] == hasher.Name {
		return status(hasher.Main(rest[2]), stderr) // with no command line for people: it is small
	}
	app := newApp(stdout, stderr)
	app.Version = version
	app.Setup()
	err := app.RunContext(ctx, append([]string{name}, permute(app, rest)...))
	return status(err, stderr)
}

func newApp(stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:                      "daemoneye",
		DisableSliceFlagSeparator: true, // a directory's name may have a comma
		Usage:                     "watch this host's processes with SQL rules, keep their history, raise alerts",
		Description: `Start with "daemoneye run"; ask it things from another terminal:

   daemoneye run
   daemoneye ps --tree
   daemoneye query "SELECT name, count(*) FROM process_events GROUP BY name ORDER BY 2 DESC LIMIT 10"
   daemoneye watch alerts

As root it sees every process; otherwise it runs as you and says what it cannot see.`,
		Writer:         stdout,
		ErrWriter:      stderr,
		HideVersion:    true,
		Flags:          globalFlags(),
		ExitErrHandler: func(*cli.Context, error) {}, // only main exits
		OnUsageError:   usageError,
		Action:         noCommand,
	}
	app.Commands = slices.Concat(
		[]*cli.Command{supervisor.Command()},
		client.Commands(),
		[]*cli.Command{collector.Command(), agent.Command()},
	)
	app.Flags = append(app.Flags, client.SocketFlag())
	for _, c := range app.Commands {
		flags := globalFlags()
		if !slices.Contains(roleNames(), c.Name) {
			flags = append(flags, client.SocketFlag())
		}
		inherit([]*cli.Command{c}, flags)
	}
	prepare(app.Commands)
	return app
}

// roleNames are the commands that serve; the others ask.
func roleNames() []string { return []string{"run", "agent", collector.Name} }

func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "data-dir", Usage: "keep everything of this instance below `DIR` (also DAEMONEYE_DATA_DIR); client commands find the instance by it"},
		&cli.StringFlag{Name: "config", Usage: "read the configuration from `FILE` alone instead of the usual places"},
		&cli.StringFlag{Name: "log-level", Usage: "`LEVEL` of the log: debug, info, warn or error"},
	}
}

// prepare makes every command refuse wrong use in the same way. A command
// without ArgsUsage takes no argument.
func prepare(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = usageError
		if action := c.Action; c.ArgsUsage == "" && action != nil && len(c.Subcommands) == 0 {
			c.Action = func(ctx *cli.Context) error {
				if ctx.Args().Present() {
					return usageError(ctx, fmt.Errorf("%s takes no argument, got %q", ctx.Command.Name, ctx.Args().First()), true)
				}
				return action(ctx)
			}
		}
		if len(c.Subcommands) > 0 {
			c.Action = noCommand
			prepare(c.Subcommands)
		}
	}
}

func usageError(c *cli.Context, err error, _ bool) error {
	name := c.App.Name
	if c.Command != nil && c.Command.HelpName != "" {
		name = c.Command.HelpName // the whole path
	}
	return &term.UsageError{Message: err.Error(), Hint: fmt.Sprintf("see %q", name+" --help")}
}

// noCommand is the action of the app and of groups of commands: what they were
// called with names no command.
func noCommand(c *cli.Context) error {
	commands, name := c.App.Commands, c.App.Name
	if c.Command != nil && len(c.Command.Subcommands) > 0 && c.Command.Name != name {
		commands, name = c.Command.Subcommands, name+" "+c.Command.Name
	}
	if !c.Args().Present() {
		if err := cli.ShowSubcommandHelp(c); err != nil {
			return err
		}
		return &term.UsageError{}
	}
	var names []string
	for _, k := range commands {
		if !k.Hidden {
			names = append(names, k.Name)
		}
	}
	return &term.UsageError{
		Message: fmt.Sprintf("%s has no command %q", name, c.Args().First()),
		Hint:    "it has: " + strings.Join(names, ", "),
	}
}

// status prints err for a person and returns the exit status.
func status(err error, stderr io.Writer) int {
	var usage *term.UsageError
	var permanent *agent.PermanentError
	var settings *config.Error
	switch {
	case err == nil:
		return 0
	case errors.Is(err, client.ErrNo):
		return 1
	case errors.As(err, &settings):
		client.PrintError(stderr, err)
		if slices.ContainsFunc(settings.Problems, func(p config.Problem) bool { return !strings.HasPrefix(p.Where, "--") }) {
			return 1
		}
		return 2 // nothing but flags is wrong
	case errors.As(err, &permanent):
		return platform.ExitConfig // of a role, to its supervisor
	case errors.Is(err, syscall.EPIPE):
		return 1 // whoever read the output has gone
	case errors.As(err, &usage):
		if usage.Message != "" {
			client.PrintError(stderr, err)
		}
		return 2
	}
	client.PrintError(stderr, err)
	return 1
}
