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

	// Accessed is what Path would be, or else Target, by the mounts through which
	// the process reached the file, where that is not how it is watched.
	Accessed string

	// The paths within the file systems, where they are watched by these.
	inner, targetInner             string
	innerDevice, targetInnerDevice uint32
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
	fileTouched
)

// fileSize is that of struct file_record.
const fileSize = 144

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
	r.u8()
	inner, targetInner := int(r.u16()), int(r.u16())
	f.innerDevice, f.targetInnerDevice = r.u32(), r.u32()
	skip, targetSkip, innerSkip, targetInnerSkip := int(r.u16()), int(r.u16()), int(r.u16()), int(r.u16())
	r.bytes(processSize - fileSize)
	if call == 0 || call >= len(fileCalls) || e.What >= fileEvents {
		return fmt.Errorf("file record of call %d, event %d", call, e.What)
	}
	if have := len(r.rest); textSize+base+inner+target+targetBase+targetInner+name > have {
		return fmt.Errorf("file record: texts of more than %d bytes", have)
	}
	f.Call = fileCalls[call].name
	has := func(flag Flags) bool { return e.Flags&flag != 0 }
	f.Resolved, f.PathCut, f.TargetCut, f.TargetUnread = has(fileResolved), has(fileCut), has(fileTargetCut), has(fileTargetUnread)
	f.HasFile = f.Inode != 0
	passed, directory := text(r.bytes(textSize)), r.bytes(base)
	var within []byte
	if !has(fileTouched) {
		within = r.bytes(inner)
	}
	targetPassed, targetDirectory := text(r.bytes(target)), r.bytes(targetBase)
	if has(fileTouched) {
		within = r.bytes(inner)
	}
	targetWithin := r.bytes(targetInner)
	f.Path = absolute(behind(passed, skip), path(directory, f.PathCut))
	if inner > 0 {
		f.inner = absolute(behind(passed, innerSkip), path(within, false))
	}
	if f.Target = targetPassed; e.What != FileSymlink {
		f.Target = absolute(behind(targetPassed, targetSkip), path(targetDirectory, f.TargetCut))
		if targetInner > 0 {
			f.targetInner = absolute(behind(targetPassed, targetInnerSkip), path(targetWithin, false))
		}
	}
	f.Attribute = text(r.bytes(name))
	e.File = f
	return nil
}

