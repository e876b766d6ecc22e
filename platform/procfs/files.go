package procfs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"syscall"
)

// File is one of the things that can be read of a process.
type File uint8

// In this order they are read.
const (
	FileStat File = iota
	FileStatus
	FileCgroup
	FileExe     // target of the link
	FileExeInfo // of the file behind it, see fileInfo
	FileNSMnt
	FileNamed // of the file that has the name that FileExe gave, as the process sees it
	FileCmdline
	FileCWD
	FileNSCgroup
	FileNSIPC
	FileNSNet
	FileNSPID
	FileNSTime
	FileNSUser
	FileNSUTS
	FileLoginUID
	FileEnviron
	files // their number
)

// Limits of an Ask.
const (
	MaxAsk  = 64      // processes
	MaxText = 2 << 20 // bytes of a command line or an environment

	smallFile = 8 << 10 // bytes: more than stat, status, cgroup and a path take
)

// FileSet is a set of Files.
type FileSet uint32

// Set returns a set.
func Set(list ...File) (s FileSet) {
	for _, f := range list {
		s |= 1 << f
	}
	return s
}

// Has reports whether f is in s.
func (s FileSet) Has(f File) bool { return s&(1<<f) != 0 }

// All yields the members of s in the order in which they are read.
func (s FileSet) All() iter.Seq[File] {
	return func(yield func(File) bool) {
		for ; s != 0; s &= s - 1 {
			if !yield(File(bits.TrailingZeros32(uint32(s)))) {
				return
			}
		}
	}
}

// Ask says what is to be read of which processes.
type Ask struct {
	PIDs    []int32
	Files   FileSet
	Cmdline int // bytes of a command line, at most
	Environ int // bytes of an environment, at most
}

// Check returns an error if a is beyond the limits.
func (a *Ask) Check() error {
	if len(a.PIDs) == 0 || len(a.PIDs) > MaxAsk {
		return fmt.Errorf("%d processes", len(a.PIDs))
	}
	for _, pid := range a.PIDs {
		if pid <= 0 {
			return fmt.Errorf("process %d", pid)
		}
	}
	if a.Files == 0 || a.Files >= 1<<files {
		return fmt.Errorf("files %#x", uint32(a.Files))
	}
	if a.Cmdline < 0 || a.Cmdline > MaxText || a.Environ < 0 || a.Environ > MaxText {
		return fmt.Errorf("texts of %d and %d bytes", a.Cmdline, a.Environ)
	}
	return nil
}

// limit returns how many bytes of f there may be.
func (a *Ask) limit(f File) int {
	switch f {
	case FileCmdline:
		return a.Cmdline
	case FileEnviron:
		return a.Environ
	}
	return smallFile
}

// MaxContents is how many bytes the record of one process may take.
func (a *Ask) MaxContents() int { return 5 + int(files)*(6+smallFile) + a.Cmdline + a.Environ }

// Content is what a file had.
type Content struct {
	Data []byte
	More bool          // the file was longer
	Err  syscall.Errno // why there is none; 0: there is
}

// Contents is what was read of one process.
type Contents struct {
	PID   int32
	Err   syscall.Errno // of /proc/PID; the files are then not set
	Files [files]Content
}

// Answer is what a Reader has read. It may be used again, but not after an
// error.
type Answer struct {
	Contents []Contents // parts of Buf
	Buf      []byte
}

// Reader reads /proc, and the names of users, for one who may not.
type Reader interface {
	// PIDs appends the numbers of all processes.
	PIDs(ctx context.Context, list []int32) ([]int32, error)
	// Passwd returns /etc/passwd.
	Passwd(ctx context.Context) ([]byte, error)
	// Read reads the processes from the first on, in their order; not always
	// all, but at least one. A process has one descriptor for all its files: none
	// of them is of another that got its pid meanwhile.
	Read(ctx context.Context, ask *Ask, to *Answer) error
}

