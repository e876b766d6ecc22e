package procfs

import (
	"bytes"
	"fmt"
)

// Status holds what the collector needs of /proc/PID/status, see
// proc_pid_status(5).
type Status struct {
	State      byte
	UID        [4]uint32 // real, effective, saved, file system
	GID        [4]uint32
	InnerPID   int32 // pid in the innermost pid namespace; 0 when the kernel does not say
	Threads    int32
	VmRSS      int64 // bytes
	VmSize     int64 // bytes
	CapInh     uint64
	CapPrm     uint64
	CapEff     uint64
	CapBnd     uint64
	CapAmb     uint64
	NoNewPrivs bool
	Seccomp    uint8  // 0 off, 1 strict, 2 filter
	Switches   uint64 // of its first thread, voluntary and not
}

// ParseStatus reads /proc/PID/status. The lines Uid and Gid must be there;
// others that a kernel does not have stay zero.
func ParseStatus(b []byte) (Status, error) {
	var s Status
	var uid, gid bool
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		i := bytes.IndexByte(line, ':')
		if i < 0 {
			continue
		}
		c := cursor{rest: line[i+1:]}
		// The kernel escapes newlines in Name, so a line can not be forged.
		switch string(line[:i]) {
		case "State":
			if w := c.word(); len(w) == 1 {
				s.State = w[0]
			}
		case "Uid":
			uid = parseIDs(&c, &s.UID)
		case "Gid":
			gid = parseIDs(&c, &s.GID)
		case "NSpid":
			for w := c.word(); len(w) > 0; w = c.word() {
				s.InnerPID, _ = parsePID(w)
			}
		case "Threads":
			s.Threads, _ = parsePID(c.word())
		case "VmRSS":
			s.VmRSS = parseKiB(&c)
		case "VmSize":
			s.VmSize = parseKiB(&c)
		case "CapInh":
			s.CapInh, _ = parseHex(c.word())
		case "CapPrm":
			s.CapPrm, _ = parseHex(c.word())
		case "CapEff":
			s.CapEff, _ = parseHex(c.word())
		case "CapBnd":
			s.CapBnd, _ = parseHex(c.word())
		case "CapAmb":
			s.CapAmb, _ = parseHex(c.word())
		case "NoNewPrivs":
			s.NoNewPrivs = string(c.word()) == "1"
		case "Seccomp":
			if n, ok := parseUint(c.word()); ok && n <= 2 {
				s.Seccomp = uint8(n)
			}
		case "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches":
			n, _ := parseUint(c.word())
			s.Switches += n
		}
	}
	if !uid || !gid {
		return s, fmt.Errorf("status without four user and group ids: uid %v, gid %v", uid, gid)
	}
	return s, nil
}

func parseIDs(c *cursor, ids *[4]uint32) bool {
	for i := range ids {
		n, ok := parseUint(c.word())
		if !ok || n > 1<<32-1 {
			return false
		}
		ids[i] = uint32(n)
	}
	return true
}

func parseKiB(c *cursor) int64 {
	n, ok := parseUint(c.word())
	if !ok || n > 1<<50 {
		return 0
	}
	return int64(n) * 1024
}

// SeccompMode returns the word for the Seccomp line of a status: off, strict
// or filter.
func SeccompMode(mode uint8) string {
	switch mode {
	case 0:
		return "off"
	case 1:
		return "strict"
	}
	return "filter"
}
