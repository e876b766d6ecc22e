package bpf

// Keeps reports whether an environment variable, NAME=value, is one of those
// that are always kept.
func Keeps(variable string) bool {
	var begin uint64
	for i := range min(len(variable), 8) {
		begin |= uint64(variable[i]) << (8 * i)
	}
	for _, n := range variables() {
		if n.Mask != 0 && begin&n.Mask == n.Value {
			return true
		}
	}
	return false
}
