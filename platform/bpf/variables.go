package bpf

import "strings"

// Room returns up to which size, in bytes, an environment is kept with a
// variable, NAME=value, at its end; 0: it is left out. What makes any program
// load other code is crowded out last, and what was only requested first. As
// room_of of process.bpf.c.
func Room(variable string, requested bool) int {
	if strings.HasPrefix(variable, "LD_PRELO") || strings.HasPrefix(variable, "LD_AUDIT") {
		return 32 << 10
	}
	var begin uint64
	for i := range min(len(variable), 8) {
		begin |= uint64(variable[i]) << (8 * i)
	}
	for _, n := range variables() {
		if n.Mask != 0 && begin&n.Mask == n.Value {
			return 24 << 10
		}
	}
	if requested {
		return 16 << 10
	}
	return 0
}
