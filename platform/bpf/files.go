package bpf

import (
	"fmt"
	gopath "path"
	"strings"
)

// What of Files, enum file_event of files.bpf.c.
const (
	FileWrite  = iota // opened for writing
	FileCreate        // made by an open
	FileRead          // opened for reading
	FileTruncate
	FileRename
	FileLink
	FileSymlink
	FileDelete // a directory too
	FileMkdir
	FileMknod
	FileChmod
	FileChown
	FileSetxattr
	FileRemovexattr
	fileEvents
)

// AllFiles is the mask of all of them.
const AllFiles = 1<<fileEvents - 1

// File is what was done to a file.
type File struct {
	Call   string // the system call
	Path   string // absolute; "" when the text that was passed could not be read
	Target string // of a rename the new path, of a link the file it leads to; of a symbolic link as it was passed

	Resolved              bool // Path is that of the open file, and not the text that was passed
	PathCut, TargetCut    bool // the first names are missing
	TargetUnread, HasFile bool

	Flags         uint64 // the argument: of an open O_*, of renameat2 RENAME_*, else AT_* or XATTR_*
	Errno         uint32 // 0: it was done
	Device, Inode uint64 // with HasFile, as are Mode, Owner and Group: of the open file, after the call
	Mode          uint32
	Owner, Group  uint32

	NewMode            uint32 // asked for by a call that makes a file or changes its mode
	NewOwner, NewGroup uint32 // asked for by FileChown; NoID: to stay
	Attribute          string // of FileSetxattr and FileRemovexattr
}

// NoID stands for an owner that is not to be changed, chown(2).
const NoID = 1<<32 - 1

// What a file record lacks, enum file_flags of files.bpf.c.
const (
	fileResolved Flags = 1 << iota
	fileCut
	fileTargetCut
	fileUnread
	fileTargetUnread
)

// fileSize is that of struct file_record.
const fileSize = 128

// file reads struct file_record, whose head was read, and the texts behind it.
// The head of a record with texts is as long as the longest.
func (e *Event) file(r reader, size int) error {
	if size < processSize {
		return fmt.Errorf("file record of %d bytes, want %d at least", size, processSize)
	}
	f := &File{}
	f.Inode, f.Flags = r.u64(), r.u64()
	f.Device = device(r.u32())
	f.Mode, f.Owner, f.Group = r.u32(), r.u32(), r.u32()
	f.NewMode, f.NewOwner, f.NewGroup = r.u32(), r.u32(), r.u32()
	f.Errno = r.u32()
	textSize, base, target, targetBase, name := int(r.u16()), int(r.u16()), int(r.u16()), int(r.u16()), int(r.u16())
	call := int(r.u8())
	r.bytes(5)
	r.bytes(processSize - fileSize)
	if call == 0 || call >= len(fileCalls()) || e.What >= fileEvents {
		return fmt.Errorf("file record of call %d, event %d", call, e.What)
	}
	if have := len(r.rest); textSize+base+target+targetBase+name > have {
		return fmt.Errorf("file record: texts of more than %d bytes", have)
	}
	f.Call = fileCalls()[call].name
	has := func(flag Flags) bool { return e.Flags&flag != 0 }
	f.Resolved, f.PathCut, f.TargetCut, f.TargetUnread = has(fileResolved), has(fileCut), has(fileTargetCut), has(fileTargetUnread)
	f.HasFile = f.Inode != 0
	passed := text(r.bytes(textSize))
	f.Path = absolute(passed, path(r.bytes(base), f.PathCut))
	passed = text(r.bytes(target))
	directory := r.bytes(targetBase)
	if f.Target = passed; e.What != FileSymlink {
		f.Target = absolute(passed, path(directory, f.TargetCut))
	}
	f.Attribute = text(r.bytes(name))
	e.File = f
	return nil
}

// absolute returns a path that was passed to a system call, behind the
// directory from which it counts: the process's root, if it begins with a
// slash. No symbolic link is followed.
func absolute(passed, directory string) string {
	switch {
	case passed == "":
		return directory
	case directory == "": // closed meanwhile
		return gopath.Clean(passed)
	case strings.HasPrefix(passed, "/"):
		passed = gopath.Clean(passed) // .. does not leave a root
	}
	return gopath.Clean(directory + "/" + passed)
}

