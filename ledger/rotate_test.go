package ledger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/zeebo/blake3"
	"golang.org/x/mod/sumdb/note"
)

func TestRotateKey(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, quiet())
	keys := []string{l.PublicKey()}
	kept := [][]byte{must(l.Checkpoint(t.Context()))}
	for range 3 {
		appendFacts(t, l, 100)
		k, err := l.RotateKey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if k != l.PublicKey() || slices.Contains(keys, k) {
			t.Errorf("RotateKey = %s, PublicKey %s", k, l.PublicKey())
		}
		keys = append(keys, k)
		kept = append(kept, must(l.Checkpoint(t.Context())))
		if _, err := OpenCheckpoint(kept[len(kept)-1], k); err != nil {
			t.Error(err)
		}
	}
	closed(t, l)
	for _, k := range keys {
		for _, checkpoint := range kept {
			r := verified(t, dir, VerifyOptions{PublicKey: k, Checkpoint: checkpoint})
			var got []string
			for _, k := range r.Keys {
				got = append(got, k.Public)
			}
			if !slices.Equal(got, keys) {
				t.Errorf("Verify finds the keys %q, want %q", got, keys)
			}
		}
	}
	l = open(t, dir, Config{})
	if l.PublicKey() != keys[3] {
		t.Errorf("opened again with %s, want %s", l.PublicKey(), keys[3])
	}
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 && os.PathSeparator == '/' {
		t.Errorf("the key's file: %v, %v", info.Mode(), err)
	}
}

// A key that is out of force signs nothing any more.
func TestRotatedKeySignsNothing(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, quiet())
	appendFacts(t, l, 10)
	old := must(readKey(filepath.Join(dir, keyFile)))
	if _, err := l.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	closed(t, l)
	c := must(OpenCheckpoint(read(t, dir, checkpointFile), l.PublicKey()))
	write(t, dir, checkpointFile, must(old.sign(c)))
	if _, err := Verify(dir, VerifyOptions{}); err == nil || !strings.HasPrefix(err.Error(), "checkpoint: ") {
		t.Errorf("Verify = %v, want that the checkpoint is not signed", err)
	}
	if _, err := Verify(dir, VerifyOptions{Checkpoint: must(old.sign(c))}); err == nil {
		t.Error("a kept checkpoint by the old key is accepted")
	}
}

// The steps of a rotation at which a crash can come.
func TestRotationInterrupted(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, quiet())
	appendFacts(t, l, 300)
	closed(t, l)
	before := copyLog(t, dir)
	l = open(t, dir, quiet())
	next, err := l.RotateKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	closed(t, l)
	newKeyText, oldKeyText := read(t, dir, keyFile), read(t, before, keyFile)
	for name, test := range map[string]struct {
		change func(dir string)
		want   string
	}{
		"the new key written": {func(d string) {
			write(t, d, bundlePath(1), read(t, before, bundlePath(1)))
			write(t, d, checkpointFile, read(t, before, checkpointFile))
		}, must(readKey(filepath.Join(before, keyFile))).public},
		"the entry written": {func(d string) {
			write(t, d, checkpointFile, read(t, before, checkpointFile))
		}, next},
		"the checkpoint written": {func(string) {}, next},
	} {
		t.Run(name, func(t *testing.T) {
			d := copyLog(t, dir)
			write(t, d, keyFile, oldKeyText)
			write(t, d, nextKeyFile, newKeyText)
			test.change(d)
			l := open(t, d, quiet())
			if l.PublicKey() != test.want {
				t.Errorf("opened with %s, want %s", l.PublicKey(), test.want)
			}
			appendFacts(t, l, 10)
			closed(t, l)
			verified(t, d, VerifyOptions{PublicKey: test.want})
			if _, err := os.Stat(filepath.Join(d, nextKeyFile)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is still there", nextKeyFile)
			}
		})
	}
}

