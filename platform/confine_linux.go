package platform

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// Confine gives up, for this whole process, what its role does not need any
// more once it runs: name is how it appears in ps. This is the place for what
// confines a role from inside.
//
//   - the ambient and inheritable sets are emptied on every thread, so that a
//     program started from here would have no capability
//   - no core dumps, and nobody without CAP_SYS_PTRACE can attach to it or read
//     its memory, other processes of the same user among them
//   - files that it makes are not for others
func Confine(name string) error {
	var errs []error
	try := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	// The name of the first thread is the process's; it was started as
	// /proc/self/exe and is called "exe". Once undumpable, /proc/self is root's.
	try("set process name", os.WriteFile("/proc/self/comm", []byte(name), 0))
	// psx runs a system call on every thread; syscall.AllThreadsSyscall refuses
	// to in a program with cgo.
	_, _, errno := psx.Syscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0)
	if errno != 0 {
		try("clear ambient capabilities", errno)
	}
	try("clear inheritable capabilities", clearInheritable())
	try("forbid core dumps", unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}))
	try("make undumpable", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
	unix.Umask(0o027)
	return errors.Join(errs...)
}

func clearInheritable() error {
	return setCapabilities(func(data *[2]unix.CapUserData) {
		data[0].Inheritable, data[1].Inheritable = 0, 0
	})
}

// GiveUp drops the capabilities on every thread; they can not be had again.
func GiveUp(capabilities ...int) error {
	err := setCapabilities(func(data *[2]unix.CapUserData) {
		for _, c := range capabilities {
			data[c/32].Permitted &^= 1 << (c % 32)
			data[c/32].Effective &^= 1 << (c % 32)
			data[c/32].Inheritable &^= 1 << (c % 32)
		}
	})
	if err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	return nil
}

// setCapabilities changes the sets of this thread and gives them to all.
func setCapabilities(change func(*[2]unix.CapUserData)) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	change(&data)
	_, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
