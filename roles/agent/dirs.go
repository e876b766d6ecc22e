package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// dirs finds the directories that the supervisor opened for this role, which
// may lie where this role's user can not go by name.
type dirs map[string]int

// path returns a name for path that this process can use: path itself when it
// can be entered, else its place below an inherited descriptor, as long as that
// is still the directory of this name.
func (d dirs) path(path string) string {
	for dir := path; ; dir = filepath.Dir(dir) {
		if fd, ok := d[dir]; ok {
			inherited := fmt.Sprintf("/proc/self/fd/%d", fd)
			if usable(dir) || replaced(dir, inherited) {
				return path
			}
			return inherited + strings.TrimPrefix(path, dir)
		}
		if dir == filepath.Dir(dir) {
			return path
		}
	}
}

// replaced reports whether another directory has the name now. Then the cage
// keeps the new one closed, and what is in the old one counts no more.
func replaced(dir, inherited string) bool {
	now, err := os.Stat(dir)
	if err != nil {
		return false
	}
	then, err := os.Stat(inherited)
	return err == nil && !os.SameFile(now, then)
}

// usable reports whether the directory can be listed by its name.
func usable(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}
