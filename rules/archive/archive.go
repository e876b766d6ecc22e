// Package archive reads and writes rule packs: directories of rules as one
// signed file.
//
// A pack is a tar archive (USTAR) compressed with Zstandard. Its entries are
// regular files in this order:
//
//	manifest.json   name, version, author, date and, for each file, name, size and SHA-256
//	signatures      one line for each signature; not there in an unsigned pack
//	…               the files, in the manifest's order, which is that of their names
//
// The manifest is what is signed. Its text, an empty line and the signatures
// are a signed note of golang.org/x/mod/sumdb/note: a line is
// "— NAME BASE64", the decoded bytes four that name the key and the Ed25519
// signature of manifest.json. A public key is written NAME+HASH+BASE64.
//
// The same files give the same bytes: names, modes, owners and times of entries
// follow from the manifest, and what the manifest says from the directory.
package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/semver"
)

// Suffix is how the name of an installed pack ends.
const Suffix = ".pack"

// Limits of a pack.
const (
	MaxBytes      = 16 << 20 // of the compressed file
	maxUnpacked   = 64 << 20 // of all entries with their headers
	maxFile       = 16 << 20 // of one file
	maxManifest   = 4 << 20
	maxSignatures = 16 << 10
	maxFiles      = 20_000
	maxDepth      = 8
	maxName       = 100 // bytes of a file's name with its directories, as many as USTAR has room for
	maxText       = 200 // characters of author
)

const (
	format         = "daemoneye-pack-1"
	manifestName   = "manifest.json"
	signaturesName = "signatures"
)

// Manifest says what a pack is and what is in it.
type Manifest struct {
	Format  string `json:"format"`
	Name    string `json:"name"`
	Version string `json:"version"` // as semver.org, without a v
	Author  string `json:"author,omitempty"`
	Created string `json:"created"`                   // YYYY-MM-DD
	Minimum string `json:"minimum_version,omitempty"` // of DaemonEye
	Files   []File `json:"files"`
}

// File is one file of a pack.
type File struct {
	Name   string `json:"name"` // slashes between directories
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Pack is a pack in memory.
type Pack struct {
	Manifest   Manifest
	text       []byte // manifest.json
	signatures []byte
	files      map[string][]byte
}

func newPack(m Manifest, files map[string][]byte) (*Pack, error) {
	text, err := m.encode()
	if err != nil {
		return nil, err
	}
	return &Pack{Manifest: m, text: text, files: files}, nil
}

// encode returns manifest.json: there is one text for one manifest.
func (m *Manifest) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m); err != nil {
		return nil, err
	}
	if b.Len() > maxManifest {
		return nil, fmt.Errorf("the manifest is larger than %d MiB", maxManifest>>20)
	}
	return b.Bytes(), nil
}

// decodeManifest reads manifest.json and checks it.
func decodeManifest(text []byte) (m Manifest, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("%s: %w", manifestName, err)
	}
	if err := m.check(); err != nil {
		return m, fmt.Errorf("%s: %w", manifestName, err)
	}
	// Keys given twice, other cases of them and what follows the object.
	if same, err := m.encode(); err != nil || !bytes.Equal(same, text) {
		return m, fmt.Errorf("%s is not written as this program writes it", manifestName)
	}
	return m, nil
}

