package platform

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"daemoneye/platform/procfs"
)

// CollectorCapabilities are those of the hasher and OpeningCapabilities.
func CollectorCapabilities() []int { return append(HasherCapabilities(), OpeningCapabilities()...) }

// HasherCapabilities are what reading /proc of all users takes: ptrace access
// rights, and read and search permission for the executables.
func HasherCapabilities() []int { return []int{unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH} }

// OpeningCapabilities are what opening the kernel's sources takes: to load
// programs into it, or to listen to its process events, before 6.6, and to have
// a large buffer for them. Once a source is open, the collector gives these up.
func OpeningCapabilities() []int { return append(LoadingCapabilities(), unix.CAP_NET_ADMIN) }

// LoadingCapabilities are what loading programs into the kernel takes.
func LoadingCapabilities() []int { return []int{unix.CAP_BPF, unix.CAP_PERFMON} }

// Start starts this executable again, through /proc/self/exe, in a process
// group of its own and with no_new_privs; it gets SIGTERM when this process
// dies. From root it becomes l.User with no capabilities but l.Keep and, if
// this process may, with an empty bounding set; that also holds if l.User is
// root, for a root that can not become anybody else. A role that Start has
// started, and that has not called Confine, hands on those of l.Keep that it was
// given. Standard output and error are shared, standard input is empty.
func Start(l Launch) (*Process, error) {
	p := &Process{done: make(chan struct{})}
	started := make(chan error, 1)
	onOwnThread(func() {
		cmd, err := p.start(l)
		started <- err
		if err != nil {
			return
		}
		p.err = asExitError(cmd.Wait())
		close(p.done)
	})
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", l.Name, err)
	}
	return p, nil
}

// onOwnThread runs f on a thread that does nothing else and ends with f.
// no_new_privs, inheritable and bounding set belong to a thread, and the parent
// death signal is sent when the parent's thread ends: so the thread is
// prepared, starts the child, waits for it, and takes its restrictions along.
// The first thread can not end, and stands for the process in /proc: not it.
func onOwnThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// While this goroutine holds the first thread, the next gets another.
			got := make(chan struct{})
			go func() {
				runtime.LockOSThread()
				close(got)
				f()
			}()
			<-got
			runtime.UnlockOSThread()
			return
		}
		f()
	}()
}

func (p *Process) start(l Launch) (*exec.Cmd, error) {
	cmd := exec.Command("/proc/self/exe", l.Args...)
	cmd.Args[0] = l.Name
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = l.Files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	changes := os.Geteuid() == 0 && l.User.UID != 0
	restrict := p.handOn
	if os.Geteuid() == 0 && !startedByStart() {
		restrict = func(keep []int) ([]uintptr, error) { return p.restrictThread(keep, changes) }
	}
	keep, err := restrict(l.Keep)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr.AmbientCaps = keep
	if changes {
		groups := make([]uint32, len(l.Groups))
		for i, g := range l.Groups {
			groups[i] = uint32(g)
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(l.User.UID), Gid: uint32(l.User.GID), Groups: groups}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, explain(err, l.User, changes)
	}
	p.PID, p.process = cmd.Process.Pid, cmd.Process
	return cmd, nil
}

// explain says what to do about an error of the start as u.
func explain(err error, u User, changes bool) error {
	switch {
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: the program must be executable for %v (mode 0755, and no noexec mount)", err, u)
	case changes && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL)):
		if missing := CanBecome(u); missing != nil {
			return fmt.Errorf("%w: root can not become %v: %w", err, u, missing)
		}
		return fmt.Errorf("%w: something denies root to become %v, such as a seccomp filter or a security module", err, u)
	}
	return err
}

// restrictThread puts the capabilities to keep into the thread's inheritable
// set, while the bounding set still allows it, and then empties the bounding
// set: execve then leaves the child what is ambient and nothing that a file
// could add. Root would get inheritable and bounding set at execve; as the
// bounding set may not be emptied without CAP_SETPCAP, the thread gives up all
// others: no_new_privs lets execve add nothing to what it has. Changing users
// takes some, and itself leaves none. It returns those of keep that this process holds itself; to ask
// for others would make the start fail with EPERM.
func (p *Process) restrictThread(keep []int, changes bool) ([]uintptr, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil, fmt.Errorf("read own capabilities: %w", err)
	}
	var kept []uintptr
	var only [2]uint32
	for _, c := range keep {
		word, bit := c/32, uint32(1)<<(c%32)
		bound, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if err != nil || bound != 1 || data[word].Permitted&bit == 0 {
			p.Unavailable = append(p.Unavailable, procfs.CapabilityName(c)+": not held by the supervisor")
			continue
		}
		data[word].Inheritable |= bit
		only[word] |= bit
		kept = append(kept, uintptr(c))
		p.Kept = append(p.Kept, procfs.CapabilityName(c))
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return nil, fmt.Errorf("set inheritable capabilities: %w", err)
	}
	for c := 0; ; c++ {
		bound, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if errors.Is(err, unix.EINVAL) && c > 0 {
			break // beyond the kernel's last capability
		}
		if err == nil && bound == 1 {
			err = unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0)
		}
		if err != nil {
			p.Unavailable = append(p.Unavailable, "emptying the bounding set: "+err.Error())
			break
		}
	}
	if changes {
		return kept, nil
	}
	for word := range data {
		data[word].Inheritable = only[word]
		data[word].Permitted, data[word].Effective = only[word], only[word]
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return nil, fmt.Errorf("give up capabilities: %w", err)
	}
	return kept, nil
}

