package ledger

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func proven(t testing.TB) (dir, public string, r *Reader) {
	t.Helper()
	dir = t.TempDir()
	public = newLog(t, dir, 1000, quiet())
	return dir, public, must(OpenReader(dir))
}

func text(t testing.TB, p Proof) string {
	t.Helper()
	b, err := p.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A proof file says all that is needed; with the public key it can be checked
// far from the log.
func TestInclusionProof(t *testing.T) {
	_, public, r := proven(t)
	for _, n := range []uint64{0, 1, 255, 256, 511, 767, 768, 998, 999} {
		made, err := r.ProveInclusion(n)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParseProof([]byte(text(t, made)))
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Verify(public)
		got := p.(*InclusionProof)
		if err != nil || c.Size != 1000 || got.Entry.Sequence != n || !reflect.DeepEqual(got, made) {
			t.Errorf("proof of %d: %+v, %v", n, c, err)
		}
	}
	if _, err := r.ProveInclusion(1000); err == nil {
		t.Error("an entry that is not there was proven")
	}
}

func TestConsistencyProof(t *testing.T) {
	_, public, r := proven(t)
	for _, n := range []uint64{0, 1, 255, 256, 512, 700, 999, 1000} {
		made, err := r.ProveConsistency(n)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParseProof([]byte(text(t, made)))
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Verify(public)
		if err != nil || c.Size != 1000 || !reflect.DeepEqual(p, made) {
			t.Errorf("proof from %d: %+v, %v", n, c, err)
		}
	}
	if _, err := r.ProveConsistency(1001); err == nil {
		t.Error("consistency with a larger tree was proven")
	}
}

// Hashes more, fewer, swapped or changed; other entries, sizes and keys.
func TestFalseProofs(t *testing.T) {
	_, public, r := proven(t)
	inclusion, consistency := must(r.ProveInclusion(700)), must(r.ProveConsistency(700))
	foreign := t.TempDir()
	otherKey := newLog(t, foreign, 1000, quiet())
	for name, change := range map[string]func(hashes []Hash) []Hash{
		"a hash more":       func(h []Hash) []Hash { return append(h, Hash{}) },
		"a hash more first": func(h []Hash) []Hash { return slices.Insert(h, 0, Hash{}) },
		"a hash twice":      func(h []Hash) []Hash { return append(h, h[len(h)-1]) },
		"a hash fewer":      func(h []Hash) []Hash { return h[1:] },
		"the last fewer":    func(h []Hash) []Hash { return h[:len(h)-1] },
		"none":              func(h []Hash) []Hash { return nil },
		"swapped":           func(h []Hash) []Hash { h[0], h[1] = h[1], h[0]; return h },
		"a bit":             func(h []Hash) []Hash { h[3][7] ^= 4; return h },
	} {
		i, c := *inclusion, *consistency
		i.Hashes, c.Hashes = change(slices.Clone(i.Hashes)), change(slices.Clone(c.Hashes))
		for _, p := range []Proof{&i, &c} {
			if _, err := p.Verify(public); err == nil {
				t.Errorf("%T with %s is accepted", p, name)
			}
			if parsed, err := ParseProof([]byte(text(t, p))); err != nil || !reflect.DeepEqual(parsed, p) {
				t.Errorf("%T with %s: ParseProof = %+v, %v", p, name, parsed, err)
			}
		}
	}
	for name, change := range map[string]func(*Entry){
		"sequence": func(e *Entry) { e.Sequence++ }, "subject": func(e *Entry) { e.Subject += "x" },
		"payload": func(e *Entry) { e.Payload = []byte("\xa40000") }, "actor": func(e *Entry) { e.Actor.PID++ }, "far sequence": func(e *Entry) { e.Sequence = 1 << 40 },
	} {
		p := *inclusion
		change(&p.Entry)
		if _, err := p.Verify(public); err == nil {
			t.Errorf("the proof of an entry with another %s is accepted", name)
		}
	}
	for name, change := range map[string]func(*ConsistencyProof){
		"size": func(p *ConsistencyProof) { p.OldSize-- }, "root": func(p *ConsistencyProof) { p.OldRoot[0]++ },
		"larger size": func(p *ConsistencyProof) { p.OldSize = 1001 }, "no size": func(p *ConsistencyProof) { p.OldSize = 0 },
	} {
		p := *consistency
		change(&p)
		if _, err := p.Verify(public); err == nil {
			t.Errorf("a proof from another %s is accepted", name)
		}
	}
	for _, p := range []Proof{inclusion, consistency} {
		if _, err := p.Verify(otherKey); err == nil {
			t.Errorf("%T is accepted with another key", p)
		}
		if _, err := p.Verify("x"); err == nil {
			t.Errorf("%T is accepted with no key", p)
		}
	}
	inclusion.Checkpoint = must(OpenReader(foreign)).mustCheckpoint()
	if _, err := inclusion.Verify(otherKey); err == nil {
		t.Error("a proof with another log's checkpoint is accepted")
	}
}

func (r *Reader) mustCheckpoint() []byte {
	signed, _, err := r.Checkpoint()
	return must(signed, err)
}

// A proof file has one form.
func TestProofFilesAreStrict(t *testing.T) {
	_, _, r := proven(t)
	for _, p := range []Proof{must(r.ProveInclusion(700)), must(r.ProveConsistency(700))} {
		good := text(t, p)
		for name, bad := range map[string]string{
			"nothing": "", "another header": "x" + good, "no empty line": strings.Replace(good, "\n\n", "\n", 1),
			"a space": strings.Replace(good, "\n", " \n", 1), "returns": strings.ReplaceAll(good, "\n", "\r\n"),
			"a line more": strings.Replace(good, "\n\n", "\nx\n\n", 1), "an end more": good + "\n", "an end less": good[:len(good)-1],
			"many hashes": strings.Replace(good, "\n\n", "\n"+strings.Repeat(Hash{}.String()+"\n", maxHashes)+"\n", 1),
			"too long":    good + strings.Repeat("x", maxProof), "leading zero": strings.NewReplacer("index ", "index 0", "old ", "old 0").Replace(good),
		} {
			if got, err := ParseProof([]byte(bad)); err == nil {
				t.Errorf("%s: ParseProof = %+v", name, got)
			}
		}
	}
}

func FuzzProof(f *testing.F) {
	_, public, r := proven(f)
	f.Add(text(f, must(r.ProveInclusion(700))))
	f.Add(text(f, must(r.ProveConsistency(700))))
	f.Add(text(f, must(r.ProveConsistency(1000))))
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseProof([]byte(s))
		if err != nil {
			return
		}
		if got := text(t, p); got != s {
			t.Errorf("ParseProof(%q) = %+v, which is %q", s, p, got)
		}
		_, _ = p.Verify(public)
	})
}

func FuzzCheckpoint(f *testing.F) {
	k := must(newKey("example.com/log"))
	w := newTestWitness(f, "witness.example/w1")
	signed := must(k.sign(Checkpoint{"example.com/log", 1000, Hash{1}}))
	f.Add(signed)
	f.Add(w.cosign(f, signed))
	f.Add([]byte("example.com/log\n0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— a AAAAAAA=\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := unverified(b)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, []byte(c.Text()+"\n")) {
			t.Errorf("the checkpoint %+v is not the text of %q", c, b)
		}
		if got, err := OpenCheckpoint(b, k.public); err == nil && (got != c || got.Origin != "example.com/log") {
			t.Errorf("OpenCheckpoint(%q) = %+v", b, got)
		}
	})
}

func FuzzKey(f *testing.F) {
	f.Add([]byte(must(newKey("example.com/log")).private + "\n"))
	f.Add([]byte("PRIVATE+KEY+a+00000000+AQ==\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := parseKey(b); err == nil && k.private+"\n" != string(b) {
			t.Errorf("parseKey(%q) = %q", b, k.private)
		}
	})
}
