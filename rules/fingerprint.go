package rules

import (
	"hash/maphash"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// Fingerprint returns a number that changes when a file of the sources is
// made, changed, moved or removed, as far as names, sizes, times and inodes tell;
// whatever the file is, and where links lead to. It is of use in this process
// alone.
func Fingerprint(sources ...Source) uint64 {
	f := fingerprint{}
	f.hash.SetSeed(seed)
	for _, s := range sources {
		f.entries = 0
		f.walk(s.FS, s.root(), nil)
		f.hash.WriteByte(0)
	}
	return f.hash.Sum64()
}

type fingerprint struct {
	hash    maphash.Hash
	entries int
}

func (f *fingerprint) walk(fsys fs.FS, name string, above []fs.FileInfo) {
	if f.entries++; f.entries > maxEntries || len(above) > maxDepth {
		return
	}
	info, err := fs.Stat(fsys, name)
	if err != nil {
		f.note(name, err.Error())
		return
	}
	f.note(name, info.Mode().String())
	if !info.IsDir() {
		maphash.WriteComparable(&f.hash, [2]int64{info.Size(), info.ModTime().UnixNano()})
		maphash.WriteComparable(&f.hash, fileNumber(info))
		return
	}
	if slices.ContainsFunc(above, func(dir fs.FileInfo) bool { return os.SameFile(dir, info) }) {
		return
	}
	entries, err := readDir(fsys, name, maxEntries-f.entries+1)
	if err != nil {
		f.note(name, err.Error())
	}
	within := append(slices.Clip(above), info)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			f.walk(fsys, path.Join(name, e.Name()), within)
		}
	}
}

func (f *fingerprint) note(texts ...string) {
	for _, s := range texts {
		f.hash.WriteString(s)
		f.hash.WriteByte(0)
	}
}
