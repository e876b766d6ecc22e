package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// copyLog copies a log's directory.
func copyLog(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func read(t testing.TB, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, fileMode); err != nil {
		t.Fatal(err)
	}
}

// records returns where each record of a bundle begins, and where the last ends.
func records(b []byte) []int {
	var starts []int
	at := 0
	for at < len(b) {
		starts = append(starts, at)
		at += recordHead + int(binary.BigEndian.Uint32(b[at:]))
	}
	return append(starts, at)
}

// Every flip of a bit, in any file, is found, and the entry or the file in
// which it is is named.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	witness := newTestWitness(t, "witness.example/w1")
	c := quiet()
	c.Witnesses = []string{witness.public}
	l := open(t, dir, c)
	appendFacts(t, l, 600)
	if err := l.AddCosignature(t.Context(), witness.cosign(t, must(l.Checkpoint(t.Context())))); err != nil {
		t.Fatal(err)
	}
	if _, err := l.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	appendFacts(t, l, 1000-int(l.Size()))
	closed(t, l)
	o := VerifyOptions{PublicKey: l.PublicKey(), Witnesses: c.Witnesses}
	if r := verified(t, dir, o); r.Entries != 1000 || r.Cosigners != 1 || len(r.Keys) != 2 {
		t.Fatalf("Verify = %+v", r)
	}
	type flip struct {
		name string
		bit  int
	}
	var small, large []flip
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		into := &large
		n := 8 * len(read(t, dir, name))
		if n < 8*1024 {
			into = &small
		}
		for bit := range n {
			*into = append(*into, flip{filepath.ToSlash(name), bit})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	flips := 20_000
	if testing.Short() {
		flips = 2_000
	}
	seed := rand.Uint64()
	t.Logf("seed %d: %d flips, and %d in small files", seed, flips, len(small))
	rnd := rand.New(rand.NewPCG(seed, 0))
	for i := range flips {
		j := i + rnd.IntN(len(large)-i)
		large[i], large[j] = large[j], large[i]
	}
	if testing.Short() {
		rnd.Shuffle(len(small), func(i, j int) { small[i], small[j] = small[j], small[i] })
		small = small[:500]
	}
	all := append(small, large[:flips]...)
	var wait sync.WaitGroup
	for some := range slices.Chunk(all, len(all)/runtime.GOMAXPROCS(0)+1) {
		copied := copyLog(t, dir)
		wait.Go(func() {
			for _, f := range some {
				checkFlip(t, copied, f.name, f.bit, o)
			}
			verified(t, copied, o)
		})
	}
	wait.Wait()
}

// checkFlip flips a bit of a file, verifies, and flips it back.
func checkFlip(t *testing.T, dir, name string, bit int, o VerifyOptions) {
	b := read(t, dir, name)
	entry := uint64(0)
	if isBundle(name) {
		number := uint64(0)
		_, _ = fmt.Sscanf(filepath.Base(name), "%d", &number)
		starts := records(b)
		i, exact := slices.BinarySearch(starts, bit/8)
		if !exact {
			i--
		}
		entry = number*bundleEntries + uint64(i)
	}
	b[bit/8] ^= 1 << (bit % 8)
	write(t, dir, name, b)
	_, err := Verify(dir, o)
	var p *Problem
	if !errors.As(err, &p) || p.File != name || isBundle(name) && p.Entry != entry {
		t.Errorf("bit %d of %s (entry %d): %v", bit, name, entry, err)
	}
	b[bit/8] ^= 1 << (bit % 8)
	write(t, dir, name, b)
}

