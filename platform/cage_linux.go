package platform

import (
	"errors"
	"fmt"
	"slices"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Close closes the cage around all threads of this process, for good. What the
// kernel can not do, or is not allowed to in a container, is left out and
// named in the result: a role with fewer walls is better than none.
func (c Cage) Close() Walls {
	w := Walls{Seccomp: SeccompOff}
	// Landlock first: the filter has no place for its system calls.
	if c.Landlock {
		var err error
		if w.Landlock, err = c.closeLandlock(); err != nil {
			w.Missing = append(w.Missing, "Landlock is not in force: "+err.Error())
		}
		w.Limits = c.Unrestricted(w.Landlock)
	}
	if c.Seccomp == SeccompOff {
		return w
	}
	rules := c.calls()
	if err := c.closeSeccomp(rules); err != nil {
		w.Missing = append(w.Missing, "system calls are not filtered: "+err.Error())
		return w
	}
	w.Seccomp, w.Calls = SeccompErrno, len(rules)
	if c.Seccomp == SeccompKill {
		w.Seccomp = SeccompKill
	}
	return w
}

// landlockABI is the version of Landlock that this kernel has, 0 with the
// reason when it has none. Versions from 6 whose kernel would stop psx from
// signalling the threads of its own process count as 5, as go-landlock does it.
func landlockABI() (int, error) {
	version, err := ll.LandlockGetABIVersion()
	switch {
	case errors.Is(err, unix.ENOSYS):
		return 0, errors.New("the kernel does not have it (5.13), or a container refuses it")
	case errors.Is(err, unix.EOPNOTSUPP):
		return 0, errors.New("it was not enabled when the kernel started (lsm=landlock,…)")
	case err != nil:
		return 0, err
	}
	const signalsInProcess = 1 << 1
	if errata, err := ll.LandlockGetErrata(); version >= 6 && (err != nil || errata&signalsInProcess == 0) {
		version = 5
	}
	return version, nil
}

// closeLandlock returns the version that is enforced.
func (c Cage) closeLandlock() (int, error) {
	version, err := landlockABI()
	if err != nil {
		return 0, err
	}
	if writes := slices.ContainsFunc(c.Paths, func(p Path) bool { return p.Access&Write != 0 }); writes && version < 2 {
		return 0, errors.New("version 1 (before Linux 5.19) does not let files be renamed between directories")
	}
	var rules []landlock.Rule
	for _, p := range c.Paths {
		directory, err := reachable(p.Name)
		if err != nil {
			continue
		}
		rights := p.Access.rights()
		if !directory {
			rights &= ll.AccessFSReadFile | ll.AccessFSWriteFile | ll.AccessFSTruncate // all others are directories'
		}
		rules = append(rules, landlock.PathAccess(rights, p.Name))
	}
	if err := landlock.V11.BestEffort().Restrict(rules...); err != nil {
		return 0, err
	}
	return version, nil
}

// reachable looks at a path as go-landlock does, which gives up at one that it
// can not open.
func reachable(name string) (directory bool, err error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	return st.Mode&unix.S_IFMT == unix.S_IFDIR, err
}

// rights are Landlock's. None of them is to execute.
func (a Access) rights() (set landlock.AccessFSSet) {
	if a&Read != 0 {
		set |= ll.AccessFSReadFile | ll.AccessFSReadDir
	}
	if a&Write != 0 {
		set |= ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSMakeReg | ll.AccessFSMakeDir | ll.AccessFSMakeSock |
			ll.AccessFSRemoveFile | ll.AccessFSRemoveDir | ll.AccessFSRefer
	}
	if a&Add != 0 {
		set |= ll.AccessFSWriteFile | ll.AccessFSMakeReg
	}
	if a&Change != 0 {
		set |= ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSMakeReg | ll.AccessFSMakeDir | ll.AccessFSRemoveFile
	}
	if a&Reach != 0 {
		set |= ll.AccessFSResolveUnix
	}
	return set
}

// Unrestricted says what that version of Landlock leaves open and a later one
// does not, as far as the filter of system calls lets the role do it at all.
func (c Cage) Unrestricted(version int) []string {
	if version == 0 {
		return nil
	}
	var list []string
	for _, x := range []struct {
		since  int
		what   string
		matter bool
	}{
		{3, "truncating files (Linux 6.2)", c.Writes},
		{6, "connecting to abstract Unix sockets (6.12)", c.Dials},
		{9, "connecting to Unix sockets by their path", c.Dials},
	} {
		if x.matter && version < x.since {
			list = append(list, fmt.Sprintf("Landlock version %d does not restrict %s", version, x.what))
		}
	}
	return list
}

// GiveUpAll drops every capability on every thread.
func GiveUpAll() error {
	err := setCapabilities(func(data *[2]unix.CapUserData) { *data = [2]unix.CapUserData{} })
	if err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	return nil
}
