package procfs

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// readStat fills what comes from stat, and the identity. It returns the same
// process in the scan before, or an empty one; a malformed stat is an error
// and the process has then an identity by its pid alone.
func (w *worker) readStat(p, old *Process) (*Process, error) {
	b, _, err := w.file(FileStat, p)
	if err != nil {
		return nil, err
	}
	var s Stat
	if b != nil {
		if s, err = ParseStat(b); err != nil {
			w.note(err)
		}
		p.HasStat = err == nil
	}
	p.Collected, p.LoginUID = time.Now(), NoUser
	if p.HasStat {
		p.StartTicks = s.StartTicks
	}
	if old == nil || !old.Same(p) || old.HasStat != p.HasStat {
		old = &Process{}
		p.EntityID = EntityID(w.bootID, p.PID, p.StartTicks)
		if p.HasStat {
			p.Started = time.Unix(0, int64(w.offset+TicksTime(s.StartTicks))).UTC()
		}
	} else {
		p.EntityID, p.Started = old.EntityID, old.Started
	}
	if !p.HasStat {
		return old, nil
	}
	p.Name = keep(old.Name, s.Comm)
	p.State, p.PPID, p.PGID, p.SID = s.State, s.PPID, s.PGID, s.SID
	if p.TTY = TTYName(s.TTY); p.TTY == old.TTY {
		p.TTY = old.TTY
	}
	p.KernelThread, p.Threads = KernelThread(s.Flags), s.Threads
	p.CPUTicks = s.UserTicks + s.SysTicks
	p.RSS, p.VirtualSize, p.StartStack = s.RSS*w.pageLen, int64(s.VSize), s.StartStack
	p.CPUUsage = w.usage(p, old)
	return old, nil
}

// usage returns the CPU use since the scan before, or since the start.
func (s *scanState) usage(p, old *Process) float64 {
	spent, span := p.CPUTicks, s.uptime.Seconds()-float64(p.StartTicks)/TicksPerSecond
	if old.HasStat {
		if p.CPUTicks < old.CPUTicks { // a thread's time is moved at its end: proc(5)
			return 0
		}
		spent, span = p.CPUTicks-old.CPUTicks, p.Collected.Sub(old.Collected).Seconds()
	}
	if spent == 0 || span <= 0 {
		return 0
	}
	// Less than one tick can not be told from one.
	return 100 * float64(spent) / TicksPerSecond / max(span, 1.0/TicksPerSecond)
}

func (w *worker) readStatus(p, old *Process) error {
	b, _, err := w.file(FileStatus, p)
	if err != nil || b == nil {
		return err
	}
	s, err := ParseStatus(b)
	if err != nil {
		w.note(err)
		return nil
	}
	p.HasStatus = true
	p.UID, p.GID = s.UID, s.GID
	p.CapEffective, p.CapPermitted, p.CapInheritable, p.CapBounding, p.CapAmbient = s.CapEff, s.CapPrm, s.CapInh, s.CapBnd, s.CapAmb
	p.InnerPID, p.NoNewPrivs, p.Seccomp = s.InnerPID, s.NoNewPrivs, s.Seccomp
	p.UserName = w.users.names[p.UID[0]]
	p.switches, p.asleep = s.Switches, s.State != 'R' && s.Threads == 1
	return nil
}

func (w *worker) readCgroup(p, old *Process) error {
	b, _, err := w.file(FileCgroup, p)
	if err == unix.EOPNOTSUPP || errors.Is(err, errVanished) && p.KernelThread {
		return nil // a kernel without control groups
	}
	if err != nil {
		return err
	}
	p.Cgroup = w.intern(old.Cgroup, ParseCgroup(b))
	if p.Cgroup == old.Cgroup {
		p.ContainerID, p.CgroupID = old.ContainerID, old.CgroupID
	} else {
		p.ContainerID = ContainerID(p.Cgroup)
		p.CgroupID = cgroupID(w.cgroups, p.Cgroup)
	}
	return nil
}

// unifiedCgroups returns where the unified hierarchy is mounted, cgroups(7).
func unifiedCgroups() string {
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			return dir
		}
	}
	return ""
}

// cgroupID returns the id of a control group; 0 when it is not known, as of one
// outside of the mounted ones ("/../…").
func cgroupID(mounted, path string) uint64 {
	var st unix.Statx_t
	if mounted == "" || strings.HasPrefix(path, "/..") || statx(unix.AT_FDCWD, zname(mounted+path+"\x00"), &st) != nil {
		return 0
	}
	return st.Ino
}

