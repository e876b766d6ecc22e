//go:build !linux

package roles

// provokable does nothing here: there are no walls.
func provokable() {}