// What someone with write access can do to the files of a log.
func TestTamperedFiles(t *testing.T) {
	origin := t.TempDir()
	public := newLog(t, origin, 1000, quiet())
	old := copyLog(t, origin)
	l := open(t, origin, quiet())
	appendFacts(t, l, 400)
	closed(t, l)
	kept := read(t, origin, checkpointFile)
	o := VerifyOptions{PublicKey: public, Checkpoint: kept}
	if r := verified(t, origin, o); r.Kept == nil || r.Kept.Size != 1400 {
		t.Errorf("Verify = %+v", r)
	}
	last := bundlePath(5)
	for name, test := range map[string]struct {
		change func(dir string)
		want   string // in the error
		opens  string // in Open's error, "" if it only checks the newest
	}{
		"truncated tail": {
			func(dir string) { b := read(t, dir, last); write(t, dir, last, b[:len(b)-5]) }, "entry 1399 ", "entry 1399 ",
		},
		"last entry gone": {
			func(dir string) {
				b := read(t, dir, last)
				s := records(b)
				write(t, dir, last, b[:s[len(s)-2]])
			}, "entry 1399 (tile/entries/005): the entry is missing", "entry 1399 ",
		},
		"last bundle gone": {
			func(dir string) { _ = os.Remove(filepath.Join(dir, last)) }, "entry 1280 (tile/entries/005): the entry is missing", "no such file",
		},
		"middle of a bundle gone": {
			func(dir string) {
				b := read(t, dir, bundlePath(2))
				s := records(b)
				write(t, dir, bundlePath(2), append(slices.Clone(b[:s[100]]), b[s[120]:]...))
			}, "entry 612 (tile/entries/002): the entry says that it is 632", "",
		},
		"bundle gone": {
			func(dir string) { _ = os.Remove(filepath.Join(dir, bundlePath(2))) }, "entry 512 (tile/entries/002): the entry is missing", "",
		},
		"entries swapped": {
			func(dir string) {
				b := read(t, dir, bundlePath(1))
				s := records(b)
				write(t, dir, bundlePath(1), slices.Concat(b[:s[10]], b[s[11]:s[12]], b[s[10]:s[11]], b[s[12]:]))
			}, "entry 266 (tile/entries/001): the entry says that it is 267", "",
		},
		"bundles swapped": {
			func(dir string) {
				one, two := read(t, dir, bundlePath(1)), read(t, dir, bundlePath(2))
				write(t, dir, bundlePath(1), two)
				write(t, dir, bundlePath(2), one)
			}, "entry 256 (tile/entries/001): the entry says that it is 512", "",
		},
		"entry written anew": {
			func(dir string) { rewrite(t, dir, 700, "another", false) }, "entry 700 (tile/entries/002): the entry is not the one in the tree", "",
		},
		"newest entry written anew": {
			func(dir string) { rewrite(t, dir, 1399, "another", false) }, "entry 1399 (tile/entries/005): the entry is not the one in the tree", "entry 1399 ",
		},
		"entry and its tile written anew": {
			func(dir string) { rewrite(t, dir, 700, "another", true) }, "entry 512 (tile/entries/002): the entry is not the one in the tree, or one of the next 255: tile/1/000: hash 2", "",
		},
		"newest entry and its tile written anew": {
			func(dir string) { rewrite(t, dir, 1399, "another", true) }, "checkpoint: the entries have the root", "newest tiles",
		},
		"tile gone": {
			func(dir string) { _ = os.Remove(filepath.Join(dir, tilePath(0, 3))) }, "tile/0/003: ", "",
		},
		"tile cut": {
			func(dir string) { write(t, dir, tilePath(0, 3), read(t, dir, tilePath(0, 3))[:8000]) }, "tile/0/003: 8000 bytes", "",
		},
		"tile longer": {
			func(dir string) {
				write(t, dir, tilePath(1, 0), append(read(t, dir, tilePath(1, 0)), make([]byte, HashSize)...))
			}, "tile/1/000: 192 bytes, want 160 to 160", "",
		},
		"checkpoint gone": {
			func(dir string) { _ = os.Remove(filepath.Join(dir, checkpointFile)) }, "checkpoint: ", "checkpoint is missing",
		},
		"older checkpoint": {
			func(dir string) { write(t, dir, checkpointFile, read(t, old, checkpointFile)) }, "", "",
		},
		"something after the last entry": {
			func(dir string) { write(t, dir, last, append(read(t, dir, last), 0)) }, "entry 1400 (tile/entries/005): after the checkpoint: ", "",
		},
		"a bundle too long to read": {
			func(dir string) {
				if err := os.Truncate(filepath.Join(dir, bundlePath(2)), 1<<30); err != nil {
					t.Fatal(err)
				}
			}, "entry 512 (tile/entries/002): file too long", "",
		},
		"a bundle after the last entry": {
			func(dir string) { write(t, dir, bundlePath(6), []byte("x")) }, "entry 1400 (tile/entries/005): after the checkpoint: ", "",
		},
		"older copy of everything": {
			func(dir string) {
				_ = os.RemoveAll(dir)
				if err := os.CopyFS(dir, os.DirFS(old)); err != nil {
					t.Fatal(err)
				}
			}, "the kept checkpoint: it is of 1400 entries, the log has only 1000", "",
		},
		"another key": {
			func(dir string) { _ = must(newKey("example.com/log")).write(filepath.Join(dir, keyFile)) }, "key: it is the key example.com/log+", "no verifiable signatures",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyLog(t, origin)
			test.change(dir)
			if _, err := Verify(dir, o); test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) || test.want == "" && err != nil {
				t.Errorf("Verify = %v, want %q", err, test.want)
			}
			l, err := Open(dir, Config{})
			if err == nil {
				closed(t, l)
			}
			if test.opens == "" && err != nil || test.opens != "" && (err == nil || !strings.Contains(err.Error(), test.opens)) {
				t.Errorf("Open = %v, want %q", err, test.opens)
			}
		})
	}
}

