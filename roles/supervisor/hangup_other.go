//go:build !unix

package supervisor

// terminals: there is no SIGHUP here.
func terminals() (gone func() bool) { return func() bool { return false } }
