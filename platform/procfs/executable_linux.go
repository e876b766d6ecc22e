package procfs

import (
	"golang.org/x/sys/unix"
)

// readExecutable takes the link's target and the identity of the file behind
// it, which the link leads to even when the file has no name any more.
func (w *worker) readExecutable(dir int, p, old *Process, target []byte) {
	p.Executable = w.intern(old.Executable, target)
	var st unix.Statx_t
	switch err := statx(dir, zname("exe\x00"), &st); {
	case err == nil:
		p.ExecutableID = fileID(&st)
		p.ExecutableMode, p.ExecutableOwner, p.ExecutableGroup = uint32(st.Mode), st.Uid, st.Gid
		// A memfd and a removed file have no name left, whatever the link says.
		if st.Nlink == 0 {
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
// now. The path is looked up where it is meant: in our own mount namespace, or
// for a process of another one below /proc/PID/root. There a chroot may hide
// the path, so a missing file is Gone only when the kernel marks it deleted.
// On a file system that may hang nothing is looked up.
func (w *worker) checkExecutable(dir int, p *Process) {
	if p.FileExists == Gone || p.ExecutableID.Inode == 0 || p.Executable == "" || p.Executable[0] != '/' {
		return
	}
	path, marked := TrimDeleted(p.Executable)
	if w.remote[p.ExecutableID.Device] {
		if marked {
			p.Executable, p.FileExists = path, Gone
		}
		return
	}
	own := p.Namespaces.Mnt == w.mount
	found, err := w.lookup(dir, p.Executable, own)
	switch {
	case err == nil && found.Device == p.ExecutableID.Device && found.Inode == p.ExecutableID.Inode:
		p.FileExists = Exists // even with " (deleted)" at its end: that is its name
	case marked:
		// The name is gone but the file has another one: a hard link.
		p.Executable, p.FileExists = path, Gone
	case err == nil:
		p.FileExists = Gone
	case own && (err == unix.ENOENT || err == unix.ENOTDIR):
		p.FileExists = Gone
	}
}

// lookup returns what path names now; lookups in our own mount namespace are
// remembered for the length of the scan.
func (w *worker) lookup(dir int, path string, own bool) (FileID, error) {
	if own {
		if id, ok := w.named[path]; ok {
			return id, nil
		}
		w.name = append(append(w.name[:0], path...), 0)
	} else {
		w.name = append(append(append(w.name[:0], "root"...), path...), 0)
	}
	var st unix.Statx_t
	if err := statx(dir, &w.name[0], &st); err != nil {
		return FileID{}, err
	}
	id := fileID(&st)
	if own {
		w.named[path] = id
	}
	return id, nil
}
