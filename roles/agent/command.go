package agent

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"daemoneye/platform"
	"daemoneye/roles/config"
	"daemoneye/roles/fact"
	"daemoneye/roles/handoff"
	"daemoneye/roles/log"
	"daemoneye/roles/term"
)

// Name is the role's name, in argv[0] and in the log.
const Name = "daemoneye-agent"

// Command is "daemoneye agent".
func Command() *cli.Command {
	return &cli.Command{
		Name:  "agent",
		Usage: "run the agent alone: store, rules, alerts and the socket for clients",
		Description: `"daemoneye run" starts it together with the collector; alone it is for service
managers and tests. It makes a token in the data directory with which
"daemoneye procmond" of the same user can connect.

   daemoneye agent --data-dir /srv/daemoneye`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "rules", Usage: "load the rules of `DIR` beside the built-in ones (may be repeated)"},
			&cli.BoolFlag{Name: "supervised", Hidden: true},
		},
		Action: command,
	}
}

func command(c *cli.Context) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP)
	defer signal.Stop(signals)
	// A process group in the background may write to its terminal.
	ignoreBackgroundWrites()
	// Go ends a program that writes to a standard output nobody reads any more.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if c.Bool("supervised") {
		return supervised(ctx, c.App.Version, signals)
	}
	return alone(ctx, c, signals)
}

// supervised runs with what the supervisor hands over.
func supervised(ctx context.Context, version string, reload <-chan os.Signal) error {
	child, start, err := handoff.Inherited()
	if err != nil {
		return err
	}
	cfg, err := config.Unmarshal(start.Config)
	if err != nil {
		return err
	}
	logger, err := newLog(cfg, start.Correlation)
	if err != nil {
		return err
	}
	if err := platform.Confine(Name); err != nil && !errors.Is(err, platform.ErrNotSupported) {
		logger.Warn("confine", zap.Error(err))
	}
	users := roleUsers(cfg)
	program := fact.OpenProgram() // before the cage
	walls := confine(cfg, start.Dirs, logger)
	logPrivileges(logger)
	cores := tune(cfg)
	run := Config{
		Config: cfg, Log: logger, Version: version, Token: start.Token, Tokens: child.Follow, Dirs: start.Dirs, Users: users, Walls: &walls,
		Reload: reload, Restarts: start.Restarts, Supervisor: start.Supervisor, Verbose: start.Verbose, Invocation: start.Invocation, Cores: cores, Killed: start.Killed, Program: program,
	}
	if start.Print {
		run.Out = term.New(os.Stdout, os.Getenv)
	}
	err = Run(ctx, run)
	var permanent *PermanentError
	switch {
	case err == nil:
	case errors.As(err, &permanent) && handoff.Tell(start.Reason, permanent.Err):
		logger.Info("agent ends", zap.Error(err)) // the supervisor says it to whoever started it
	default:
		handoff.Tell(start.Reason, err) // for the line that says that it is started again
		logger.Error("agent ends", zap.Error(err))
	}
	return err
}

// alone runs as it is called by hand or by a service manager.
func alone(ctx context.Context, c *cli.Context, reload <-chan os.Signal) error {
	flags := map[string]string{}
	for flag, key := range map[string]string{"data-dir": "data_dir", "log-level": "log.level"} {
		if c.IsSet(flag) {
			flags[key] = c.String(flag)
		}
	}
	if c.IsSet("rules") {
		flags["rules.dirs"] = config.JoinList(c.StringSlice("rules"))
	}
	cfg, err := config.Load(config.Options{File: c.String("config"), Flags: flags})
	if err != nil {
		return err
	}
	logger, err := newLog(cfg, "")
	if err != nil {
		return err
	}
	logPrivileges(logger)
	cores := tune(cfg)
	err = Run(ctx, Config{
		Config: cfg, Log: logger, Version: c.App.Version, TokenFile: cfg.Paths.Token, Reload: reload, Cores: cores, Users: roleUsers(cfg), Program: fact.OpenProgram(),
	})
	var permanent *PermanentError
	if errors.As(err, &permanent) {
		return permanent.Err // no supervisor would start it again
	}
	return err
}

// tune trades a little CPU for memory, since the agent shares its host with what
// the host is for, and makes room for the threads of queries
// beside the others: see platform.Background. It returns how many cores there are.
func tune(cfg *config.Config) (cores int) {
	debug.SetGCPercent(50)
	if cfg.Agent.Memory > 0 {
		debug.SetMemoryLimit(cfg.Agent.Memory)
	}
	cores = runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(2 * cores)
	return cores
}

func newLog(cfg *config.Config, correlation string) (*zap.Logger, error) {
	stderr := term.New(os.Stderr, os.Getenv)
	return log.New(log.Config{
		Role: Name, Level: cfg.Log.Level, Format: cfg.Log.Format, Correlation: correlation,
		Terminal: stderr.Terminal, Color: stderr.Color,
	})
}

// logPrivileges says what this role holds, as the kernel reports it.
func logPrivileges(logger *zap.Logger) {
	s, err := platform.ReadStatus(os.Getpid())
	if err != nil {
		logger.Warn("read own privileges", zap.Error(err))
		return
	}
	logger.Info("privileges", zap.Int("uid", s.UID), zap.Int("gid", s.GID), zap.Strings("kept", s.Permitted),
		zap.Strings("dropped", s.Dropped()), zap.Strings("bounding", s.Bounding), zap.Bool("no_new_privs", s.NoNewPrivs))
}
