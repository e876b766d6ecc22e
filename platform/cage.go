package platform

// Cage is what a role may still do once it runs. What is not here is refused:
// starting programs, making processes, memory that can be executed, sockets
// but Unix ones, tracing, mounting, loading programs into the kernel, other
// users, signals to other processes (but 0, which only asks). Which system calls there are otherwise
// was found by running the roles; see calls of cage_calls_linux.go.
//
// A role closes its cage after Confine, and after it has opened what only its
// start needs: descriptors, maps and memory that it has then go on working. It
// may close a tighter one inside the first; what both allow is then possible.
type Cage struct {
	Seccomp  string // SeccompErrno, SeccompKill or SeccompOff; "": SeccompErrno
	Landlock bool   // restrict files and network by Landlock; see Paths

	Dials   bool // Unix sockets may be made and connected
	Listens bool // Unix sockets may be made and listened on
	Writes  bool // files may be opened for writing, made, renamed and removed
	Lists   bool // iterators of BPF links that are open may be opened

	// Paths are the files and directories, with all below, that may be opened;
	// what this process can not reach is left out. Only Landlock holds to them. It also refuses every reading of /proc/PID
	// that takes the right to trace that process, whatever the capabilities.
	Paths []Path
}

// Path is a part of the file system that stays open to a caged role.
type Path struct {
	Name   string // a file or directory; "/proc/self/fd/N" is what descriptor N is open on
	Access Access
}

// Access is what may be done with a Path and what is below it.
type Access int

// What may be done.
const (
	Read   Access = 1 << iota // open for reading, list
	Write                     // open for writing, make and remove files and directories, rename between Paths that have it
	Add                       // open for writing and make regular files
	Reach                     // connect to Unix sockets
	Change                    // as Write for regular files only, renamed within their directory, and make directories
)

// What becomes of a system call that a role may not make.
const (
	SeccompErrno = "errno" // it fails with EPERM
	SeccompKill  = "kill"  // it ends the process
	SeccompOff   = "off"   // no filter
)

// Walls is what came of closing a cage.
type Walls struct {
	Seccomp  string   // SeccompErrno, SeccompKill or SeccompOff
	Calls    int      // system calls that the filter allows, some only with certain arguments
	Landlock int      // ABI version that is enforced; 0: none
	Missing  []string // sentences for people: a wall that was asked for and is not there
	Limits   []string // sentences for people: what this kernel's Landlock leaves open
}
