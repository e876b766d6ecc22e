package procfs

import (
	"bytes"
	"strings"
)

// ParseCgroup returns the path in /proc/PID/cgroup, see cgroups(7): that of
// the unified hierarchy (the line "0::"), and where it is "/" or absent, that
// of systemd's named hierarchy or else the first of version 1. It aliases b.
func ParseCgroup(b []byte) []byte {
	var unified, named, first []byte
	for line := range bytes.Lines(b) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		id, rest, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		controllers, path, ok := bytes.Cut(rest, []byte(":"))
		if !ok || len(path) == 0 {
			continue
		}
		switch {
		case string(id) == "0" && len(controllers) == 0:
			unified = path
		case string(controllers) == "name=systemd":
			named = path
		case first == nil || string(first) == "/":
			first = path
		}
	}
	for _, path := range [][]byte{unified, named, first} {
		if len(path) > 0 && string(path) != "/" {
			return path
		}
	}
	for _, path := range [][]byte{unified, named, first} {
		if len(path) > 0 {
			return path
		}
	}
	return nil
}

// ContainerID returns the container's id, or name for runtimes that go by
// name, from a control group path; "" when it names none. The innermost
// container of the path wins.
func ContainerID(path string) string {
	id := ""
	previous := ""
	for s := range strings.SplitSeq(path, "/") {
		if found := containerOf(s, previous); found != "" {
			id = found
		}
		previous = s
	}
	return id
}

// containerOf reads one path segment. The forms are those that the runtimes'
// cgroup managers make:
//
//	docker-<64 hex>.scope, cri-containerd-<64 hex>.scope, crio-<64 hex>.scope,
//	libpod-<64 hex>.scope                     systemd driver
//	<64 hex>, crio-<64 hex>, libpod-<64 hex>  cgroupfs driver
//	machine-<name>.scope                      systemd-machined (nspawn)
//	systemd-nspawn@<name>.service             nspawn without machined
//	lxc.payload.<name>, lxc/<name>            lxc; incus and lxd use the same
func containerOf(s, previous string) string {
	base := strings.TrimSuffix(s, ".scope")
	switch {
	case strings.HasPrefix(s, "lxc.payload."):
		return strings.TrimPrefix(s, "lxc.payload.")
	case s != "" && (previous == "lxc" || previous == "lxc.payload"):
		return s
	case strings.HasPrefix(s, "machine-") && base != s:
		return unescapeUnit(strings.TrimPrefix(base, "machine-"))
	case strings.HasPrefix(s, "systemd-nspawn@") && strings.HasSuffix(s, ".service"):
		return unescapeUnit(strings.TrimSuffix(strings.TrimPrefix(s, "systemd-nspawn@"), ".service"))
	}
	if i := strings.LastIndexAny(base, "-:"); i >= 0 {
		// conmon is the monitor beside the container, not in it.
		if strings.Contains(base[:i], "conmon") {
			return ""
		}
		base = base[i+1:]
	}
	if isHex(base, 64) {
		return base
	}
	return ""
}

// unescapeUnit undoes systemd's \xHH, see systemd.unit(5).
func unescapeUnit(s string) string {
	if !strings.Contains(s, `\x`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], `\x`) && i+4 <= len(s) {
			if n, ok := parseHex([]byte(s[i+2 : i+4])); ok {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