// rewrite puts another subject into an entry, with all that a record has to
// agree with itself, and into its tile if asked for.
func rewrite(t *testing.T, dir string, sequence uint64, subject string, withTile bool) {
	t.Helper()
	name := bundlePath(sequence / bundleEntries)
	b := read(t, dir, name)
	s := records(b)
	i := sequence % bundleEntries
	e, err := ParseEntry(b[s[i]+recordHead : s[i+1]])
	if err != nil {
		t.Fatal(err)
	}
	e.Subject = subject
	record, leaf := appendRecord(nil, &e)
	write(t, dir, name, slices.Concat(b[:s[i]], record, b[s[i+1]:]))
	if withTile {
		name := tilePath(0, sequence/bundleEntries)
		b := read(t, dir, name)
		copy(b[i*HashSize:], leaf[:])
		write(t, dir, name, b)
	}
}

// A writer that is not ours and sets the clock back is found.
func TestTimeGoesBack(t *testing.T) {
	for name, at := range map[string]int{"in a bundle": 100, "between bundles": 256} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			clock := time.UnixMilli(9_000)
			c := quiet()
			c.Now = func() time.Time { return clock }
			l := open(t, dir, c)
			appendFacts(t, l, at-1)
			l.do(t.Context(), func() error { l.lastTime = 0; return nil })
			clock = time.UnixMilli(8_000)
			appendFacts(t, l, 3)
			closed(t, l)
			_, err := Verify(dir, VerifyOptions{})
			var p *Problem
			if !errors.As(err, &p) || p.Entry != uint64(at) || !strings.Contains(err.Error(), "its time is 1000 ms before that of the entry before") {
				t.Errorf("Verify = %v, want entry %d", err, at)
			}
		})
	}
}

// Two histories of the same size, both signed by the log's key.
func TestSplitView(t *testing.T) {
	one := t.TempDir()
	public := newLog(t, one, 300, quiet())
	two := copyLog(t, one)
	var signed [2][]byte
	for i, dir := range []string{one, two} {
		l := open(t, dir, quiet())
		e := fact(i)
		if _, err := l.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		appendFacts(t, l, 20)
		closed(t, l)
		signed[i] = read(t, dir, checkpointFile)
		verified(t, dir, VerifyOptions{PublicKey: public})
	}
	_, err := Verify(one, VerifyOptions{PublicKey: public, Checkpoint: signed[1]})
	if err == nil || !strings.Contains(err.Error(), "another history") {
		t.Errorf("Verify = %v, want another history", err)
	}
	l := open(t, one, quiet())
	appendFacts(t, l, 100)
	closed(t, l)
	r := must(OpenReader(one))
	p, err := r.ProveConsistency(321)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verify(public); err != nil {
		t.Error(err)
	}
	ours, theirs := must(OpenCheckpoint(signed[0], public)), must(OpenCheckpoint(signed[1], public))
	if p.OldRoot != ours.Root {
		t.Errorf("the proof is from the root %v, want %v", p.OldRoot, ours.Root)
	}
	p.OldRoot = theirs.Root
	if _, err := p.Verify(public); err == nil {
		t.Error("a proof from the other history is accepted")
	}
}

