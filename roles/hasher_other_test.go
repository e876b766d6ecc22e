//go:build unix && !linux

package roles

// wantRoles is how many there are.
func wantRoles() int { return 3 }
