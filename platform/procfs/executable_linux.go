package procfs

import (
	"golang.org/x/sys/unix"
)

// readExecutable takes the link's target and the identity of the file behind
// it, which the link leads to even when the file has no name any more.
func (w *worker) readExecutable(p, old *Process, target []byte) {
	p.Executable = w.intern(old.Executable, target)
	switch b, _, err := w.read(FileExeInfo); {
	case err == nil:
		info := parseFileInfo(b)
		p.ExecutableID = info.id
		p.ExecutableMode, p.ExecutableOwner, p.ExecutableGroup = info.mode, info.owner, info.group
		// A memfd and a removed file have no name left, whatever the link says.
		if info.links == 0 {
			p.FileExists = Gone
			if path, marked := TrimDeleted(p.Executable); marked {
				p.Executable = w.intern(old.Executable, []byte(path))
			}
		}
	case refused(err):
		p.Accessible = false
	}
}

// checkExecutable compares the file that runs with the one that its path names
// now. In another mount namespace than ours a chroot may hide the path, so a
// missing file is Gone only when the kernel marks it deleted.
func (w *worker) checkExecutable(p *Process) {
	if p.FileExists == Gone || p.ExecutableID.Inode == 0 || p.Executable == "" || p.Executable[0] != '/' {
		return
	}
	path, marked := TrimDeleted(p.Executable)
	own := p.Namespaces.Mnt == w.mount
	found, err := w.named(p.Executable, p.ExecutableID.Device, own)
	switch {
	case err == nil && found.id.Device == p.ExecutableID.Device && found.id.Inode == p.ExecutableID.Inode:
		p.FileExists = Exists // even with " (deleted)" at its end: that is its name
	case marked:
		// The name is gone but the file has another one: a hard link. Or it was
		// not looked up.
		p.Executable, p.FileExists = path, Gone
	case err == nil:
		p.FileExists = Gone
	case own && (err == unix.ENOENT || err == unix.ENOTDIR):
		p.FileExists = Gone
	}
}