// behind returns a path that was passed without the first bytes, for which its
// directory stands.
func behind(passed string, skip int) string {
	if skip == 0 || skip > len(passed) {
		return passed
	}
	return strings.TrimLeft(passed[skip:], "/")
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

type fileCall struct {
	name string
	callNumbers
	shape
}

// fileCalls are the system calls that files.bpf.c looks at; the first is none.
// Never changed.
// Numbers: arch/x86/entry/syscalls/syscall_{64,32}.tbl, arch/arm/tools/syscall.tbl,
// scripts/syscall.tbl.
var fileCalls = []fileCall{
	{},
	{"open", callNumbers{2, 5, 0, 5}, shape{Opens: 1, Dir: cwd, Path: 1, FlagsAt: 2, Mode: 3}},
	{"openat", callNumbers{257, 295, 56, 322}, shape{Opens: 1, Dir: 1, Path: 2, FlagsAt: 3, Mode: 4}},
	{"openat2", callNumbers{437, 437, 437, 437}, shape{Opens: 1, Dir: 1, Path: 2, How: 3}},
	{"creat", callNumbers{85, 8, 0, 8}, shape{Opens: 1, Flags: 0o1101 /* O_CREAT|O_WRONLY|O_TRUNC */, Dir: cwd, Path: 1, Mode: 2}},
	{"open_by_handle_at", callNumbers{304, 342, 265, 371}, shape{Opens: 1, FlagsAt: 3}},
	{"truncate", callNumbers{76, 92, 45, 92}, shape{Event: FileTruncate, Dir: cwd, Path: 1}},
	{"ftruncate", callNumbers{77, 93, 46, 93}, shape{Event: FileTruncate, FD: 1}},
	{"truncate64", callNumbers{0, 193, 0, 193}, shape{Event: FileTruncate, Dir: cwd, Path: 1}},
	{"ftruncate64", callNumbers{0, 194, 0, 194}, shape{Event: FileTruncate, FD: 1}},
	{"rename", callNumbers{82, 38, 0, 38}, shape{Event: FileRename, Dir: cwd, Path: 1, TargetDir: cwd, Target: 2}},
	{"renameat", callNumbers{264, 302, 38, 329}, shape{Event: FileRename, Dir: 1, Path: 2, TargetDir: 3, Target: 4}},
	{"renameat2", callNumbers{316, 353, 276, 382}, shape{Event: FileRename, Dir: 1, Path: 2, TargetDir: 3, Target: 4, FlagsAt: 5}},
	{"link", callNumbers{86, 9, 0, 9}, shape{Event: FileLink, Dir: cwd, Path: 2, TargetDir: cwd, Target: 1}},
	{"linkat", callNumbers{265, 303, 37, 330}, shape{Event: FileLink, Dir: 3, Path: 4, TargetDir: 1, Target: 2, FlagsAt: 5}},
	{"symlink", callNumbers{88, 83, 0, 83}, shape{Event: FileSymlink, Dir: cwd, Path: 2, Target: 1}},
	{"symlinkat", callNumbers{266, 304, 36, 331}, shape{Event: FileSymlink, Dir: 2, Path: 3, Target: 1}},
	{"unlink", callNumbers{87, 10, 0, 10}, shape{Event: FileDelete, Dir: cwd, Path: 1}},
	{"unlinkat", callNumbers{263, 301, 35, 328}, shape{Event: FileDelete, Dir: 1, Path: 2, FlagsAt: 3}},
	{"rmdir", callNumbers{84, 40, 0, 40}, shape{Event: FileDelete, Dir: cwd, Path: 1}},
	{"mkdir", callNumbers{83, 39, 0, 39}, shape{Event: FileMkdir, Dir: cwd, Path: 1, Mode: 2}},
	{"mkdirat", callNumbers{258, 296, 34, 323}, shape{Event: FileMkdir, Dir: 1, Path: 2, Mode: 3}},
	{"mknod", callNumbers{133, 14, 0, 14}, shape{Event: FileMknod, Dir: cwd, Path: 1, Mode: 2}},
	{"mknodat", callNumbers{259, 297, 33, 324}, shape{Event: FileMknod, Dir: 1, Path: 2, Mode: 3}},
	{"chmod", callNumbers{90, 15, 0, 15}, shape{Event: FileChmod, Dir: cwd, Path: 1, Mode: 2}},
	{"fchmod", callNumbers{91, 94, 52, 94}, shape{Event: FileChmod, FD: 1, Mode: 2}},
	{"fchmodat", callNumbers{268, 306, 53, 333}, shape{Event: FileChmod, Dir: 1, Path: 2, Mode: 3}},
	{"fchmodat2", callNumbers{452, 452, 452, 452}, shape{Event: FileChmod, Dir: 1, Path: 2, Mode: 3, FlagsAt: 4}},
	{"chown", callNumbers{92, 212, 0, 212}, shape{Event: FileChown, Dir: cwd, Path: 1, Owner: 2, Group: 3}},
	{"lchown", callNumbers{94, 198, 0, 198}, shape{Event: FileChown, Dir: cwd, Path: 1, Owner: 2, Group: 3}},
	{"fchown", callNumbers{93, 207, 55, 207}, shape{Event: FileChown, FD: 1, Owner: 2, Group: 3}},
	{"fchownat", callNumbers{260, 298, 54, 325}, shape{Event: FileChown, Dir: 1, Path: 2, Owner: 3, Group: 4, FlagsAt: 5}},
	// With owners of 16 bits.
	{"chown16", callNumbers{0, 182, 0, 182}, shape{Event: FileChown, Dir: cwd, Path: 1, Owner: 2, Group: 3}},
	{"lchown16", callNumbers{0, 16, 0, 16}, shape{Event: FileChown, Dir: cwd, Path: 1, Owner: 2, Group: 3}},
	{"fchown16", callNumbers{0, 95, 0, 95}, shape{Event: FileChown, FD: 1, Owner: 2, Group: 3}},
	{"setxattr", callNumbers{188, 226, 5, 226}, shape{Event: FileSetxattr, Dir: cwd, Path: 1, Name: 2, FlagsAt: 5}},
	{"lsetxattr", callNumbers{189, 227, 6, 227}, shape{Event: FileSetxattr, Dir: cwd, Path: 1, Name: 2, FlagsAt: 5}},
	{"fsetxattr", callNumbers{190, 228, 7, 228}, shape{Event: FileSetxattr, FD: 1, Name: 2, FlagsAt: 5}},
	{"setxattrat", callNumbers{463, 463, 463, 463}, shape{Event: FileSetxattr, Dir: 1, Path: 2, FlagsAt: 3, Name: 4}},
	{"removexattr", callNumbers{197, 235, 14, 235}, shape{Event: FileRemovexattr, Dir: cwd, Path: 1, Name: 2}},
	{"lremovexattr", callNumbers{198, 236, 15, 236}, shape{Event: FileRemovexattr, Dir: cwd, Path: 1, Name: 2}},
	{"fremovexattr", callNumbers{199, 237, 16, 237}, shape{Event: FileRemovexattr, FD: 1, Name: 2}},
	{"removexattrat", callNumbers{466, 466, 466, 466}, shape{Event: FileRemovexattr, Dir: 1, Path: 2, FlagsAt: 3, Name: 4}},
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
