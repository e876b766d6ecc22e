package ledger

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

const (
	dirMode  = 0o750
	fileMode = 0o640
	keyMode  = 0o600
)

// dirs creates files and remembers which directories have new names in them.
type dirs struct {
	root  string
	dirty map[string]bool
}

func newDirs(root string) *dirs { return &dirs{filepath.Clean(root), map[string]bool{}} }

// create makes an empty file below the root, and the directories above it.
func (d *dirs) create(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, fileMode)
	if errors.Is(err, os.ErrNotExist) {
		if err := d.mkdir(filepath.Dir(name)); err != nil {
			return nil, err
		}
		f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, fileMode)
	}
	if err == nil {
		d.dirty[filepath.Dir(name)] = true
	}
	return f, err
}

// touch says that a file and the directories above it may have new names.
func (d *dirs) touch(name string) {
	for len(name) > len(d.root) {
		name = filepath.Dir(name)
		d.dirty[name] = true
	}
}

func (d *dirs) mkdir(name string) error {
	if err := os.MkdirAll(name, dirMode); err != nil {
		return err
	}
	d.touch(name)
	return nil
}

// syncs returns what makes the new names survive a loss of power; after it has
// been done, forget.
func (d *dirs) syncs() []func() error {
	list := make([]func() error, 0, len(d.dirty))
	for name := range d.dirty {
		list = append(list, func() error { return syncDir(name) })
	}
	return list
}

func (d *dirs) forget() { clear(d.dirty) }

func (d *dirs) sync() error {
	if err := together(d.syncs()); err != nil {
		return err
	}
	d.forget()
	return nil
}

// replace writes a file so that there is either the old or the new one.
func replace(name string, b []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(name))
}

// errTooLong is of a file that is longer than any that the ledger writes.
var errTooLong = errors.New("file too long")

// readFile reads a file of at most limit bytes into buf, which grows.
func readFile(name string, buf []byte, limit int) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO is not waited for
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file (%v)", filepath.Base(name), info.Mode().Type())
	}
	if info.Size() > int64(limit) {
		return nil, fmt.Errorf("%w: %s has %d bytes, the limit is %d", errTooLong, filepath.Base(name), info.Size(), limit)
	}
	if n := int(info.Size()); cap(buf) < n {
		buf = make([]byte, n)
	} else {
		buf = buf[:n]
	}
	n, err := io.ReadFull(f, buf)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil // it has become shorter meanwhile
	}
	return buf[:n], err
}

func syncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(syncData(f), f.Close())
}

// together does all of list, some at a time: file systems write for many
// waiting syncs at once.
func together(list []func() error) error {
	if len(list) == 1 {
		return list[0]()
	}
	var all error
	for some := range slices.Chunk(list, 8) {
		errs := make([]error, len(some))
		var wait sync.WaitGroup
		for i, do := range some {
			wait.Go(func() { errs[i] = do() })
		}
		wait.Wait()
		all = errors.Join(all, errors.Join(errs...))
	}
	return all
}