// A rotation needs the signatures of both keys, over this change.
func TestForgedRotations(t *testing.T) {
	const origin = "example.com/log"
	first, second, foreign := must(newKey(origin)), must(newKey(origin)), must(newKey("example.com/elsewhere"))
	known := []Key{{first.public, 0}}
	entry := func(text, subject string, signers ...note.Signer) *Entry {
		payload := must(msgpack.Marshal(string(must(note.Sign(&note.Note{Text: text}, signers...)))))
		return &Entry{Sequence: 7, Action: ActionKeyRotated, Subject: subject, Payload: payload, PayloadHash: blake3.Sum256(payload)}
	}
	good := rotationText(origin, 7, second.public)
	if _, err := nextKey(known, entry(good, second.public, first, second)); err != nil {
		t.Error(err)
	}
	for name, e := range map[string]*Entry{
		"only the new key":   entry(good, second.public, second),
		"only the old key":   entry(good, second.public, first),
		"another sequence":   entry(rotationText(origin, 8, second.public), second.public, first, second),
		"another key":        entry(rotationText(origin, 7, first.public), second.public, first, second),
		"another origin":     entry(good, foreign.public, first, foreign),
		"no key":             entry(good, "x", first, second),
		"a checkpoint":       entry(Checkpoint{origin, 7, Hash{}}.Text(), second.public, first, second),
		"no note":            {Sequence: 7, Action: ActionKeyRotated, Subject: second.public, Payload: []byte{0xc0}},
		"a second first key": {Sequence: 7, Action: ActionKeyCreated, Subject: second.public},
	} {
		if k, err := nextKey(known, e); err == nil {
			t.Errorf("%s: nextKey = %+v", name, k)
		}
	}
	if _, err := nextKey(nil, entry(good, second.public, first, second)); err == nil {
		t.Error("a rotation without a key before it is accepted")
	}
}

func TestCosignatures(t *testing.T) {
	dir := t.TempDir()
	one, two, stranger := newTestWitness(t, "witness.example/one"), newTestWitness(t, "witness.example/two"), newTestWitness(t, "stranger.example")
	plain := must(newKey("witness.example/plain"))
	c := quiet()
	c.Witnesses = []string{one.public, two.public, plain.public}
	l := open(t, dir, c)
	appendFacts(t, l, 300)
	signed := must(l.Checkpoint(t.Context()))
	text, _, _ := strings.Cut(string(signed), "\n\n")
	other := bytes.Replace(one.cosign(t, signed), []byte("\n301\n"), []byte("\n300\n"), 1)
	late := one.cosign(t, signed)
	for name, b := range map[string][]byte{
		"none":           signed,
		"by a stranger":  stranger.cosign(t, signed),
		"not by the log": two.cosign(t, one.cosign(t, must(note.Sign(&note.Note{Text: text + "\n"}, stranger)))),
		"of another":     other,
		"not there":      one.cosign(t, must(l.key.sign(Checkpoint{l.Origin(), 302, Hash{}}))),
		"another root":   one.cosign(t, must(l.key.sign(Checkpoint{l.Origin(), 301, Hash{}}))),
		"too long":       make([]byte, maxNote+1),
	} {
		if err := l.AddCosignature(t.Context(), b); err == nil {
			t.Errorf("a cosignature is accepted: %s", name)
		}
	}
	appendFacts(t, l, 300)
	for _, b := range [][]byte{late, two.cosign(t, signed), late, stranger.cosign(t, two.cosign(t, signed)), one.cosign(t, must(l.Checkpoint(t.Context())))} {
		if err := l.AddCosignature(t.Context(), b); err != nil {
			t.Error(err)
		}
	}
	both := must(note.Open(signed, must(verifiersOf([]string{l.PublicKey()}))))
	if err := l.AddCosignature(t.Context(), must(note.Sign(both, plain))); err != nil {
		t.Error(err)
	}
	closed(t, l)
	r := verified(t, dir, VerifyOptions{PublicKey: l.PublicKey(), Witnesses: c.Witnesses})
	if r.Cosigned != 2 || r.Cosigners != 4 || r.Unknown != 0 {
		t.Errorf("Verify = %+v, want 4 cosignatures of 2 checkpoints", r)
	}
	if r = verified(t, dir, VerifyOptions{}); r.Cosigned != 2 || r.Cosigners != 0 || r.Unknown != 4 {
		t.Errorf("Verify = %+v, want 4 unknown cosignatures", r)
	}
	if _, err := Open(t.TempDir(), Config{Witnesses: []string{"x"}}); err == nil {
		t.Error("a malformed witness key is accepted")
	}
}
