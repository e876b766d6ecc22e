package supervisor

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"daemoneye/platform"
)

// ownerError says that directories of the instance belong to somebody else,
// as they do after another user was configured for the agent.
type ownerError struct {
	dirs  []string // at least one
	owner int      // uid, of the first
	user  platform.User
}

func (e *ownerError) Error() string {
	return fmt.Sprintf("directory %q belongs to %s, and the role that writes it runs as %s", e.dirs[0], identity(e.owner), identity(e.user.UID))
}

// HintText names the command that gives all of them to the agent's user.
func (e *ownerError) HintText() string {
	owner := e.user.Name + ":" // chown(1): and their login group
	if e.user.Name == "" {
		owner = fmt.Sprintf("%d:%d", e.user.UID, e.user.GID)
	}
	dirs := make([]string, len(e.dirs))
	for i, dir := range e.dirs {
		dirs[i] = quote(dir)
	}
	who := ""
	if os.Geteuid() != 0 {
		who = " as root"
	}
	return fmt.Sprintf("when no other instance uses it, run%s: chown -R %s %s; or use another directory", who, owner, strings.Join(dirs, " "))
}

// identity is a user's name and number, as far as there is a name.
func identity(uid int) string {
	number := strconv.Itoa(uid)
	if u, err := platform.LookupUser(number); err == nil && u.Name != "" {
		return fmt.Sprintf("%s (uid %s)", u.Name, number)
	}
	return "uid " + number
}
