package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.yaml.in/yaml/v3"
)

// DescriptionName is the file of a directory that says what its pack is; it is
// not in the pack, whose manifest has what it says.
const DescriptionName = "pack.yaml"

// description is pack.yaml.
type description struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	Author  string `yaml:"author"`
	Created string `yaml:"created"`
	Minimum string `yaml:"minimum_version"`
}

// Build makes a pack, not signed yet, of all files of a directory but those
// whose names begin with a dot.
func Build(dir fs.FS) (*Pack, error) {
	text, err := readFile(dir, DescriptionName, maxText*100)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s, which has name, version and created", DescriptionName)
	}
	if err != nil {
		return nil, err
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	var is description
	if err := d.Decode(&is); err != nil {
		return nil, fmt.Errorf("%s: %s", DescriptionName, strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n ", ""), "yaml: "))
	}
	m := Manifest{Format: format, Name: is.Name, Version: is.Version, Author: is.Author, Created: is.Created, Minimum: is.Minimum}
	b := builder{dir: dir, files: map[string][]byte{}}
	if err := b.walk(".", 0); err != nil {
		return nil, err
	}
	for name, data := range b.files {
		m.Files = append(m.Files, File{Name: name, Size: int64(len(data)), SHA256: sum(data)})
	}
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	if err := m.check(); err != nil {
		return nil, err
	}
	return newPack(m, b.files)
}

type builder struct {
	dir   fs.FS
	files map[string][]byte
	total int64
}

func (b *builder) walk(dir string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: directories are nested more than %d deep", dir, maxDepth)
	}
	entries, err := fs.ReadDir(b.dir, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), ".") || name == DescriptionName:
		case e.IsDir():
			if err := b.walk(name, depth+1); err != nil {
				return err
			}
		case !e.Type().IsRegular():
			return fmt.Errorf("%q is not a regular file (%s)", name, e.Type())
		case len(b.files) == maxFiles:
			return fmt.Errorf("more than %d files", maxFiles)
		default:
			data, err := readFile(b.dir, name, maxFile)
			if err != nil {
				return err
			}
			if b.total += int64(len(data)); b.total > maxUnpacked {
				return fmt.Errorf("the files have more than %d MiB", maxUnpacked>>20)
			}
			b.files[name] = data
		}
	}
	return nil
}

func readFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, name, limit)
}

func readAll(r io.Reader, name string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return data, nil
}

// Encode returns the pack as a file.
func (p *Pack) Encode() ([]byte, error) {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(z)
	created, err := time.Parse(time.DateOnly, p.Manifest.Created)
	if err != nil {
		return nil, err
	}
	add := func(name string, data []byte) {
		if err != nil {
			return
		}
		h := &tar.Header{Name: name, Size: int64(len(data)), Mode: 0o644, ModTime: created, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if err = t.WriteHeader(h); err == nil {
			_, err = t.Write(data)
		}
	}
	add(manifestName, p.text)
	if len(p.signatures) > 0 {
		add(signaturesName, p.signatures)
	}
	for _, f := range p.Manifest.Files {
		add(f.Name, p.files[f.Name])
	}
	if err := errors.Join(err, t.Close(), z.Close()); err != nil {
		return nil, err
	}
	if b.Len() > MaxBytes {
		return nil, fmt.Errorf("the pack is larger than %d MiB", MaxBytes>>20)
	}
	return b.Bytes(), nil
}