// readImage fills what belongs to the address space and the files of the
// process. A zombie, and a process that is about to become one, has given
// these up: such a row keeps what the scan before has seen.
func (w *worker) readImage(p, old *Process) error {
	gone := p.State == 'Z' || p.State == 'X'
	if !gone {
		target, _, err := w.read(FileExe)
		switch {
		case err == unix.ENOENT:
			gone = true
		case err != nil && !refused(err):
			return vanishedOr(err)
		case err != nil:
			p.Accessible = false
		default:
			w.readExecutable(p, old, target)
		}
	}
	if gone {
		p.CopyImage(old)
		p.Namespaces, p.StartStack, p.LoginUID = old.Namespaces, old.StartStack, old.LoginUID
		p.Accessible = p.Accessible && (old.Accessible || old.EntityID == "")
		return nil
	}
	if w.quiet(p, old) {
		p.Cmdline, p.CmdlineTruncated = old.Cmdline, old.CmdlineTruncated
		p.CWD, p.Namespaces, p.LoginUID = old.CWD, old.Namespaces, old.LoginUID
		p.Environ, p.EnvironKnown, p.EnvironTruncated = old.Environ, old.EnvironKnown, old.EnvironTruncated
	} else if err := w.readOwn(p, old); err != nil {
		if err == unix.ETIMEDOUT { // the kernel hangs at it; it may have what it had
			p.CopyImage(old)
		}
		return err
	}
	w.checkExecutable(p)
	return nil
}

// fullEvery is the number of scans within which every process is read in full.
const fullEvery = 16

// quiet reports whether p has not run one instruction since the scan before:
// it has one thread, sleeps, and was switched away from as often as then. What
// only a process itself can change (arguments, directory, namespaces) is then
// as it was. Another process can change some of it from outside, by writing
// to its memory, by renaming its directory or through a shared fs_struct
// (CLONE_FS), so each process is read in full every fullEvery scans anyway.
func (w *worker) quiet(p, old *Process) bool {
	return p.asleep && old.asleep && p.switches == old.switches && p.StartStack == old.StartStack &&
		old.Accessible && p.Accessible && uint64(p.PID)%fullEvery != w.scans%fullEvery
}

// readOwn reads what a process alone governs.
func (w *worker) readOwn(p, old *Process) error {
	b, more, err := w.file(FileCmdline, p)
	if err != nil {
		return err
	}
	p.CmdlineTruncated = more
	if !more {
		b = bytes.TrimRight(b, "\x00")
	}
	p.Cmdline = keep(old.Cmdline, b)
	switch target, _, err := w.read(FileCWD); {
	case err == nil:
		p.CWD = w.intern(old.CWD, target)
	case refused(err):
		p.Accessible = false
	}
	w.readNamespaces(p)
	if err := w.readLoginUID(p); err != nil {
		return err
	}
	if w.config.Environment {
		b, more, err := w.file(FileEnviron, p)
		if err != nil {
			return err
		}
		if more { // half a value may be a secret that is not known as one
			b = b[:bytes.LastIndexByte(b, 0)+1]
		}
		if p.EnvironKnown = b != nil; p.EnvironKnown {
			p.Environ, p.EnvironTruncated = keep(old.Environ, b), more
		}
	}
	return nil
}

// readLoginUID reads the audit system's id of who logged in. A kernel without
// that system has no such file.
func (w *worker) readLoginUID(p *Process) error {
	b, _, err := w.file(FileLoginUID, p)
	if errors.Is(err, errVanished) {
		return nil
	}
	if n, ok := parseUint(bytes.TrimSpace(b)); ok && n < NoUser {
		p.LoginUID = uint32(n)
	}
	return err
}

// readNamespaces reads all links: any thread may change them with setns(2),
// and only quiet tells that none has.
func (w *worker) readNamespaces(p *Process) {
	ns := &p.Namespaces
	for _, l := range [...]struct {
		file  File
		inode *uint64
	}{
		{FileNSMnt, &ns.Mnt},
		{FileNSCgroup, &ns.Cgroup},
		{FileNSIPC, &ns.IPC},
		{FileNSNet, &ns.Net},
		{FileNSPID, &ns.PID},
		{FileNSTime, &ns.Time},
		{FileNSUser, &ns.User},
		{FileNSUTS, &ns.UTS},
	} {
		target, _, err := w.read(l.file)
		if refused(err) {
			p.Accessible = false
			return // one permission governs all
		}
		if err == nil {
			*l.inode, _ = ParseNamespaceLink(target)
		}
	}
}
