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
// can be entered, else its place below an inherited descriptor.
func (d dirs) path(path string) string {
	for dir := path; ; dir = filepath.Dir(dir) {
		if fd, ok := d[dir]; ok {
			if usable(dir) {
				return path
			}
			return fmt.Sprintf("/proc/self/fd/%d%s", fd, strings.TrimPrefix(path, dir))
		}
		if dir == filepath.Dir(dir) {
			return path
		}
	}
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
