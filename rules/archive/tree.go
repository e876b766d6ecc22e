package archive

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Tree returns files, by path, as a file system in which all have this time.
func Tree(files map[string][]byte, modified time.Time) fs.FS {
	return &tree{names: slices.Sorted(maps.Keys(files)), files: files, time: modified}
}

// tree shows the files of a pack as a file system.
type tree struct {
	names []string // sorted
	files map[string][]byte
	time  time.Time
}

// Open implements fs.FS.
func (t *tree) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	n := node{name: path.Base(name), time: t.time}
	if data, ok := t.files[name]; ok {
		n.size = int64(len(data))
		return &openFile{Reader: bytes.NewReader(data), node: n}, nil
	}
	n.dir = true
	list := t.entries(name)
	if len(list) == 0 && name != "." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &openDir{node: n, list: list}, nil
}

// entries lists what is directly in a directory.
func (t *tree) entries(dir string) (list []fs.DirEntry) {
	within := ""
	if dir != "." {
		within = dir + "/"
	}
	seen := map[string]bool{}
	for _, name := range t.names {
		rest, ok := strings.CutPrefix(name, within)
		if !ok {
			continue
		}
		first, _, isDir := strings.Cut(rest, "/")
		if seen[first] {
			continue
		}
		seen[first] = true
		n := node{name: first, dir: isDir, time: t.time}
		if !isDir {
			n.size = int64(len(t.files[name]))
		}
		list = append(list, fs.FileInfoToDirEntry(n))
	}
	return list
}

// node is the fs.FileInfo of a file or directory.
type node struct {
	name string
	size int64
	dir  bool
	time time.Time
}

func (n node) Name() string       { return n.name }
func (n node) Size() int64        { return n.size }
func (n node) ModTime() time.Time { return n.time }
func (n node) IsDir() bool        { return n.dir }
func (n node) Sys() any           { return nil }

func (n node) Mode() fs.FileMode {
	if n.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

type openFile struct {
	*bytes.Reader
	node node
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.node, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	node node
	list []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.node, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.node.name, Err: fs.ErrInvalid}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(d.list)
	} else if len(d.list) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.list))
	list := d.list[:n:n]
	d.list = d.list[n:]
	return list, nil
}
