package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"daemoneye/platform"
	"daemoneye/roles/config"
	"daemoneye/roles/handoff"
	"daemoneye/roles/log"
	"daemoneye/roles/term"
)

// Command is "daemoneye run".
func Command() *cli.Command {
	return &cli.Command{
		Name:  "run",
		Usage: "run the whole monitor in the foreground",
		Description: `Starts the collector and the agent, restarts whichever dies, and prints alerts
as they come. It needs no configuration. As root the two run as an
unprivileged user. Ctrl-C stops; SIGHUP reloads the rules and opens the alert
file anew.

   daemoneye run
   daemoneye run --rules ./rules --interval 1s
   daemoneye run --data-dir /srv/daemoneye -v`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "rules", Usage: "load the rules of `DIR` beside the built-in ones (may be repeated)"},
			&cli.StringFlag{Name: "interval", Usage: "time between two scans, such as 500ms or 30s"},
			&cli.BoolFlag{Name: "no-redact", Usage: "keep secrets in arguments as they are"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "print each new process, too"},
		},
		Action: run,
	}
}

func run(c *cli.Context) error {
	flags := map[string]string{}
	for flag, key := range map[string]string{"data-dir": "data_dir", "interval": "collector.interval", "log-level": "log.level"} {
		if c.IsSet(flag) {
			flags[key] = c.String(flag)
		}
	}
	if c.IsSet("rules") {
		flags["rules.dirs"] = config.JoinList(c.StringSlice("rules"))
	}
	if c.Bool("no-redact") {
		flags["collector.redact.enabled"] = "false"
	}
	cfg, err := config.Load(config.Options{File: c.String("config"), Flags: flags})
	if err != nil {
		return err
	}
	// A directory that was asked for and is not there is a mistake; later, at a
	// reload, it is reported and the other rules stay.
	for _, dir := range cfg.Rules.Dirs {
		if _, err := os.Stat(dir); err != nil {
			return fmt.Errorf("rules: %w", err)
		}
	}
	out, stderr := term.New(os.Stdout, os.Getenv), term.New(os.Stderr, os.Getenv)
	if out.Terminal && !c.IsSet("log-level") && cfg.Log.Level == "info" {
		cfg.Log.Level = "warn" // the opening lines say what the log would
	}
	if stderr.Terminal && os.Getenv("GOTRACEBACK") == "" {
		// Of the roles: a person is not helped by their stacks.
		_ = os.Setenv("GOTRACEBACK", "none")
	}
	correlation := log.NewCorrelation()
	logger, err := log.New(log.Config{
		Role: "supervisor", Level: cfg.Log.Level, Format: cfg.Log.Format, Correlation: correlation,
		Terminal: stderr.Terminal, Color: stderr.Color,
	})
	if err != nil {
		return err
	}
	err = Run(c.Context, Config{
		Config: cfg, Log: logger, Correlation: correlation,
		Print: true, Verbose: c.Bool("verbose"), Invocation: invocation(cfg),
	})
	var exit *platform.ExitError
	var permanent *permanentError
	var reason *handoff.Reason
	switch {
	case errors.As(err, &reason):
		return reason
	case errors.As(err, &exit) && exit.Code == platform.ExitConfig:
		return fmt.Errorf("stopped: %w; the line of that role above says why", err)
	case errors.As(err, &permanent):
		return fmt.Errorf("stopped: %w", err)
	}
	return err
}

// invocation is how a person runs the client for this instance from the same
// directory: by name, by path, or by "go run".
func invocation(cfg *config.Config) string {
	name := os.Args[0]
	switch self, err := os.Executable(); {
	case err != nil:
	case strings.Contains(self, string(filepath.Separator)+"go-build"):
		name = "go run ."
	default:
		name = self
		if found, err := exec.LookPath("daemoneye"); err == nil && sameFile(found, self) {
			name = "daemoneye"
		} else if wd, err := os.Getwd(); err == nil && filepath.Dir(self) == wd {
			name = "./" + filepath.Base(self)
		}
	}
	if cfg.DataDir != "" {
		name += " --data-dir " + quote(cfg.DataDir)
	}
	return name
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// quote returns s as a shell takes it for one word.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
