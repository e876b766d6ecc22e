package collector

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"daemoneye/bus"
	"daemoneye/platform"
	"daemoneye/platform/procfs"
	"daemoneye/roles/api"
	"daemoneye/roles/config"
	"daemoneye/roles/fact"
	"daemoneye/roles/handoff"
	"daemoneye/roles/log/core"
	"daemoneye/roles/term"
)

// Name is the role's name, in argv[0] and in the log.
const Name = "procmond"

// Command is "daemoneye procmond", and procmond.
func Command() *cli.Command {
	return &cli.Command{
		Name:  Name,
		Usage: "run the collector alone, or with --once scan the processes one time and print them",
		Description: `"daemoneye run" starts it together with the agent. With --once it needs no agent;
else it connects to the agent of the same data directory and user. As root it
starts "procmond hasher", which keeps two capabilities to read and hash for it,
and with eBPF gives up all of its own.

   daemoneye procmond --once
   daemoneye procmond --once --verbose --format json
   daemoneye procmond --data-dir /srv/daemoneye --interval 5s`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "once", Usage: "scan one time, print, and end"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "with --once: more columns, and a summary on standard error"},
			&cli.StringFlag{Name: "format", Value: "table", Usage: "with --once: `FORMAT` is table or json (a line per process)"},
			&cli.StringFlag{Name: "interval", Usage: "time between two scans, such as 500ms or 30s"},
			&cli.BoolFlag{Name: "no-redact", Usage: "keep secrets in arguments as they are"},
			&cli.BoolFlag{Name: "supervised", Hidden: true},
		},
		Action: action,
	}
}

func action(c *cli.Context) error {
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if c.Bool("supervised") {
		return supervised(ctx, c.App.Version)
	}
	format := c.String("format")
	switch {
	case c.Args().Present():
		return &term.UsageError{Message: fmt.Sprintf("procmond takes no argument, got %q", c.Args().First()), Hint: `see "daemoneye procmond --help"`}
	case format != "table" && format != "json":
		return &term.UsageError{Message: fmt.Sprintf("format %q", format), Hint: "formats are table and json"}
	case !c.Bool("once") && (c.IsSet("format") || c.IsSet("verbose")):
		return &term.UsageError{Message: "--format and --verbose go with --once", Hint: "without --once nothing is printed: the processes go to the agent"}
	}
	cfg, err := load(c)
	if err != nil {
		return err
	}
	logger, err := newLog(cfg, "")
	if err != nil {
		return err
	}
	run := FromConfig(cfg, logger)
	run.Version = c.App.Version
	if c.Bool("once") {
		return Once(ctx, run, OnceConfig{
			Format: format, Verbose: c.Bool("verbose"), Out: term.New(os.Stdout, os.Getenv), Err: term.New(os.Stderr, os.Getenv),
		})
	}
	logPrivileges(logger)
	if run.Hasher, err = startHasher(ctx, run, cfg.Collector.User); err != nil {
		return err
	}
	defer closeHasher(run)
	if run.Ledger, err = ledgerConfig(cfg, nil, 0); err != nil {
		return err
	}
	run.Dial = func(ctx context.Context) (*bus.Conn, error) {
		token, err := readToken(cfg.Paths.Token) // each time: an agent that was started again has a new one
		if err != nil {
			return nil, err
		}
		return bus.Dial(ctx, cfg.Paths.Socket, bus.DialConfig{Token: &token})
	}
	return Run(ctx, run)
}

// load merges the configuration with the flags.
func load(c *cli.Context) (*config.Config, error) {
	flags := map[string]string{}
	for flag, key := range map[string]string{"data-dir": "data_dir", "log-level": "log.level", "interval": "collector.interval"} {
		if c.IsSet(flag) {
			flags[key] = c.String(flag)
		}
	}
	if c.Bool("no-redact") {
		flags["collector.redact.enabled"] = "false"
	}
	return config.Load(config.Options{File: c.String("config"), Flags: flags})
}

func newLog(cfg *config.Config, correlation string) (*core.Logger, error) {
	stderr := term.New(os.Stderr, os.Getenv)
	c, err := core.New(core.Config{
		Role: Name, Level: cfg.Log.Level, Format: cfg.Log.Format, Correlation: correlation,
		Terminal: stderr.Terminal, Color: stderr.Color,
	})
	if err != nil {
		return nil, err
	}
	return core.NewLogger(c), nil
}

// readToken reads what an agent that was started by hand has written.
func readToken(path string) (token bus.Token, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return token, fmt.Errorf("read token: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(key) != len(token) {
		return token, fmt.Errorf("%q holds no token", path)
	}
	copy(token[:], key)
	return token, nil
}

