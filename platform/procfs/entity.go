package procfs

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/zeebo/blake3"
)

// EntityID returns the identity of a process: 32 hex digits of BLAKE3 over the
// boot id, the pid and the start time in ticks since boot. It is the same in
// every scan, after a restart of the collector and after any change of the
// clock, and no other process of any boot has it.
//
// The pid and the ticks are those of the collector's own pid and time
// namespace, so an identity is comparable between collectors of one host only
// when they share both.
func EntityID(bootID string, pid int32, startTicks uint64) string {
	raw := make([]byte, 0, 64)
	raw = append(raw, "daemoneye process\x00"...)
	raw = append(raw, bootID...)
	raw = append(raw, 0)
	raw = binary.LittleEndian.AppendUint32(raw, uint32(pid))
	raw = binary.LittleEndian.AppendUint64(raw, startTicks)
	sum := blake3.Sum256(raw)
	return hex.EncodeToString(sum[:16])
}
