package procfs

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// TicksPerSecond is USER_HZ, the unit of times in /proc. It is part of the
// kernel's interface and 100 on every architecture that Go runs on.
const TicksPerSecond = 100

const tick = time.Second / TicksPerSecond

// Ticks returns how many whole ticks a time is.
func Ticks(d time.Duration) uint64 { return uint64(d) / uint64(tick) }

// TicksTime is the inverse of Ticks. Seconds and rest apart: ticks times a
// second overflow for a foolish value.
func TicksTime(ticks uint64) time.Duration {
	return time.Duration(ticks/TicksPerSecond)*time.Second + time.Duration(ticks%TicksPerSecond)*tick
}

// flagKernelThread is PF_KTHREAD of include/linux/sched.h.
const flagKernelThread = 0x00200000

// Stat is /proc/PID/stat, see proc_pid_stat(5).
type Stat struct {
	PID        int32
	Comm       []byte // part of the parsed bytes; any byte but NUL
	State      byte   // R, S, D, Z, T, t, I, X …
	PPID       int32
	PGID       int32
	SID        int32
	TTY        int32  // encoded device number, 0: none
	Flags      uint32 // PF_… of the kernel
	UserTicks  uint64
	SysTicks   uint64
	Threads    int32
	StartTicks uint64 // since boot
	VSize      uint64 // bytes
	RSS        int64  // pages
	StartStack uint64 // 0 when the reader may not know it
}

// KernelThread reports whether these flags are of a thread of the kernel.
func KernelThread(flags uint32) bool { return flags&flagKernelThread != 0 }

// ParseStat reads /proc/PID/stat. The name may itself hold spaces, newlines
// and parentheses; it ends at the last one. Comm aliases b.
func ParseStat(b []byte) (Stat, error) {
	var s Stat
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 2 || end < open {
		return s, fmt.Errorf("stat %.80q: no name in parentheses", b)
	}
	pid, ok := parsePID(bytes.TrimSpace(b[:open]))
	if !ok {
		return s, fmt.Errorf("stat %.80q: no pid", b)
	}
	s.PID, s.Comm = pid, b[open+1:end]
	c := cursor{rest: b[end+1:]}
	state := c.word()
	if len(state) != 1 {
		return s, fmt.Errorf("stat of %d: state %.20q", pid, state)
	}
	s.State = state[0]
	good := true
	signed := func() int64 {
		n, ok := parseInt(c.word())
		good = good && ok
		return n
	}
	unsigned := func() uint64 {
		n, ok := parseUint(c.word())
		good = good && ok
		return n
	}
	s.PPID = int32(signed())
	s.PGID = int32(signed())
	s.SID = int32(signed())
	s.TTY = int32(signed())
	c.skip(1) // 8: tpgid
	s.Flags = uint32(unsigned())
	c.skip(4) // 10–13: faults
	s.UserTicks = unsigned()
	s.SysTicks = unsigned()
	c.skip(4) // 16–19: of children, priority, nice
	s.Threads = int32(signed())
	c.skip(1) // 21: itrealvalue
	s.StartTicks = unsigned()
	s.VSize = unsigned()
	s.RSS = signed()
	if !good {
		return s, fmt.Errorf("stat of %d: not all fields are numbers: %.200q", pid, b[end+1:])
	}
	c.skip(3) // 25–27: rsslim, startcode, endcode
	s.StartStack, _ = parseUint(c.word())
	return s, nil
}

// StateName returns the word for a state letter, "" for an unknown one.
func StateName(state byte) string {
	switch state {
	case 'R':
		return "running"
	case 'S', 'K', 'W', 'P': // wakekill, waking and parked appeared in some kernels
		return "sleeping"
	case 'D':
		return "disk-sleep"
	case 'T':
		return "stopped"
	case 't':
		return "traced"
	case 'Z':
		return "zombie"
	case 'X', 'x':
		return "dead"
	case 'I':
		return "idle"
	}
	return ""
}

// TTYName returns the terminal's name below /dev for the tty_nr of a stat
// line, by the kernel's admin-guide/devices.txt; "" for none, and
// "char MAJOR:MINOR" for a driver that the list does not name.
func TTYName(tty int32) string {
	if tty == 0 {
		return ""
	}
	// proc_pid_stat(5), field 7: the minor is in bits 31–20 and 7–0.
	dev := uint32(tty)
	major, minor := dev>>8&0xfff, dev&0xff|dev>>12&0xfff00
	n := func(prefix string, base uint32) string {
		return prefix + strconv.FormatUint(uint64(minor-base), 10)
	}
	switch {
	case major >= 136 && major <= 143:
		minor += (major - 136) << 8
		return n("pts/", 0)
	case major == 4 && minor < 64:
		return n("tty", 0)
	case major == 4:
		return n("ttyS", 64)
	case major == 5 && minor == 0:
		return "tty"
	case major == 5 && minor == 1:
		return "console"
	case major == 166:
		return n("ttyACM", 0)
	case major == 188:
		return n("ttyUSB", 0)
	case major == 204 && minor >= 64 && minor < 80:
		return n("ttyAMA", 64)
	case major == 229:
		return n("hvc", 0)
	}
	return fmt.Sprintf("char %d:%d", major, minor)
}
