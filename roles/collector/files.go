package collector

import (
	"strconv"

	"daemoneye/bus/event"
	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
)

// maxPath bounds a path in a row, from its end: the kernel takes no longer one
// than this at once.
const maxPath = 4 << 10

// fileEvents are the columns that only file_events has.
type fileEvents struct {
	names []string
	event, path, targetPath, accessedPath, resolved, truncated, errno, created, flags, mode, fileType, inode, device, userID, groupID, attribute,
	systemCall *event.ColumnBuilder
}

// fileTable is file_events: all of what is watched.
func fileTable() actionTable {
	return actionTable{name: "file_events", events: fileEventNames(), open: openFileEvents, wanted: bpf.AllFiles}
}

func openFileEvents(b *event.Builder) func(*bpf.Event, *procfs.Process, *live) {
	c := &fileEvents{
		names: fileEventNames(), event: b.Column("event"), path: b.Column("path"), targetPath: b.Column("target_path"), accessedPath: b.Column("accessed_path"), resolved: b.Column("path_resolved"),
		truncated: b.Column("path_truncated"), errno: b.Column("error"), created: b.Column("created"), flags: b.Column("flags"),
		mode: b.Column("mode"), fileType: b.Column("file_type"), inode: b.Column("inode"), device: b.Column("device"),
		userID: b.Column("file_user_id"), groupID: b.Column("file_group_id"), attribute: b.Column("attribute"), systemCall: b.Column("system_call"),
	}
	return func(e *bpf.Event, _ *procfs.Process, _ *live) { c.write(e.What, e.File) }
}

func (c *fileEvents) write(what uint32, f *bpf.File) {
	c.event.Text(c.names[what])
	path, target := cutPath(f.Path, maxPath), cutPath(f.Target, maxPath)
	c.path.TextOrNull(path)
	c.targetPath.TextOrNull(target)
	c.accessedPath.TextOrNull(cutPath(f.Accessed, maxPath))
	c.resolved.Bool(f.Resolved)
	cut := f.PathCut || f.TargetCut || f.TargetUnread || f.Path == "" || len(f.Path) > maxPath || len(f.Target) > maxPath
	c.truncated.Bool(cut)
	c.attribute.TextOrNull(event.Clean(f.Attribute))
	c.systemCall.Text(f.Call)
	switch f.Errno {
	case 0:
	case 1:
		c.errno.Text("EPERM")
	case 13:
		c.errno.Text("EACCES")
	}
	if created, known := f.Created(what); known {
		c.created.Bool(created)
	}
	c.flags.Texts(fileFlags(what, f))
	c.file(what, f)
}

// file writes what is known of the file itself.
func (c *fileEvents) file(what uint32, f *bpf.File) {
	owner, group := bpf.NoID, bpf.NoID
	if f.HasFile {
		c.inode.Int(int64(f.Inode))
		if f.Device != 0 {
			c.device.Int(int64(f.Device))
		}
		owner, group = int(f.Owner), int(f.Group)
	}
	if what == bpf.FileChown {
		owner, group = int(f.NewOwner), int(f.NewGroup)
	}
	if owner != bpf.NoID {
		c.userID.Int(int64(owner))
	}
	if group != bpf.NoID {
		c.groupID.Int(int64(group))
	}
	asked := what == bpf.FileChmod || what == bpf.FileMkdir || what == bpf.FileMknod || what == bpf.FileCreate && !f.HasFile
	switch {
	case asked:
		c.mode.Text(octal(f.NewMode))
	case f.HasFile:
		c.mode.Text(octal(f.Mode))
	}
	switch {
	case f.HasFile:
		c.fileType.TextOrNull(fileType(f.Mode))
	case what == bpf.FileMkdir:
		c.fileType.Text("directory")
	case what == bpf.FileSymlink:
		c.fileType.Text("symlink")
	case what == bpf.FileMknod && f.NewMode>>12&15 == 0: // mknod(2)
		c.fileType.Text("regular")
	case what == bpf.FileMknod:
		c.fileType.TextOrNull(fileType(f.NewMode))
	}
}

func octal(mode uint32) string { return strconv.FormatUint(uint64(mode&0o7777), 8) }

// fileType names the type in a mode, inode(7).
func fileType(mode uint32) string {
	return [16]string{
		1: "fifo", 2: "character-device", 4: "directory", 6: "block-device", 8: "regular", 10: "symlink", 12: "socket",
	}[mode>>12&15]
}

func fileEventNames() []string {
	return []string{
		bpf.FileWrite: "write", bpf.FileCreate: "create", bpf.FileRead: "read", bpf.FileTruncate: "truncate", bpf.FileRename: "rename",
		bpf.FileLink: "link", bpf.FileSymlink: "symlink", bpf.FileDelete: "delete", bpf.FileMkdir: "mkdir", bpf.FileMknod: "mknod",
		bpf.FileChmod: "chmod", bpf.FileChown: "chown", bpf.FileSetxattr: "setxattr", bpf.FileRemovexattr: "removexattr",
	}
}

// fileFlags names the flags of a call that matter to who looks for attacks and
// have one number on all architectures.
func fileFlags(what uint32, f *bpf.File) []string {
	type flag struct {
		bit  uint64
		name string
	}
	var list []string
	var names []flag
	switch what {
	case bpf.FileWrite, bpf.FileCreate, bpf.FileRead:
		list = append(list, [...]string{"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"}[f.Flags&3])
		names = []flag{{0o100, "O_CREAT"}, {0o200, "O_EXCL"}, {0o1000, "O_TRUNC"}, {0o2000, "O_APPEND"}, {0o20000000, "O_TMPFILE"}}
	case bpf.FileRename:
		names = []flag{{1, "RENAME_NOREPLACE"}, {2, "RENAME_EXCHANGE"}, {4, "RENAME_WHITEOUT"}}
	case bpf.FileDelete:
		names = []flag{{0x200, "AT_REMOVEDIR"}}
	case bpf.FileLink:
		names = []flag{{0x400, "AT_SYMLINK_FOLLOW"}, {0x1000, "AT_EMPTY_PATH"}}
	case bpf.FileChmod, bpf.FileChown:
		names = []flag{{0x100, "AT_SYMLINK_NOFOLLOW"}, {0x1000, "AT_EMPTY_PATH"}}
	}
	for _, n := range names {
		if f.Flags&n.bit != 0 {
			list = append(list, n.name)
		}
	}
	return list
}
