package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
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