// shape says what a call does and where its arguments are, struct shape of
// files.bpf.c: the first argument is 1, and 0 none.
type shape struct {
	Flags                            uint32 // that it has without an argument
	Event, Opens                     uint8
	FD, Dir, Path, TargetDir, Target uint8
	FlagsAt, How                     uint8
	Mode, Owner, Group, Name         uint8
	_                                [3]uint8
}

// cwd stands for the working directory as an argument.
const cwd = 7

// numbers are those of a system call, by the table of the kernel; 0: it has none.
type numbers struct{ amd64, arm64, i386, arm uint16 }

type fileCall struct {
	name string
	numbers
	shape
}

// fileCalls are the system calls that files.bpf.c looks at; the first is none.
// Numbers: arch/x86/entry/syscalls/syscall_{64,32}.tbl, arch/arm/tools/syscall.tbl,
// scripts/syscall.tbl.
func fileCalls() []fileCall {
	const create = 0o1101 // O_CREAT|O_WRONLY|O_TRUNC
	return []fileCall{
		{},
		{"open", numbers{2, 0, 5, 5}, shape{Opens: 1, Dir: cwd, Path: 1, FlagsAt: 2, Mode: 3}},
		{"openat", numbers{257, 56, 295, 322}, shape{Opens: 1, Dir: 1, Path: 2, FlagsAt: 3, Mode: 4}},
		{"openat2", numbers{437, 437, 437, 437}, shape{Opens: 1, Dir: 1, Path: 2, How: 3}},
		{"creat", numbers{85, 0, 8, 8}, shape{Opens: 1, Flags: create, Dir: cwd, Path: 1, Mode: 2}},
		{"open_by_handle_at", numbers{304, 265, 342, 371}, shape{Opens: 1, FlagsAt: 3}},
		{"truncate", numbers{76, 45, 92, 92}, shape{Event: FileTruncate, Dir: cwd, Path: 1}},
		{"ftruncate", numbers{77, 46, 93, 93}, shape{Event: FileTruncate, FD: 1}},
		{"truncate64", numbers{0, 0, 193, 193}, shape{Event: FileTruncate, Dir: cwd, Path: 1}},
		{"ftruncate64", numbers{0, 0, 194, 194}, shape{Event: FileTruncate, FD: 1}},
		{"rename", numbers{82, 0, 38, 38}, shape{Event: FileRename, Dir: cwd, Path: 1, TargetDir: cwd, Target: 2}},
		{"renameat", numbers{264, 38, 302, 329}, shape{Event: FileRename, Dir: 1, Path: 2, TargetDir: 3, Target: 4}},
		{"renameat2", numbers{316, 276, 353, 382}, shape{Event: FileRename, Dir: 1, Path: 2, TargetDir: 3, Target: 4, FlagsAt: 5}},
		{"link", numbers{86, 0, 9, 9}, shape{Event: FileLink, Dir: cwd, Path: 2, TargetDir: cwd, Target: 1}},
		{"linkat", numbers{265, 37, 303, 330}, shape{Event: FileLink, Dir: 3, Path: 4, TargetDir: 1, Target: 2, FlagsAt: 5}},
		{"symlink", numbers{88, 0, 83, 83}, shape{Event: FileSymlink, Dir: cwd, Path: 2, Target: 1}},
		{"symlinkat", numbers{266, 36, 304, 331}, shape{Event: FileSymlink, Dir: 2, Path: 3, Target: 1}},
		{"unlink", numbers{87, 0, 10, 10}, shape{Event: FileDelete, Dir: cwd, Path: 1}},
		{"unlinkat", numbers{263, 35, 301, 328}, shape{Event: FileDelete, Dir: 1, Path: 2, FlagsAt: 3}},
		{"rmdir", numbers{84, 0, 40, 40}, shape{Event: FileDelete, Dir: cwd, Path: 1}},
		{"mkdir", numbers{83, 0, 39, 39}, shape{Event: FileMkdir, Dir: cwd, Path: 1, Mode: 2}},
		{"mkdirat", numbers{258, 34, 296, 323}, shape{Event: FileMkdir, Dir: 1, Path: 2, Mode: 3}},
		{"mknod", numbers{133, 0, 14, 14}, shape{Event: FileMknod, Dir: cwd, Path: 1, Mode: 2}},
		{"mknodat", numbers{259, 33, 297, 324}, shape{Event: FileMknod, Dir: 1, Path: 2, Mode: 3}},
		{"chmod", numbers{90, 0, 15, 15}, shape{Event: FileChmod, Dir: cwd, Path: 1, Mode: 2}},
		{"fchmod", numbers{91, 52, 94, 94}, shape{Event: FileChmod, FD: 1, Mode: 2}},
		{"fchmodat", numbers{268, 53, 306, 333}, shape{Event: FileChmod, Dir: 1, Path: 2, Mode: 3}},
		{"fchmodat2", numbers{452, 452, 452, 452}, shape{Event: FileChmod, Dir: 1, Path: 2, Mode: 3, FlagsAt: 4}},
		{"chown", numbers{92, 0, 212, 212}, shape{Event: FileChown, Dir: cwd, Path: 1, Owner: 2, Group: 3}},
		{"lchown", numbers{94, 0, 198, 198}, shape{Event: FileChown, Dir: cwd, Path: 1, Owner: 2, Group: 3}},
		{"fchown", numbers{93, 55, 207, 207}, shape{Event: FileChown, FD: 1, Owner: 2, Group: 3}},
		{"fchownat", numbers{260, 54, 298, 325}, shape{Event: FileChown, Dir: 1, Path: 2, Owner: 3, Group: 4, FlagsAt: 5}},
		// With owners of 16 bits.
		{"chown16", numbers{0, 0, 182, 182}, shape{Event: FileChown, Dir: cwd, Path: 1, Owner: 2, Group: 3}},
		{"lchown16", numbers{0, 0, 16, 16}, shape{Event: FileChown, Dir: cwd, Path: 1, Owner: 2, Group: 3}},
		{"fchown16", numbers{0, 0, 95, 95}, shape{Event: FileChown, FD: 1, Owner: 2, Group: 3}},
		{"setxattr", numbers{188, 5, 226, 226}, shape{Event: FileSetxattr, Dir: cwd, Path: 1, Name: 2, FlagsAt: 5}},
		{"lsetxattr", numbers{189, 6, 227, 227}, shape{Event: FileSetxattr, Dir: cwd, Path: 1, Name: 2, FlagsAt: 5}},
		{"fsetxattr", numbers{190, 7, 228, 228}, shape{Event: FileSetxattr, FD: 1, Name: 2, FlagsAt: 5}},
		{"setxattrat", numbers{463, 463, 463, 463}, shape{Event: FileSetxattr, Dir: 1, Path: 2, FlagsAt: 3, Name: 4}},
		{"removexattr", numbers{197, 14, 235, 235}, shape{Event: FileRemovexattr, Dir: cwd, Path: 1, Name: 2}},
		{"lremovexattr", numbers{198, 15, 236, 236}, shape{Event: FileRemovexattr, Dir: cwd, Path: 1, Name: 2}},
		{"fremovexattr", numbers{199, 16, 237, 237}, shape{Event: FileRemovexattr, FD: 1, Name: 2}},
		{"removexattrat", numbers{466, 466, 466, 466}, shape{Event: FileRemovexattr, Dir: 1, Path: 2, FlagsAt: 3, Name: 4}},
	}
}

// Created says whether the call made a file, and whether that is known.
func (f *File) Created(what uint32) (created, known bool) {
	switch what {
	case FileCreate, FileLink, FileSymlink, FileMkdir, FileMknod:
		return f.Errno == 0, true
	case FileWrite, FileRead:
		const create = 0o100 // O_CREAT
		return false, f.Errno != 0 || f.HasFile || f.Flags&create == 0
	}
	return false, true
}