func TestWrongKeys(t *testing.T) {
	dir := t.TempDir()
	public := newLog(t, dir, 300, quiet())
	otherDir := t.TempDir()
	other := newLog(t, otherDir, 300, quiet())
	elsewhere := t.TempDir()
	c := quiet()
	c.Origin = "example.com/elsewhere"
	foreign := newLog(t, elsewhere, 300, c)
	if _, err := Verify(dir, VerifyOptions{PublicKey: other}); err == nil || !strings.Contains(err.Error(), "the log's keys are") {
		t.Errorf("Verify with another key = %v", err)
	}
	for name, kept := range map[string][]byte{
		"another key":    read(t, otherDir, checkpointFile),
		"another origin": read(t, elsewhere, checkpointFile),
		"no checkpoint":  []byte("x\n"),
	} {
		if _, err := Verify(dir, VerifyOptions{PublicKey: public, Checkpoint: kept}); err == nil {
			t.Errorf("%s: the kept checkpoint is accepted", name)
		}
	}
	signed := read(t, dir, checkpointFile)
	if _, err := OpenCheckpoint(signed, other); err == nil {
		t.Error("a checkpoint is accepted with another log's key")
	}
	// The text changed, the signature kept; another's signature under our name.
	forged := bytes.Replace(signed, []byte("\n300\n"), []byte("\n301\n"), 1)
	text, _, _ := strings.Cut(string(signed), "\n\n")
	resigned := must(note.Sign(&note.Note{Text: text + "\n"}, must(newKey("example.com/log"))))
	// The log's key signs what names another log.
	k := must(readKey(filepath.Join(dir, keyFile)))
	borrowed := must(note.Sign(&note.Note{Text: Checkpoint{"example.com/elsewhere", 300, Hash{}}.Text()}, k))
	// Base64 has unused bits before its padding.
	loose := bytes.Clone(signed)
	loose[bytes.LastIndex(loose, []byte("=\n"))-1]++
	for name, b := range map[string][]byte{"forged": forged, "not canonical": loose, "signed by another": resigned, "of another origin": borrowed} {
		if _, err := OpenCheckpoint(b, public, foreign); err == nil {
			t.Errorf("a checkpoint is accepted that is %s", name)
		}
		tampered := copyLog(t, dir)
		write(t, tampered, checkpointFile, b)
		var p *Problem
		if _, err := Verify(tampered, VerifyOptions{}); !errors.As(err, &p) || p.File != checkpointFile {
			t.Errorf("Verify with a checkpoint that is %s = %v", name, err)
		}
		if _, err := Open(tampered, Config{}); err == nil {
			t.Errorf("Open with a checkpoint that is %s: no error", name)
		}
	}
}

// A checkpoint that claims a tree of any size costs no memory.
func TestHugeCheckpoint(t *testing.T) {
	dir := t.TempDir()
	newLog(t, dir, 300, quiet())
	k := must(readKey(filepath.Join(dir, keyFile)))
	write(t, dir, checkpointFile, must(k.sign(Checkpoint{"example.com/log", 1<<63 - 1, Hash{}})))
	_, err := Verify(dir, VerifyOptions{})
	var p *Problem
	if !errors.As(err, &p) || p.Entry != 300 {
		t.Errorf("Verify = %v, want that entry 300 is missing", err)
	}
	if l, err := Open(dir, Config{}); err == nil {
		closed(t, l)
		t.Error("Open: no error")
	}
	r := must(OpenReader(dir))
	if _, err := r.ProveInclusion(10); err == nil {
		t.Error("ProveInclusion: no error")
	}
	if _, err := r.Last(3); err == nil {
		t.Error("Last: no error")
	}
}

// A testWitness cosigns as C2SP tlog-cosignature has it.
type testWitness struct {
	name    string
	private ed25519.PrivateKey
	public  string
	hash    uint32
	at      uint64
}

func newTestWitness(t testing.TB, name string) *testWitness {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	raw := append([]byte{algCosignature}, public...)
	sum := sha256.Sum256(append([]byte(name+"\n"), raw...))
	hash := binary.BigEndian.Uint32(sum[:])
	return &testWitness{name, private, fmt.Sprintf("%s+%08x+%s", name, hash, base64.StdEncoding.EncodeToString(raw)), hash, 1_679_315_147}
}

func (w *testWitness) Name() string    { return w.name }
func (w *testWitness) KeyHash() uint32 { return w.hash }

func (w *testWitness) Sign(text []byte) ([]byte, error) {
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", w.at, text)
	return append(binary.BigEndian.AppendUint64(nil, w.at), ed25519.Sign(w.private, []byte(message))...), nil
}

// cosign adds the witness's line to a checkpoint.
func (w *testWitness) cosign(t testing.TB, signed []byte) []byte {
	t.Helper()
	_, err := note.Open(signed, nil)
	var n *note.UnverifiedNoteError
	if !errors.As(err, &n) {
		t.Fatal(err)
	}
	b, err := note.Sign(n.Note, w)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
