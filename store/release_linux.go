package store

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseMapped takes the pages of the store's value log files out of this
// process: Badger maps every file as a whole, and each page once touched counts
// as the process's memory. They stay in the page cache, written or not.
// Nothing may unmap a value log file meanwhile, since MADV_DONTNEED would
// clear what came to lie at its address; see Store.touch.
func releaseMapped(dir string) {
	path, err := filepath.Abs(filepath.Join(dir, dbDir))
	if err != nil {
		return
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	// proc_pid_maps(5): address range, permissions, offset, device, inode, path.
	for lines := bufio.NewScanner(f); lines.Scan(); {
		_, file, ok := strings.Cut(lines.Text(), path+"/")
		if !ok || !strings.HasSuffix(file, ".vlog") {
			continue
		}
		from, rest, _ := strings.Cut(lines.Text(), "-")
		to, _, _ := strings.Cut(rest, " ")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 == nil && err2 == nil && end > start {
			dropPages(uintptr(start), uintptr(end-start))
		}
	}
}

// dropPages calls madvise(2) on an address that is not Go's. When it fails the
// pages merely stay.
func dropPages(start, length uintptr) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, start, length, unix.MADV_DONTNEED)
}