var (
	nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	fileForm = regexp.MustCompile(`^[A-Za-z0-9_+-][A-Za-z0-9._+-]*(/[A-Za-z0-9_+-][A-Za-z0-9._+-]*)*$`)
	hashForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func (m *Manifest) check() error {
	if m.Format != format {
		return fmt.Errorf("format %q is not %q, the one that is known here", m.Format, format)
	}
	if !nameForm.MatchString(m.Name) {
		return fmt.Errorf("%q is no name of a pack: at most 64 of a-z, 0-9, '_' and '-', and a letter or digit first", m.Name)
	}
	if !isVersion(m.Version) {
		return fmt.Errorf("version %q is none: write it as 1.2.3", m.Version)
	}
	if m.Minimum != "" && !isVersion(m.Minimum) {
		return fmt.Errorf("minimum_version %q is none: write it as 1.2.3", m.Minimum)
	}
	if t, err := time.Parse(time.DateOnly, m.Created); err != nil || t.Year() < 1970 || t.Year() > 2200 {
		return fmt.Errorf("created %q is not a date: write it as YYYY-MM-DD", m.Created)
	}
	if utf8.RuneCountInString(m.Author) > maxText || !utf8.ValidString(m.Author) || strings.ContainsFunc(m.Author, notPrintable) {
		return fmt.Errorf("author %q has characters that can not be shown, or more than %d", m.Author, maxText)
	}
	return checkFiles(m.Files)
}

func notPrintable(r rune) bool { return !unicode.IsPrint(r) }

func isVersion(s string) bool {
	return len(s) <= 64 && semver.IsValid("v"+s) && semver.Build("v"+s) == ""
}

// Compare returns -1, 0 or 1 as version a is before, like or after b.
func Compare(a, b string) int { return semver.Compare("v"+a, "v"+b) }

func checkFiles(files []File) error {
	if len(files) == 0 {
		return errors.New("there is no file in it")
	}
	if len(files) > maxFiles {
		return fmt.Errorf("%d files, the limit is %d", len(files), maxFiles)
	}
	total, names := int64(0), make(map[string]bool, len(files))
	for i, f := range files {
		if err := checkName(f.Name); err != nil {
			return err
		}
		// Some file systems do not tell cases apart.
		lower := strings.ToLower(f.Name)
		if names[lower] {
			return fmt.Errorf("file %q is in it twice", f.Name)
		}
		names[lower] = true
		if i > 0 && files[i-1].Name >= f.Name {
			return fmt.Errorf("file %q is not in the order of names", f.Name)
		}
		if f.Size < 0 || f.Size > maxFile {
			return fmt.Errorf("file %q has %d bytes, the limit is %d", f.Name, f.Size, maxFile)
		}
		if total += f.Size; total > maxUnpacked {
			return fmt.Errorf("the files have more than %d MiB", maxUnpacked>>20)
		}
		if !hashForm.MatchString(f.SHA256) {
			return fmt.Errorf("file %q: %q is no SHA-256", f.Name, f.SHA256)
		}
	}
	for _, f := range files {
		for at, c := range strings.ToLower(f.Name) {
			if c == '/' && names[strings.ToLower(f.Name[:at])] {
				return fmt.Errorf("%q is a file and a directory", f.Name[:at])
			}
		}
	}
	return nil
}

// checkName takes names that lead to one place below a directory on every
// system, and that the loader of rules does not pass over.
func checkName(name string) error {
	switch {
	case len(name) > maxName:
		return fmt.Errorf("name %q has more than %d bytes", name[:maxName], maxName)
	case !fileForm.MatchString(name) || !fs.ValidPath(name) || !filepath.IsLocal(name):
		return fmt.Errorf("name %q: it may have letters, digits, '.', '_', '+', '-' and '/', lead to below its directory, and no part may begin with a dot", name)
	case strings.Count(name, "/") > maxDepth:
		return fmt.Errorf("name %q: directories are nested more than %d deep", name, maxDepth)
	case name == manifestName || name == signaturesName || strings.HasSuffix(name, Suffix):
		return fmt.Errorf("name %q is the pack's own, or that of another pack", name)
	}
	return nil
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

var describedForm = regexp.MustCompile(`-[0-9]+-g[0-9a-f]+(-dirty)?$`)

// Suits returns an error when the pack wants a later DaemonEye than version,
// which is written as git describe does. A version of another form is taken for
// late enough: it is a developer's build.
func (p *Pack) Suits(version string) error {
	v := strings.TrimSuffix(describedForm.ReplaceAllString(strings.TrimPrefix(version, "v"), ""), "-dirty")
	if p.Manifest.Minimum == "" || !semver.IsValid("v"+v) || Compare(v, p.Manifest.Minimum) >= 0 {
		return nil
	}
	return fmt.Errorf("the pack wants DaemonEye %s or later, this is %s", p.Manifest.Minimum, version)
}

// FS returns the files.
func (p *Pack) FS() fs.FS {
	created, _ := time.Parse(time.DateOnly, p.Manifest.Created)
	return Tree(p.files, created)
}
