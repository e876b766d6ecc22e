package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Export copies what the newest checkpoint signs into an empty directory, to
// hand it over: entries, tiles, the checkpoint and cosigned ones, no key. The
// log may be written meanwhile. The copy is not checked: [Verify] does.
func Export(dir, to string) (Checkpoint, error) {
	r, err := OpenReader(dir)
	if err != nil {
		return Checkpoint{}, err
	}
	signed, c, err := r.Checkpoint()
	if err != nil {
		return c, err
	}
	if err := os.MkdirAll(to, dirMode); err != nil {
		return c, err
	}
	if there, err := os.ReadDir(to); err != nil {
		return c, err
	} else if len(there) > 0 {
		return c, fmt.Errorf("%s is not empty", to)
	}
	copied := &export{dir, newDirs(to)}
	if err := copied.all(c.Size); err != nil {
		return c, err
	}
	return c, copied.write(checkpointFile, signed)
}

type export struct {
	dir string
	to  *dirs
}

func (x *export) all(size uint64) error {
	var buf []byte
	for number := uint64(0); number*bundleEntries < size; number++ {
		b, err := readFile(filepath.Join(x.dir, bundlePath(number)), buf, maxBundle)
		if err != nil {
			return err
		}
		buf = b
		rest := skipRecords(b, width(0, number, size))
		if err := x.write(bundlePath(number), b[:len(b)-len(rest)]); err != nil {
			return err
		}
	}
	for level := uint(0); width(level, 0, size) > 0; level++ {
		for number := uint64(0); width(level, number, size) > 0; number++ {
			name := tilePath(level, number)
			b, err := readFile(filepath.Join(x.dir, name), buf, tileSize)
			if err != nil {
				return err
			}
			if err := x.write(name, b[:min(len(b), width(level, number, size)*HashSize)]); err != nil {
				return err
			}
		}
	}
	return x.cosigned(size)
}

func (x *export) cosigned(size uint64) error {
	files, err := os.ReadDir(filepath.Join(x.dir, cosignedDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, f := range files {
		if n, err := parseSize(f.Name()); err != nil || n > size {
			continue
		}
		name := cosignedDir + "/" + f.Name()
		b, err := readFile(filepath.Join(x.dir, name), nil, maxNote)
		if err != nil {
			return err
		}
		if err := x.write(name, b); err != nil {
			return err
		}
	}
	return nil
}

func (x *export) write(name string, b []byte) error {
	f, err := x.to.create(filepath.Join(x.to.root, name))
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
