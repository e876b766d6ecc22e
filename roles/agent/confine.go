package agent

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"go.uber.org/zap"

	"daemoneye/platform"
	"daemoneye/roles/api"
	"daemoneye/roles/config"
)

// confine closes the cage: the agent's own directories, those of the rules to
// read, and what the kernel says of processes, for health. Sockets can be made
// until the agent listens: see seal.
func confine(c *config.Config, dirs dirs, log *zap.Logger) platform.Walls {
	cage := platform.Cage{
		Seccomp: c.Security.Seccomp, Landlock: c.Security.Landlock, Dials: true, Listens: true, Writes: true,
		Paths: []platform.Path{
			{Name: dirs.path(c.Paths.Store), Access: platform.Read | platform.Write},
			{Name: dirs.path(c.Paths.Run), Access: platform.Read | platform.Write | platform.Reach},
			{Name: dirs.path(c.Paths.Ledger), Access: platform.Read},
			{Name: "/proc", Access: platform.Read},
		},
	}
	if path := c.Alerts.JSONL.Path; path != "" {
		cage.Paths = append(cage.Paths, platform.Path{Name: alertPlace(dirs.path(path)), Access: platform.Add})
	}
	if path := c.Paths.Metrics; path != "" {
		cage.Paths = append(cage.Paths, platform.Path{Name: filepath.Dir(dirs.path(path)), Access: platform.Read | platform.Write})
	}
	for _, dir := range c.Paths.RulesDirs {
		for _, name := range rulePlaces(dirs.path(dir)) {
			cage.Paths = append(cage.Paths, platform.Path{Name: name, Access: platform.Read})
		}
	}
	walls := cage.Close()
	for _, missing := range walls.Missing {
		log.Warn("confine", zap.String("missing", missing))
	}
	if len(walls.Limits) > 0 {
		log.Debug("confined", zap.Strings("limits", walls.Limits))
	}
	log.Info("confined", zap.String("seccomp", walls.Seccomp), zap.Int("calls", walls.Calls), zap.Int("landlock", walls.Landlock))
	return walls
}

// seal closes the cage a second time, when the agent listens: from now on it
// makes no socket and connects to none.
func (a *agent) seal() {
	w := a.cfg.Walls
	if w == nil || w.Seccomp == platform.SeccompOff {
		return
	}
	cage := platform.Cage{Seccomp: w.Seccomp, Writes: true}
	sealed := cage.Close()
	if sealed.Seccomp == platform.SeccompOff {
		a.log.Warn("confine", zap.Strings("missing", sealed.Missing))
		return
	}
	w.Calls, w.Limits = sealed.Calls, cage.Unrestricted(w.Landlock)
}

// alertPlace is the directory of the alert file, in which it is made anew after
// it was renamed, or a device that stands for it.
func alertPlace(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return path
	}
	return filepath.Dir(path)
}

// Bounds of what is looked at in one directory of rules, for links in it.
const (
	maxRulePlaces  = 1000
	maxRuleEntries = 20_000
)

// rulePlaces is a directory of rules and where links in it lead.
func rulePlaces(dir string) []string {
	places := []string{dir}
	seen, entries := map[string]bool{}, 0
	for i := 0; i < len(places); i++ {
		// What can not be read is refused when it is loaded. The path ends in a
		// separator so that a link, or a descriptor's name, is followed.
		_ = filepath.WalkDir(places[i]+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
			if entries++; entries > maxRuleEntries || len(places) == maxRulePlaces {
				return fs.SkipAll
			}
			if err != nil || d.Type()&fs.ModeSymlink == 0 {
				return nil
			}
			target, err := filepath.EvalSymlinks(path)
			if err != nil || seen[target] {
				return nil
			}
			seen[target] = true
			places = append(places, target)
			return nil
		})
	}
	return places
}

// confinement is the agent's own word about its cage, nil when it has none.
func (a *agent) confinement() *api.Confinement {
	w := a.cfg.Walls
	if w == nil {
		return nil
	}
	c := &api.Confinement{Seccomp: w.Seccomp, Calls: w.Calls, Landlock: w.Landlock, Missing: w.Missing, Limits: w.Limits}
	if own, err := platform.OpenDescriptors(0); err == nil {
		c.Descriptors, _ = own.Kinds() // else not known
		_ = own.Close()
	}
	return c
}

// userNames are the names of users by their numbers. They are looked up before
// the cage is closed: the C library may load modules for it and ask services.
type userNames map[int]string

func roleUsers(c *config.Config) userNames {
	self := platform.Self()
	names := userNames{self.UID: self.Name}
	if root, err := platform.LookupUser(strconv.Itoa(0)); err == nil {
		names[root.UID] = root.Name
	}
	if u, err := platform.RoleUser(c.Collector.User); err == nil {
		names[u.UID] = u.Name
	}
	return names
}

func (n userNames) self() platform.User {
	return platform.User{Name: n[os.Geteuid()], UID: os.Geteuid(), GID: os.Getegid()}
}