// startedByStart reports whether this process was itself started with
// capabilities to keep: these are ambient.
func startedByStart() bool {
	for _, c := range CollectorCapabilities() {
		if set, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, uintptr(c), 0, 0); err == nil && set == 1 {
			return true
		}
	}
	return false
}

// handOn leaves the thread of a process that was started by Start, or of an
// ordinary user, nothing to hand on but those of keep that are inheritable now:
// nothing can become so when the bounding set is empty. What the thread itself
// holds stays, as on all others: psx kills a process in which a system call
// fails on one thread alone.
func (p *Process) handOn(keep []int) (kept []uintptr, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil, fmt.Errorf("read own capabilities: %w", err)
	}
	var only [2]uint32
	for _, c := range keep {
		word, bit := c/32, uint32(1)<<(c%32)
		if data[word].Permitted&data[word].Inheritable&bit == 0 {
			p.Unavailable = append(p.Unavailable, procfs.CapabilityName(c)+": can not be handed on")
			continue
		}
		only[word] |= bit
		kept = append(kept, uintptr(c))
		p.Kept = append(p.Kept, procfs.CapabilityName(c))
	}
	if data[0].Inheritable|data[1].Inheritable == 0 {
		return nil, nil // and nothing is ambient
	}
	data[0].Inheritable, data[1].Inheritable = only[0], only[1] // which lowers the ambient set, too
	if err := unix.Capset(&header, &data[0]); err != nil {
		return nil, fmt.Errorf("set inheritable capabilities: %w", err)
	}
	return kept, nil
}

func asExitError(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	e := &ExitError{Code: exit.ExitCode()}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = status.Signal()
	}
	return e
}

// ReadStatus reads /proc/PID/status, and from /proc/PID/stat the start.
func ReadStatus(pid int) (Status, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Status{}, err
	}
	s, err := procfs.ParseStatus(raw)
	if err != nil {
		return Status{}, fmt.Errorf("process %d: %w", pid, err)
	}
	started, parent, err := startOf(pid)
	if err != nil {
		return Status{}, err
	}
	return Status{
		Started: started, Parent: parent,
		UID: int(s.UID[1]), GID: int(s.GID[1]),
		Permitted:   procfs.CapabilityNames(s.CapPrm),
		Effective:   procfs.CapabilityNames(s.CapEff),
		Inheritable: procfs.CapabilityNames(s.CapInh),
		Bounding:    procfs.CapabilityNames(s.CapBnd),
		Ambient:     procfs.CapabilityNames(s.CapAmb),
		NoNewPrivs:  s.NoNewPrivs, Seccomp: int(s.Seccomp), Memory: s.VmRSS,
	}, nil
}

// startOf also returns the parent. The start is in ticks since boot, as time is counted now. The directory's
// own time is only that of when the kernel last made its inode.
func startOf(pid int) (started time.Time, parent int, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return started, 0, err
	}
	s, err := procfs.ParseStat(raw)
	if err != nil {
		return started, 0, fmt.Errorf("process %d: %w", pid, err)
	}
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return started, 0, fmt.Errorf("time since boot: %w", err)
	}
	return time.Now().Add(procfs.TicksTime(s.StartTicks) - time.Duration(boot.Nano())), int(s.PPID), nil
}

// Dropped returns the kernel's capabilities that are not in s.Permitted.
func (s Status) Dropped() []string {
	raw, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return nil
	}
	last := 0
	if _, err := fmt.Sscan(string(raw), &last); err != nil || last > 62 {
		return nil
	}
	return slices.DeleteFunc(procfs.CapabilityNames(1<<(last+1)-1), func(c string) bool { return slices.Contains(s.Permitted, c) })
}
