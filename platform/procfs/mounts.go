package procfs

import (
	"bytes"
	"strings"
)

// ParseNetworkMounts returns the devices in a /proc/PID/mountinfo whose file
// systems wait for a server or for a user's process: looking up a path there
// can hang for ever.
func ParseNetworkMounts(b []byte) map[uint64]bool {
	var devices map[uint64]bool
	for line := range bytes.Lines(b) {
		// proc_pid_mountinfo(5): id, parent, major:minor, …, "-", type, …
		front, back, ok := bytes.Cut(line, []byte(" - "))
		if !ok {
			continue
		}
		c := cursor{rest: front}
		c.skip(2)
		majorText, minorText, ok := bytes.Cut(c.word(), []byte(":"))
		major, ok1 := parseUint(majorText)
		minor, ok2 := parseUint(minorText)
		c.rest = back
		if !ok || !ok1 || !ok2 || major > 1<<32-1 || minor > 1<<32-1 || !remoteFileSystem(string(c.word())) {
			continue
		}
		if devices == nil {
			devices = make(map[uint64]bool)
		}
		devices[makedev(uint32(major), uint32(minor))] = true
	}
	return devices
}

func remoteFileSystem(kind string) bool {
	switch kind {
	case "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "coda", "gfs2", "glusterfs", "lustre", "ocfs2", "orangefs", "fuse":
		return true
	}
	return strings.HasPrefix(kind, "fuse.")
}

// makedev is glibc's gnu_dev_makedev.
func makedev(major, minor uint32) uint64 {
	return uint64(major&0xfff)<<8 | uint64(major&^0xfff)<<32 | uint64(minor&0xff) | uint64(minor&^0xff)<<12
}
