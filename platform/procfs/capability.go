package procfs

import (
	"fmt"
	"math/bits"
)

// capabilityCount is CAP_LAST_CAP + 1 of the newest kernel that this list knows.
const capabilityCount = 41

// capabilityNames are the names of include/uapi/linux/capability.h by number,
// without "cap_".
func capabilityNames() [capabilityCount]string {
	return [capabilityCount]string{
		"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid",
		"setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw",
		"ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct",
		"sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod",
		"lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog",
		"wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore",
	}
}

// CapabilityName returns the name of a capability, such as "cap_net_admin";
// one newer than this list is "cap_41" and so on.
func CapabilityName(number int) string {
	if number >= 0 && number < capabilityCount {
		return "cap_" + capabilityNames()[number]
	}
	return fmt.Sprintf("cap_%d", number)
}

// CapabilityNames returns the names of the bits set in a capability set, in
// the order of their numbers; never nil.
func CapabilityNames(set uint64) []string {
	names := make([]string, 0, bits.OnesCount64(set))
	for ; set != 0; set &= set - 1 {
		names = append(names, CapabilityName(bits.TrailingZeros64(set)))
	}
	return names
}
