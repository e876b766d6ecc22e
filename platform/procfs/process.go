package procfs

import "time"

// FileID identifies one content of one file, as the kernel tells it: the key
// under which a digest may be kept. The zero FileID is no file.
type FileID struct {
	Device uint64 // as dev_t in user space: makedev(3)
	Inode  uint64
	Size   int64
	Mtime  int64 // ns since the Unix epoch
	Ctime  int64 // ns since the Unix epoch
}

// Existence says whether the path of an executable still names the file that
// runs.
type Existence uint8

const (
	ExistenceUnknown Existence = iota
	Exists
	Gone // deleted, or another file has taken its name
)

// NoUser is the user id that stands for none.
const NoUser = 1<<32 - 1

// Process is one thread group as a scan found it. It is not changed after the
// scan and may be shared. What could not be read is the zero value; HasStat
// and HasStatus say whether the numbers that come from these files are known.
type Process struct {
	EntityID   string
	PID        int32
	StartTicks uint64
	StartTime  time.Duration // since boot, exactly; 0 when only the ticks are known
	Started    time.Time     // StartTicks on the wall clock, fixed when the process is seen first
	Collected  time.Time

	HasStat      bool // State to StartStack, Name, Started
	Name         string
	State        byte
	PPID         int32
	PGID         int32
	SID          int32
	TTY          string
	KernelThread bool
	Threads      int32
	CPUTicks     uint64  // user and system
	CPUUsage     float64 // percent of one core since the scan before, or since the start
	CPUUnknown   bool    // of CPUTicks and CPUUsage, at the end
	RSS          int64   // bytes
	VirtualSize  int64   // bytes
	StartStack   uint64  // where the image's stack began: changes with each exec; 0 when hidden

	HasStatus      bool // UID to Seccomp
	UID            [4]uint32
	GID            [4]uint32
	UserName       string // of UID[0]; "" when /etc/passwd has none
	CapEffective   uint64
	CapPermitted   uint64
	CapInheritable uint64
	CapBounding    uint64
	CapAmbient     uint64
	LoginUID       uint32 // of the audit system; NoUser when none was set
	InnerPID       int32  // pid in its own pid namespace
	NoNewPrivs     bool
	Seccomp        uint8

	Cmdline          string // as /proc has it, see SplitArgs
	CmdlineTruncated bool
	Executable       string
	ExecutableID     FileID // of the file that runs, whatever its name is now
	ExecutableMode   uint32 // st_mode of stat(2)
	ExecutableOwner  uint32
	ExecutableGroup  uint32
	FileExists       Existence
	CWD              string
	Cgroup           string
	CgroupID         uint64 // of the unified hierarchy: the inode of the group's directory; 0 when it is not known
	ContainerID      string
	Namespaces       Namespaces
	Environ          string // as /proc has it, see SplitEnviron; only with Config.Environment
	EnvironKnown     bool
	EnvironTruncated bool

	Accessible bool     // nothing was refused
	Parent     *Process // nil when it is not among the processes of the scan

	switches uint64 // context switches of its first thread
	asleep   bool   // one thread, not running
}

// Same reports whether p and q are one process at two times.
func (p *Process) Same(q *Process) bool {
	return p.PID == q.PID && p.StartTicks == q.StartTicks
}

// CPUTime returns the user and system time in seconds.
func (p *Process) CPUTime() float64 { return float64(p.CPUTicks) / TicksPerSecond }

// Ancestors returns the parent, its parent and so on, at most limit.
func (p *Process) Ancestors(limit int) []*Process {
	var list []*Process
	for a := p.Parent; a != nil && a != p && len(list) < limit; a = a.Parent {
		list = append(list, a)
	}
	return list
}

// Snapshot is the result of one scan.
type Snapshot struct {
	Began        time.Time
	Duration     time.Duration
	Processes    []*Process // by pid
	Inaccessible int        // of Processes, those with Accessible false
	Vanished     int        // ended while they were read; not in Processes
	Errors       int        // files that could not be read or parsed for a reason other than permission
	Err          error      // the first of these
}

// Find returns the process with the pid, or nil.
func (s *Snapshot) Find(pid int32) *Process { return find(s.Processes, pid) }

// find searches a list ordered by pid.
func find(list []*Process, pid int32) *Process {
	low, high := 0, len(list)
	for low < high {
		mid := int(uint(low+high) >> 1)
		if list[mid].PID < pid {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low < len(list) && list[low].PID == pid {
		return list[low]
	}
	return nil
}

// link sets the parents. A parent that started after its child is another
// process that got the pid of one that died in between; a process whose parent
// dies belongs to init or a subreaper, which did start before. The entries were
// not read at one instant, so a cycle within one tick is not excluded here:
// walks are bounded, see Ancestors.
func link(list []*Process) {
	for _, p := range list {
		if !p.HasStat || p.PPID <= 0 || p.PPID == p.PID {
			continue
		}
		parent := find(list, p.PPID)
		if parent != nil && parent.HasStat && parent.StartTicks <= p.StartTicks {
			p.Parent = parent
		}
	}
}

// CopyTask gives p what a new process has of its parent besides the image, unless
// it is made in namespaces of its own.
func (p *Process) CopyTask(from *Process) {
	p.Name, p.PGID, p.SID, p.TTY, p.KernelThread = from.Name, from.PGID, from.SID, from.TTY, from.KernelThread
	p.StartStack = from.StartStack
	p.HasStatus, p.UID, p.GID, p.UserName = from.HasStatus, from.UID, from.GID, from.UserName
	p.CapEffective, p.CapPermitted, p.LoginUID = from.CapEffective, from.CapPermitted, from.LoginUID
	p.CapInheritable, p.CapBounding, p.CapAmbient = from.CapInheritable, from.CapBounding, from.CapAmbient
	p.NoNewPrivs, p.Seccomp, p.Namespaces = from.NoNewPrivs, from.Seccomp, from.Namespaces
}

// CopyImage gives p what from runs: arguments, executable, working directory
// and environment.
func (p *Process) CopyImage(from *Process) {
	p.Cmdline, p.CmdlineTruncated = from.Cmdline, from.CmdlineTruncated
	p.Executable, p.ExecutableID, p.FileExists = from.Executable, from.ExecutableID, from.FileExists
	p.ExecutableMode, p.ExecutableOwner, p.ExecutableGroup = from.ExecutableMode, from.ExecutableOwner, from.ExecutableGroup
	p.CWD = from.CWD
	p.Environ, p.EnvironKnown, p.EnvironTruncated = from.Environ, from.EnvironKnown, from.EnvironTruncated
}
