// Package client is what people and scripts ask DaemonEye with: the
// subcommands that query, list, watch and check. They ask the agent over its
// socket; where none runs, the store at rest or a file answers.
//
// Exit status: 0 done, 1 it could not be done or the answer is "no", 2 wrong use.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"daemoneye/roles/api"
	"daemoneye/roles/config"
	"daemoneye/roles/term"
)

// SocketFlag is the flag of all client commands that names the agent's socket.
func SocketFlag() cli.Flag {
	return &cli.StringFlag{Name: "socket", Usage: "ask the agent at the socket `PATH` (also DAEMONEYE_SOCKET) instead of looking for it"}
}

// Commands returns the client's subcommands. The app that runs them may have
// the global flags --data-dir, --config, --log-level and --socket.
func Commands() []*cli.Command {
	return []*cli.Command{
		queryCommand(), exportCommand(), psCommand(), watchCommand(), rulesCommand(), sigmaCommand(), recordCommand(), replayCommand(), alertsCommand(),
		ledgerCommand(), healthCommand(), metricsCommand(), schemaCommand(), configCommand(), versionCommand(),
	}
}

// call is one run of a command.
type call struct {
	*cli.Context
	ctx context.Context // ends with Ctrl-C and SIGTERM
	out *term.Output    // standard output
	err *term.Output    // standard error: warnings and progress
}

var errInterrupted = errors.New("interrupted")

// run makes an action of f.
func run(f func(*call) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // a second signal ends the process as ever
		k := &call{Context: c, ctx: ctx, out: term.New(c.App.Writer, os.Getenv), err: term.New(c.App.ErrWriter, os.Getenv)}
		err := f(k)
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return errInterrupted
		}
		return err
	}
}

// input is what "-" stands for.
func (c *call) input() io.Reader {
	if c.App.Reader != nil {
		return c.App.Reader
	}
	return os.Stdin
}

// exactly refuses another number of arguments than n.
func (c *call) exactly(n int, what string) error {
	if c.NArg() == n {
		return nil
	}
	name := c.Command.Name
	if n == 0 {
		return usage(fmt.Sprintf("see %q", c.Command.HelpName+" --help"), "%s takes no argument", name)
	}
	return usage(fmt.Sprintf("see %q", c.Command.HelpName+" --help"), "%s takes %s", name, what)
}

// config loads the configuration of the instance that the flags name.
func (c *call) config() (*config.Config, error) {
	o := config.Options{File: c.String("config"), Flags: map[string]string{}}
	if c.IsSet("data-dir") {
		o.Flags["data_dir"] = c.String("data-dir")
	}
	if c.IsSet("log-level") {
		o.Flags["log.level"] = c.String("log-level")
	}
	if dirs := c.repeated("rules"); len(dirs) > 0 {
		o.Flags["rules.dirs"] = config.JoinList(dirs)
	}
	cfg, err := config.Load(o)
	if err != nil {
		return nil, configError(err)
	}
	if socket := c.socket(); socket != "" {
		if cfg.Paths.Socket, err = filepath.Abs(socket); err != nil {
			return nil, fmt.Errorf("socket %q: %w", socket, err)
		}
		cfg.Paths.System = ""
	}
	return cfg, nil
}

// socket is the one that was named, "" when the agent is to be found. A flag
// stands above the environment, --data-dir among them.
func (c *call) socket() string {
	switch {
	case c.String("socket") != "":
		return c.String("socket")
	case c.IsSet("data-dir"):
		return ""
	}
	return os.Getenv("DAEMONEYE_SOCKET")
}

func configError(err error) error {
	var bad *config.Error
	if errors.As(err, &bad) {
		return &Error{Err: err, Hint: `"daemoneye config check" checks it again`}
	}
	return err
}

// repeated is the value of a flag that may be given several times. Unlike
// cli.StringSlice it leaves commas alone.
type repeated []string

// Set adds a value.
func (r *repeated) Set(value string) error {
	*r = append(*r, value)
	return nil
}

func (r *repeated) String() string { return strings.Join(*r, " ") }

func repeatedFlag(name, usage string) cli.Flag {
	return &cli.GenericFlag{Name: name, Usage: usage, Value: &repeated{}}
}

func (c *call) repeated(name string) []string {
	if r, ok := c.Generic(name).(*repeated); ok && r != nil {
		return *r
	}
	return nil
}

// warn says something on standard error that does not end the command.
func (c *call) warn(format string, args ...any) {
	fmt.Fprintf(c.err, "%s\n", c.err.Text(fmt.Sprintf(format, args...)))
}

// note is a warn that nobody needs who does not look.
func (c *call) note(format string, args ...any) {
	if c.err.Terminal {
		c.warn(format, args...)
	}
}

// incomplete warns when something that the query read is missing.
func (c *call) incomplete(done api.QueryDone) {
	for _, reason := range done.Incomplete {
		c.warn("incomplete: %s", reason)
	}
}

// closing closes what was only read from: an error changes nothing, but is said.
func (c *call) closing(closer interface{ close() error }) {
	if err := closer.close(); err != nil {
		c.warn("%v", err)
	}
}
