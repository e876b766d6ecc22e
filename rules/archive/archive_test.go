package archive

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/klauspost/compress/zstd"
)

const about = "name: team\nversion: 1.2.0\nauthor: Ann Example\ncreated: 2026-11-30\nminimum_version: 0.3.0\n"

func sampleDir() fstest.MapFS {
	return fstest.MapFS{
		"pack.yaml":        {Data: []byte(about)},
		"b.sql":            {Data: []byte("SELECT 1\n")},
		"b.test.yaml":      {Data: []byte("cases:\n")},
		"lists/hosts.yaml": {Data: []byte("name: hosts\n")},
		"a.sql":            {Data: []byte{}},
		".git/config":      {Data: []byte("passed over")},
	}
}

func sample(t testing.TB) *Pack {
	t.Helper()
	p, err := Build(sampleDir())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func encoded(t testing.TB, p *Pack) []byte {
	t.Helper()
	data, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRoundTrip(t *testing.T) {
	private, public, err := GenerateKey("ann@example.org")
	if err != nil {
		t.Fatal(err)
	}
	p := sample(t)
	if err := p.Sign(private); err != nil {
		t.Fatal(err)
	}
	got, err := Decode(encoded(t, p))
	if err != nil {
		t.Fatal(err)
	}
	if signer, err := got.Verify([]string{public}); signer != "ann@example.org" || err != nil {
		t.Errorf("Verify() = %q, %v, want ann@example.org", signer, err)
	}
	if err := fstest.TestFS(got.FS(), "a.sql", "b.sql", "b.test.yaml", "lists/hosts.yaml"); err != nil {
		t.Error(err)
	}
	if data, err := fs.ReadFile(got.FS(), "lists/hosts.yaml"); string(data) != "name: hosts\n" || err != nil {
		t.Errorf("lists/hosts.yaml = %q, %v", data, err)
	}
	if _, err := fs.Stat(got.FS(), ".git/config"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf(".git/config: %v, want that it is not there", err)
	}
	if m := got.Manifest; m.Name != "team" || m.Version != "1.2.0" || m.Author != "Ann Example" || m.Created != "2026-11-30" || m.Minimum != "0.3.0" {
		t.Errorf("manifest %+v", m)
	}
}

// What a directory gives must not depend on where and when.
func TestSameDirectorySameBytes(t *testing.T) {
	first := encoded(t, sample(t))
	dir := t.TempDir()
	for name, file := range sampleDir() {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, file.Data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Build(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encoded(t, p), first) {
		t.Error("the same files at another place give other bytes")
	}
	const want = "11ee72f9a137e165470af44641680a4a438c97b6d7e826e7294ee4ee152da8b4"
	if got := sum(p.text); got != want {
		t.Errorf("SHA-256 of the manifest = %s, want %s: is the format another?\n%s", got, want, p.text)
	}
}

// The signature is plain Ed25519 of manifest.json, so that others can check it.
func TestSignatureIsEd25519OfTheManifest(t *testing.T) {
	private, public, err := GenerateKey("x")
	if err != nil {
		t.Fatal(err)
	}
	p := sample(t)
	if err := errors.Join(p.Sign(private), p.Sign(private)); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(p.signatures, []byte("\n")); n != 1 {
		t.Errorf("%d signatures, want 1", n)
	}
	fields := strings.Fields(string(p.signatures))
	sig, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(public[strings.LastIndex(public[:12], "+")+1:])
	if err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(key[1:], p.text, sig[4:]) {
		t.Error("the signature is not Ed25519 of manifest.json")
	}
}

func TestVerify(t *testing.T) {
	private, public, err := GenerateKey("ann")
	if err != nil {
		t.Fatal(err)
	}
	otherPrivate, other, err := GenerateKey("ann")
	if err != nil {
		t.Fatal(err)
	}
	p := sample(t)
	if _, err := p.Verify([]string{public}); !errors.Is(err, ErrUnsigned) {
		t.Errorf("unsigned: %v, want %v", err, ErrUnsigned)
	}
	if err := p.Sign(otherPrivate); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verify([]string{public}); !errors.Is(err, ErrUntrusted) {
		t.Errorf("signed by another: %v, want %v", err, ErrUntrusted)
	}
	if _, err := p.Verify(nil); !errors.Is(err, ErrUntrusted) {
		t.Errorf("no key is trusted: %v, want %v", err, ErrUntrusted)
	}
	if err := p.Sign(private); err != nil {
		t.Fatal(err)
	}
	if signer, err := p.Verify([]string{public, public}); signer != "ann" || err != nil {
		t.Errorf("signed by two: %q, %v", signer, err)
	}
	bad := *p
	bad.text = bytes.Replace(p.text, []byte("1.2.0"), []byte("1.2.1"), 1)
	if _, err := bad.Verify([]string{other}); err == nil || errors.Is(err, ErrUntrusted) {
		t.Errorf("another manifest: %v, want that the signature is not good", err)
	}
	// An empty line among the signatures would end the text later.
	bad = *p
	bad.signatures = append([]byte("more\n\n"), p.signatures...)
	if _, err := bad.Verify([]string{public}); err == nil {
		t.Error("text before the signatures is taken")
	}
}

func TestBuildRefuses(t *testing.T) {
	for name, change := range map[string]func(fstest.MapFS){
		"no pack.yaml":              func(d fstest.MapFS) { delete(d, "pack.yaml") },
		"unknown key":               func(d fstest.MapFS) { d["pack.yaml"].Data = []byte(about + "licence: MIT\n") },
		"no name":                   func(d fstest.MapFS) { d["pack.yaml"].Data = []byte("version: 1.0.0\ncreated: 2026-11-30\n") },
		"name that leads elsewhere": func(d fstest.MapFS) { describe(d, "name: team", "name: ../team") },
		"version":                   func(d fstest.MapFS) { describe(d, "1.2.0", "new") },
		"date":                      func(d fstest.MapFS) { describe(d, "2026-11-30", "2026-31-11") },
		"control character":         func(d fstest.MapFS) { describe(d, "Ann Example", `"Ann\e[31m"`) },
		"link":                      func(d fstest.MapFS) { d["c.sql"] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("a.sql")} },
		"device":                    func(d fstest.MapFS) { d["c.sql"] = &fstest.MapFile{Mode: fs.ModeDevice} },
		"name with a blank":         func(d fstest.MapFS) { d["c d.sql"] = &fstest.MapFile{} },
		"name with an escape":       func(d fstest.MapFS) { d["c\x1b[31m.sql"] = &fstest.MapFile{} },
		"two cases of a name":       func(d fstest.MapFS) { d["A.sql"] = &fstest.MapFile{} },
		"long name":                 func(d fstest.MapFS) { d[strings.Repeat("x", 101)] = &fstest.MapFile{} },
		"manifest":                  func(d fstest.MapFS) { d["manifest.json"] = &fstest.MapFile{} },
		"pack in a pack":            func(d fstest.MapFS) { d["x.pack"] = &fstest.MapFile{} },
		"large file":                func(d fstest.MapFS) { d["x.jsonl"] = &fstest.MapFile{Data: make([]byte, maxFile+1)} },
	} {
		dir := sampleDir()
		change(dir)
		if _, err := Build(dir); err == nil {
			t.Errorf("%s: Build takes it", name)
		} else if strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("%s: %q has a control character", name, err)
		}
	}
}

func describe(d fstest.MapFS, old, with string) {
	d["pack.yaml"] = &fstest.MapFile{Data: bytes.Replace(d["pack.yaml"].Data, []byte(old), []byte(with), 1)}
}

// packed makes an archive of entries as an attacker could.
func packed(t testing.TB, tail []byte, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for i := range entries {
		h := entries[i]
		data := []byte(h.Uname) // carries the content
		h.Uname = ""
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(data))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(data); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(tail); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(name, data string) tar.Header { return tar.Header{Name: name, Uname: data, Mode: 0o644} }

func TestHostileArchives(t *testing.T) {
	const good = "SELECT 1\n"
	manifest := func(names ...string) string {
		m := Manifest{Format: format, Name: "x", Version: "1.0.0", Created: "2026-11-30"}
		for _, name := range names {
			m.Files = append(m.Files, File{Name: name, Size: int64(len(good)), SHA256: sum([]byte(good))})
		}
		text, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	one := manifest("a.sql")
	start := file(manifestName, one)
	if _, err := Decode(packed(t, nil, start, file("a.sql", good))); err != nil {
		t.Fatalf("a good one is refused: %v", err)
	}
	zeros, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string][]byte{
		"nothing":                {},
		"text":                   []byte("SELECT 1"),
		"empty tar":              packed(t, nil),
		"no manifest":            packed(t, nil, file("a.sql", good)),
		"manifest later":         packed(t, nil, file("a.sql", good), start),
		"file missing":           packed(t, nil, start),
		"file more":              packed(t, nil, start, file("a.sql", good), file("b.sql", good)),
		"file twice":             packed(t, nil, start, file("a.sql", good), file("a.sql", good)),
		"other content":          packed(t, nil, start, file("a.sql", "SELECT 2\n")),
		"other size":             packed(t, nil, start, file("a.sql", good+good)),
		"other name":             packed(t, nil, start, file("b.sql", good)),
		"link":                   packed(t, nil, start, tar.Header{Name: "a.sql", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"}),
		"hard link":              packed(t, nil, start, tar.Header{Name: "a.sql", Typeflag: tar.TypeLink, Linkname: "manifest.json"}),
		"device":                 packed(t, nil, start, tar.Header{Name: "a.sql", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 5}),
		"fifo":                   packed(t, nil, start, tar.Header{Name: "a.sql", Typeflag: tar.TypeFifo}),
		"directory":              packed(t, nil, start, tar.Header{Name: "d/", Typeflag: tar.TypeDir}, file("a.sql", good)),
		"PAX":                    packed(t, nil, start, tar.Header{Name: "a.sql", Uname: good, PAXRecords: map[string]string{"X.y": "z"}, Format: tar.FormatPAX}),
		"empty signatures":       packed(t, nil, start, file(signaturesName, ""), file("a.sql", good)),
		"too many signatures":    packed(t, nil, start, file(signaturesName, strings.Repeat("x", maxSignatures+1)), file("a.sql", good)),
		"traversal":              packed(t, nil, file(manifestName, manifest("../a.sql")), file("../a.sql", good)),
		"traversal within":       packed(t, nil, file(manifestName, manifest("x/../../a.sql")), file("x/../../a.sql", good)),
		"absolute":               packed(t, nil, file(manifestName, manifest("/etc/a.sql")), file("/etc/a.sql", good)),
		"backslash":              packed(t, nil, file(manifestName, manifest(`..\a.sql`)), file(`..\a.sql`, good)),
		"control character":      packed(t, nil, file(manifestName, manifest("a\x1b[31m.sql")), file("a\x1b[31m.sql", good)),
		"hidden":                 packed(t, nil, file(manifestName, manifest(".a.sql")), file(".a.sql", good)),
		"manifest with it twice": packed(t, nil, file(manifestName, manifest("a.sql", "a.sql")), file("a.sql", good), file("a.sql", good)),
		"no order":               packed(t, nil, file(manifestName, manifest("b.sql", "a.sql")), file("b.sql", good), file("a.sql", good)),
		"file as directory":      packed(t, nil, file(manifestName, manifest("a", "a/b")), file("a", good), file("a/b", good)),
		"deep":                   packed(t, nil, file(manifestName, manifest(strings.Repeat("d/", 9)+"a")), file(strings.Repeat("d/", 9)+"a", good)),
		"no file":                packed(t, nil, file(manifestName, manifest())),
		"key twice":              packed(t, nil, file(manifestName, strings.Replace(one, `"name": "x"`, `"name": "y", "name": "x"`, 1)), file("a.sql", good)),
		"key of another case":    packed(t, nil, file(manifestName, strings.Replace(one, `"name": "x"`, `"Name": "x"`, 1)), file("a.sql", good)),
		"unknown key":            packed(t, nil, file(manifestName, strings.Replace(one, `"name": "x"`, `"more": 1, "name": "x"`, 1)), file("a.sql", good)),
		"negative size":          packed(t, nil, file(manifestName, strings.Replace(one, `"size": 9`, `"size": -9`, 1)), file("a.sql", good)),
		"other format":           packed(t, nil, file(manifestName, strings.Replace(one, format, "daemoneye-pack-2", 1)), file("a.sql", good)),
		"large manifest":         packed(t, nil, file(manifestName, one+strings.Repeat(" ", maxManifest))),
		"something behind":       packed(t, []byte("more"), start, file("a.sql", good)),
		"zeros behind":           packed(t, make([]byte, 1<<20), start, file("a.sql", good)),
		"bomb":                   zeros.EncodeAll(make([]byte, 1<<30), nil),
		"bomb behind":            packed(t, make([]byte, maxUnpacked), start, file("a.sql", good)),
		"large":                  make([]byte, MaxBytes+1),
	}
	whole := packed(t, nil, start, file("a.sql", good))
	cases["cut"] = whole[:len(whole)-5]
	for name, data := range cases {
		_, err := Decode(data)
		if err == nil {
			t.Errorf("%s: Decode takes it", name)
		} else if strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("%s: %q has a control character", name, err)
		}
	}
}

func TestSuits(t *testing.T) {
	p := &Pack{Manifest: Manifest{Minimum: "1.4.0"}}
	for version, want := range map[string]bool{
		"1.4.0": true, "v1.4.0": true, "v1.10.0": true, "1.3.9": false, "v1.3.9": false, "v1.4.0-12-gdeadbee": true,
		"v1.4.0-12-gdeadbee-dirty": true, "v1.4.0-dirty": true, "v1.4.0-rc1": false, "v1.3.0-12-gdeadbee": false, "devel": true, "deadbee": true, "": true,
	} {
		if got := p.Suits(version) == nil; got != want {
			t.Errorf("Suits(%q) = %v, want %v", version, got, want)
		}
	}
}

// Whatever is decoded is what Encode writes, and decodes again to the same.
func FuzzDecode(f *testing.F) {
	private, public, err := GenerateKey("fuzz")
	if err != nil {
		f.Fatal(err)
	}
	p := sample(f)
	f.Add(encoded(f, p), false)
	if err := p.Sign(private); err != nil {
		f.Fatal(err)
	}
	f.Add(encoded(f, p), false)
	z, err := zstd.NewReader(nil)
	if err != nil {
		f.Fatal(err)
	}
	defer z.Close()
	plain, err := z.DecodeAll(encoded(f, p), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain, true) // beneath the compression, where mutations reach the tar
	packer, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, compress bool) {
		if compress {
			data = packer.EncodeAll(data, nil)
		}
		p, err := Decode(data)
		if err != nil {
			return
		}
		if len(p.files) != len(p.Manifest.Files) {
			t.Fatalf("%d files, %d in the manifest", len(p.files), len(p.Manifest.Files))
		}
		for _, f := range p.Manifest.Files {
			if err := checkName(f.Name); err != nil || sum(p.files[f.Name]) != f.SHA256 {
				t.Fatalf("file %q: %v, or not of its hash", f.Name, err)
			}
		}
		_, verified := p.Verify([]string{public})
		again, err := Decode(encoded(t, p))
		if err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
		if _, err := again.Verify([]string{public}); fmt.Sprint(err) != fmt.Sprint(verified) {
			t.Fatalf("Verify says %v, then %v", verified, err)
		}
	})
}

func TestTreeTime(t *testing.T) {
	info, err := fs.Stat(sample(t).FS(), "b.sql")
	if err != nil || !info.ModTime().Equal(time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%v, %v, want the pack's date", info, err)
	}
}
