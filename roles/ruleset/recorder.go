package ruleset

import (
	"slices"
	"strings"
	"time"

	"daemoneye/rules"
	"daemoneye/rules/archive"
)

// Source is a directory of rules as it was read.
type Source struct {
	Name  string // as that of rules.Source
	Root  string
	Files []File // by path
}

// File is one that was read.
type File struct {
	Path string
	Data []byte
}

// rules returns the files as a directory of this time.
func (s *Source) rules(modified time.Time) rules.Source {
	files := make(map[string][]byte, len(s.Files))
	for _, f := range s.Files {
		files[f.Path] = f.Data
	}
	return rules.Source{Name: s.Name, Root: s.Root, FS: archive.Tree(files, modified)}
}

// Recorder notes the files that rules.Load reads.
type Recorder struct {
	sources []Source
	bytes   int64
}

// NewRecorder returns a Recorder of the files of directories.
func NewRecorder(dirs []rules.Source) *Recorder {
	r := &Recorder{}
	for _, s := range dirs {
		r.sources = append(r.sources, Source{Name: s.Name, Root: s.Root})
	}
	return r
}

// Read is what rules.LoadConfig calls. Files of other sources are none of this
// set: those that come with the program, and those within a pack, which is a
// file itself.
func (r *Recorder) Read(source, path string, data []byte) {
	i := slices.IndexFunc(r.sources, func(s Source) bool { return s.Name == source })
	if i < 0 {
		return
	}
	if r.bytes += int64(len(path) + len(data)); r.tooLarge() {
		for i := range r.sources {
			r.sources[i].Files = nil
		}
		return
	}
	files := &r.sources[i].Files
	at, found := slices.BinarySearchFunc(*files, path, func(f File, path string) int { return strings.Compare(f.Path, path) })
	if !found {
		*files = slices.Insert(*files, at, File{path, data})
	}
}

func (r *Recorder) tooLarge() bool { return r.bytes > MaxSetBytes }

func (r *Recorder) digest() string { return digest(r.sources) }
