package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// ErrNoHome says that no place for the instance's files is known.
var ErrNoHome = errors.New("no place for data is known: set HOME, XDG_STATE_HOME or DAEMONEYE_DATA_DIR, or name one with --data-dir")

// maxSocket is the longest path of a Unix socket on the BSDs and macOS:
// sun_path, 104 bytes, with its final NUL. On Linux the bus goes through a
// descriptor of the directory, so that no path is too long.
const maxSocket = 103

// host is what Load asks the system for.
type host struct {
	environ []string
	root    bool
	uid     int
	cwd     string // "" when it is not known
	system  string // directory of the system's configuration
}

func thisHost() host {
	cwd, err := os.Getwd()
	if err != nil {
		cwd = "" // deleted; only relative paths need it
	}
	h := host{environ: os.Environ(), root: os.Geteuid() == 0, uid: os.Geteuid(), cwd: cwd, system: "/etc/daemoneye"}
	if runtime.GOOS == "windows" {
		h.system = filepath.Join(h.env("ProgramData"), "daemoneye")
	}
	return h
}

func (h host) env(name string) string {
	for i := len(h.environ) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(h.environ[i], "="); ok && k == name {
			return v
		}
	}
	return ""
}

// home is "" when it is not known.
func (h host) home() string {
	name := "HOME"
	if runtime.GOOS == "windows" {
		name = "USERPROFILE"
	}
	if dir := h.env(name); filepath.IsAbs(dir) {
		return dir
	}
	return ""
}

// xdg is our directory below $name or below HOME; "" when neither is set. A
// relative path in the variable is ignored, as the XDG specification says.
func (h host) xdg(name string, belowHome ...string) string {
	if dir := h.env(name); filepath.IsAbs(dir) {
		return filepath.Join(dir, "daemoneye")
	}
	if home := h.home(); home != "" && len(belowHome) > 0 {
		return filepath.Join(append(append([]string{home}, belowHome...), "daemoneye")...)
	}
	return ""
}

// configDir is where the user's file is; root has none but the system's.
func (h host) configDir() string {
	if h.root {
		return h.system
	}
	return h.xdg("XDG_CONFIG_HOME", ".config")
}

// paths derives the places from c.
func (h host) paths(c *Config) (Paths, error) {
	p := Paths{Config: h.configDir()}
	switch {
	case c.DataDir != "":
		p.State, p.Run = c.DataDir, filepath.Join(c.DataDir, "run")
	case h.root:
		p.State, p.Run = "/var/lib/daemoneye", "/run/daemoneye"
		if runtime.GOOS == "darwin" {
			p.State, p.Run = "/Library/Application Support/daemoneye", "/var/run/daemoneye"
		}
	default:
		p.State = h.xdg("XDG_STATE_HOME", ".local", "state")
		if p.State == "" {
			return p, ErrNoHome
		}
		p.Run = h.xdg("XDG_RUNTIME_DIR")
		if p.Run == "" {
			p.Run = filepath.Join(p.State, "run")
		}
		p.System = "/run/daemoneye/agent.sock"
		if runtime.GOOS == "darwin" {
			p.System = "/var/run/daemoneye/agent.sock"
		}
	}
	p.Store = filepath.Join(p.State, "store")
	p.Ledger = filepath.Join(p.State, "ledger")
	p.Socket = filepath.Join(p.Run, "agent.sock")
	p.Token = filepath.Join(p.State, "token")
	if c.Metrics.File.Interval > 0 {
		p.Metrics = cmp.Or(c.Metrics.File.Path, filepath.Join(p.Run, "daemoneye.prom"))
	}
	if runtime.GOOS != "linux" && len(p.Socket) > maxSocket {
		return p, fmt.Errorf("the socket's path %q has %d bytes and the system takes at most %d: choose a shorter data_dir",
			p.Socket, len(p.Socket), maxSocket)
	}
	p.RulesDirs = c.Rules.Dirs
	if len(p.RulesDirs) == 0 && p.Config != "" {
		p.RulesDirs, p.RulesDefault = []string{filepath.Join(p.Config, "rules")}, true
	}
	return p, nil
}
