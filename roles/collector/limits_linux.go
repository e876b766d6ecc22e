package collector

import (
	"os"
	"slices"

	"daemoneye/platform"
)

// limits says in sentences what this process can not see, and how to change it.
func limits() []string {
	s, err := platform.ReadStatus(os.Getpid())
	if err != nil {
		return []string{"its own privileges are not known: " + err.Error()}
	}
	has := func(name string) bool { return slices.Contains(s.Effective, name) }
	switch {
	case !has("cap_sys_ptrace") && s.UID != 0:
		return []string{"executables, working directories and namespaces of other users' processes can not be read; run as root to see them"}
	case !has("cap_sys_ptrace"):
		return []string{"executables, working directories and namespaces of other users' processes can not be read: cap_sys_ptrace is missing"}
	case !has("cap_dac_read_search"):
		return []string{"executables in directories or with modes closed to this user can not be hashed: cap_dac_read_search is missing"}
	}
	return nil
}