// FromConfig returns what the operator's configuration says, without Dial.
func FromConfig(cfg *config.Config, logger *core.Logger) Config {
	c := cfg.Collector
	paths, reads := c.Files.Watched()
	return Config{
		Interval: c.Interval, SampleInterval: c.SampleInterval, Log: logger,
		NoKernel:     c.Source == api.SourceProc,
		Scan:         procfs.Config{MaxCommandLine: int(c.CommandLineLimit), Environment: c.Environment},
		WatchedPaths: paths, WatchedReads: reads, UnixSockets: c.UnixSockets,
		NoEBPF: c.Source == api.SourceNetlink, OnlyEBPF: c.Source == "ebpf",
		Redaction: Redaction{Off: !c.Redact.Enabled, Options: c.Redact.Options, Patterns: c.Redact.Patterns},
		NoHash:    !c.Hash.Enabled,
		Hash:      procfs.HasherConfig{Rate: c.Hash.Rate, MaxFile: c.Hash.MaxFile, Cache: int(c.Hash.Cache)},
	}
}

// ledgerConfig is about the ledger of an instance. The capabilities with which
// this role could go to it by name are given up before it is opened.
func ledgerConfig(cfg *config.Config, dirs map[string]int, restarts int) (LedgerConfig, error) {
	dir := cfg.Paths.Ledger
	if fd, ok := dirs[dir]; ok {
		if inherited := fmt.Sprintf("/proc/self/fd/%d", fd); exists(inherited) {
			dir = inherited
		}
	}
	encoded, err := cfg.Marshal()
	return LedgerConfig{
		Dir: dir, Name: cfg.Paths.Ledger, Program: fact.OpenProgram(), Configuration: fact.Hash(encoded), Restarts: restarts,
		Witnesses: cfg.Ledger.Witnesses,
	}, err
}

// supervised is the role as the supervisor starts it: the configuration and
// the token come over the inherited pipe, and its end is the order to stop.
func supervised(ctx context.Context, version string) error {
	signal.Ignore(syscall.SIGHUP)  // there is nothing to load again
	signal.Ignore(syscall.SIGPIPE) // of a log that nobody reads any more
	pipe, start, err := handoff.Inherited()
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
	var token bus.Token
	if len(start.Token.Key) != len(token) {
		return fmt.Errorf("the supervisor's token has %d bytes, want %d", len(start.Token.Key), len(token))
	}
	copy(token[:], start.Token.Key)
	run := FromConfig(cfg, logger)
	if run.Ledger, err = ledgerConfig(cfg, start.Dirs, start.Restarts); err != nil {
		return err
	}
	socket, dir := reachable(cfg.Paths.Socket)
	run.Cage = &platform.Cage{
		Seccomp: cfg.Security.Seccomp, Landlock: cfg.Security.Landlock,
		Paths: []platform.Path{
			{Name: filepath.Dir(socket), Access: platform.Reach},
			{Name: run.Ledger.Dir, Access: platform.Read | platform.Change},
		},
	}
	if dir != nil {
		defer dir.Close()
	}
	if run.Hasher, err = startHasher(ctx, run, ""); err != nil {
		logger.Error("collector ends", core.Err(err))
		return err
	}
	defer closeHasher(run)
	if err := platform.Confine(Name); err != nil && !errors.Is(err, platform.ErrNotSupported) {
		logger.Warn("confine", core.Err(err))
	}
	logPrivileges(logger)

	ctx, cancel := context.WithCancel(ctx)
	followed := make(chan error, 1)
	go func() {
		followed <- pipe.Follow(ctx, nil)
		cancel() // the supervisor is gone
	}()
	run.Version, run.Killed = version, start.Killed
	run.Dial = func(ctx context.Context) (*bus.Conn, error) {
		return bus.Dial(ctx, socket, bus.DialConfig{Token: &token, Name: cfg.Paths.Socket})
	}
	err = Run(ctx, run)
	cancel()
	if err = errors.Join(err, <-followed); err != nil {
		logger.Error("collector ends", core.Err(err))
	}
	return err
}

// logPrivileges says what this role holds, as the kernel reports it.
func logPrivileges(logger *core.Logger) {
	s, err := platform.ReadStatus(os.Getpid())
	if err != nil {
		logger.Warn("read own privileges", core.Err(err))
		return
	}
	logger.Info("privileges", core.Int("uid", s.UID), core.Int("gid", s.GID), core.Strings("kept", s.Permitted),
		core.Strings("dropped", s.Dropped()), core.Strings("bounding", s.Bounding), core.Bool("no_new_privs", s.NoNewPrivs),
		core.Strings("limits", limits()))
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
