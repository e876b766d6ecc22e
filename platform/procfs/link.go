package procfs

import (
	"bytes"
	"strconv"
	"strings"
)

// deletedSuffix is what d_path of the kernel adds to the name of a file that
// is no longer linked there.
const deletedSuffix = " (deleted)"

// TrimDeleted splits the kernel's mark of a deleted file from a link target.
// A file may really have such a name: the caller must compare inodes.
func TrimDeleted(target string) (path string, marked bool) {
	path, marked = strings.CutSuffix(target, deletedSuffix)
	return path, marked && path != ""
}

// Namespaces are the inode numbers of a process's namespaces, 0 where it could
// not be read or the kernel has no such namespace.
type Namespaces struct {
	Cgroup, IPC, Mnt, Net, PID, Time, User, UTS uint64
}

// AppendJSON appends the namespaces as an object, such as {"mnt":4026531841},
// and nothing when none is known.
func (n *Namespaces) AppendJSON(dst []byte) []byte {
	if *n == (Namespaces{}) {
		return dst
	}
	list := [...]struct {
		name  string
		inode uint64
	}{
		{"cgroup", n.Cgroup},
		{"ipc", n.IPC},
		{"mnt", n.Mnt},
		{"net", n.Net},
		{"pid", n.PID},
		{"time", n.Time},
		{"user", n.User},
		{"uts", n.UTS},
	}
	sep := byte('{')
	for _, l := range list {
		if l.inode != 0 {
			dst = append(dst, sep, '"')
			dst = append(dst, l.name...)
			dst = append(dst, '"', ':')
			dst = strconv.AppendUint(dst, l.inode, 10)
			sep = ','
		}
	}
	return append(dst, '}')
}

// ParseNamespaceLink reads the target of /proc/PID/ns/TYPE, "mnt:[4026531841]".
func ParseNamespaceLink(target []byte) (inode uint64, ok bool) {
	i := bytes.Index(target, []byte(":["))
	if i <= 0 || target[len(target)-1] != ']' {
		return 0, false
	}
	return parseUint(target[i+2 : len(target)-1])
}
