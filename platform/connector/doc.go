// Package connector sees every fork, exec and exit of a process as it happens,
// by the process events connector of Linux: a netlink socket on which the
// kernel says which process did what, and when. What a process runs it does not
// say: that is looked up in /proc at once, and may be gone by then.
//
// Each message has a number, per CPU and without gaps, and the socket counts
// what finds no room in its buffer, so that what was received and what was lost
// add up to what was sent. Messages about threads are left out.
//
// The socket is used without a netlink library: these hide who sent a message,
// which must be the kernel, and take two system calls and a page of memory for
// each, where one call reads many.
//
// See linux/cn_proc.h, linux/connector.h, drivers/connector/cn_proc.c.
package connector

import "errors"

// ErrNotSupported is returned where there is no such socket.
var ErrNotSupported = errors.New("netlink: not supported on this system")

// Config tunes a Source; the zero value is the default.
type Config struct {
	BufferBytes    int  // of the socket, which the kernel doubles; 0: 8 MiB
	MaxCommandLine int  // bytes kept of a command line; 0: 32 KiB
	Environment    bool // whether all variables are kept, and not only those of bpf.Room
}

func (c Config) buffer() int {
	if c.BufferBytes <= 0 {
		return 8 << 20
	}
	return c.BufferBytes
}