// A record is the pid and the error of /proc/PID (one byte). If that is 0, for
// each file asked for: its error, and if that is 0, whether there was more,
// length (4) and bytes. Numbers are little endian.

// maxErrno is above every error number that the kernel gives to a program.
const maxErrno = 200

// AppendProcess begins the record of a process.
func AppendProcess(dst []byte, pid int32, err syscall.Errno) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(pid))
	return append(dst, errorByte(err))
}

// AppendContent adds its next file.
func AppendContent(dst []byte, c Content) []byte {
	if c.Err != 0 {
		return append(dst, errorByte(c.Err))
	}
	more := byte(0)
	if c.More {
		more = 1
	}
	dst = append(dst, 0, more)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(c.Data)))
	return append(dst, c.Data...)
}

func errorByte(err syscall.Errno) byte {
	if err >= maxErrno {
		return 5 // EIO
	}
	return byte(err)
}

var errRecord = errors.New("malformed record of a process")

// Parse takes the records of to.Buf, of which there must be one at least.
func (a *Ask) Parse(to *Answer) (err error) {
	to.Contents = to.Contents[:0]
	for rest := to.Buf; len(rest) > 0 || len(to.Contents) == 0; {
		if len(to.Contents) == len(a.PIDs) {
			return errRecord
		}
		var c Contents
		if rest, err = a.parse(rest, a.PIDs[len(to.Contents)], &c); err != nil {
			return err
		}
		to.Contents = append(to.Contents, c)
	}
	return nil
}

// parse reads a record, which must be of pid, and returns what follows it.
func (a *Ask) parse(b []byte, pid int32, to *Contents) (rest []byte, err error) {
	*to = Contents{PID: pid}
	if len(b) < 5 || int32(binary.LittleEndian.Uint32(b)) != pid || b[4] >= maxErrno {
		return nil, errRecord
	}
	to.Err, b = syscall.Errno(b[4]), b[5:]
	if to.Err != 0 {
		return b, nil
	}
	for f := range files {
		c := &to.Files[f]
		if !a.Files.Has(f) {
			c.Err = syscall.ENOENT
			continue
		}
		if len(b) < 1 || b[0] >= maxErrno {
			return nil, errRecord
		}
		c.Err, b = syscall.Errno(b[0]), b[1:]
		if c.Err != 0 {
			continue
		}
		if len(b) < 5 || b[0] > 1 {
			return nil, errRecord
		}
		n := binary.LittleEndian.Uint32(b[1:])
		c.More, b = b[0] == 1, b[5:]
		if uint64(n) > uint64(a.limit(f)) || uint64(n) > uint64(len(b)) {
			return nil, errRecord
		}
		c.Data, b = b[:n:n], b[n:]
	}
	return b, nil
}

// fileInfo is what FileExeInfo and FileNamed have.
type fileInfo struct {
	id                 FileID
	mode, owner, group uint32
	links              uint32
}

const fileInfoSize = 5*8 + 4*4

func (i *fileInfo) append(dst []byte) []byte {
	for _, n := range []uint64{i.id.Device, i.id.Inode, uint64(i.id.Size), uint64(i.id.Mtime), uint64(i.id.Ctime)} {
		dst = binary.LittleEndian.AppendUint64(dst, n)
	}
	for _, n := range []uint32{i.mode, i.owner, i.group, i.links} {
		dst = binary.LittleEndian.AppendUint32(dst, n)
	}
	return dst
}

// parseFileInfo returns the zero value for anything else.
func parseFileInfo(b []byte) (i fileInfo) {
	if len(b) != fileInfoSize {
		return i
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[8*at:]) }
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[40+4*at:]) }
	i.id = FileID{Device: u64(0), Inode: u64(1), Size: int64(u64(2)), Mtime: int64(u64(3)), Ctime: int64(u64(4))}
	i.mode, i.owner, i.group, i.links = u32(0), u32(1), u32(2), u32(3)
	return i
}
