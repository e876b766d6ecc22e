package procfs

import "runtime"

// Lister yields processes by their pid, until yield returns false: with
// identity, start and parents' pointers left out, and Threads 0 when no thread
// lives any more. What is not whole, or not yielded at all, is read from /proc.
type Lister func(yield func(p *Process, whole bool) bool) error

// Config tunes an Enumerator; the zero value is the default.
type Config struct {
	MaxCommandLine int  // bytes kept of a command line; 0: 32 KiB
	MaxEnviron     int  // bytes kept of an environment; 0: 32 KiB
	Environment    bool // whether environments are read
	Workers        int  // goroutines of a scan; 0: two, or one on a single processor

	// List, if not nil, lists the processes faster than /proc does. It is not
	// asked when environments are wanted, which it does not have.
	List Lister
}

func (c Config) withDefaults() Config {
	if c.MaxCommandLine <= 0 {
		c.MaxCommandLine = 32 << 10
	}
	if c.MaxEnviron <= 0 {
		c.MaxEnviron = 32 << 10
	}
	if c.Workers <= 0 {
		c.Workers = min(2, runtime.GOMAXPROCS(0))
	}
	return c
}

// limits returns what is read at most of one process.
func (c Config) limits() Ask {
	a := Ask{Cmdline: c.MaxCommandLine}
	if c.Environment {
		a.Environ = c.MaxEnviron
	}
	return a
}
