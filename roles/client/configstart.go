package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"daemoneye/platform"
	"daemoneye/roles/config"
)

// startProblems says what is well-formed in the configuration and would keep
// an instance from starting here.
func startProblems(cfg *config.Config) []config.Problem {
	var list []config.Problem
	problem := func(key, value, format string, args ...any) {
		p := config.Problem{Where: "default", Key: key, Value: strconv.Quote(value), Message: fmt.Sprintf(format, args...)}
		entries := cfg.Entries()
		if i := slices.IndexFunc(entries, func(e config.Entry) bool { return e.Key == key }); i >= 0 {
			if _, where, ok := strings.Cut(entries[i].Source, ":"); ok {
				p.Where = where
			}
		}
		list = append(list, p)
	}
	agent := platform.Self()
	for key, name := range map[string]string{"agent.user": cfg.Agent.User, "collector.user": cfg.Collector.User} {
		if name == "" && os.Geteuid() != 0 {
			continue // it runs as whoever starts it
		}
		u, err := platform.RoleUser(name)
		if err != nil {
			problem(key, name, "%v", err)
		} else if key == "agent.user" && os.Geteuid() == 0 {
			agent = u
		}
	}
	for _, dir := range cfg.Rules.Dirs {
		if _, err := os.Stat(dir); err != nil {
			problem("rules.dirs", dir, "%v", withoutPath(err))
		}
	}
	if path := cfg.Alerts.JSONL.Path; path != "" {
		if reason := notAppendable(path, agent); reason != "" {
			problem("alerts.jsonl.path", path, "%s", reason)
		}
	}
	if path := cfg.Metrics.File.Path; path != "" && cfg.Paths.Metrics != "" {
		if reason := notAppendable(path, agent); reason != "" {
			problem("metrics.file.path", path, "%s", reason)
		}
	}
	slices.SortFunc(list, func(a, b config.Problem) int { return strings.Compare(a.Key+a.Value, b.Key+b.Value) })
	return list
}

// withoutPath is err without the path, which stands before it.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// notAppendable says why the user could not append to the file or make it,
// "" when they can.
func notAppendable(path string, user platform.User) string {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return fmt.Sprintf("directory %q: %v", dir, withoutPath(err))
	case !info.IsDir():
		return fmt.Sprintf("%q is not a directory", dir)
	}
	for above := filepath.Dir(dir); ; above = filepath.Dir(above) {
		if !mayUse(above, user, 1) {
			return fmt.Sprintf("the agent runs as %v, who can not enter %q", user, above)
		}
		if above == filepath.Dir(above) {
			break
		}
	}
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		if !mayUse(dir, user, 3) {
			return fmt.Sprintf("the agent runs as %v, who can not make a file in %q", user, dir)
		}
	case err != nil:
		return withoutPath(err).Error()
	case !info.Mode().IsRegular() && info.Mode()&fs.ModeCharDevice == 0:
		return "it is not a regular file"
	case !mayUse(path, user, 2):
		return fmt.Sprintf("the agent runs as %v, who can not write to it", user)
	}
	return ""
}

// mayUse asks the system for this process's own user, and looks at the mode
// for another.
func mayUse(path string, user platform.User, want fs.FileMode) bool {
	if user.UID == os.Geteuid() {
		return access(path, want)
	}
	info, err := os.Stat(path)
	return err != nil || platform.Permits(info, user, want)
}
