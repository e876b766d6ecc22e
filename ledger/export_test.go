package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A copy of a log in use verifies by itself, and holds no key and nothing that
// is not signed.
func TestExport(t *testing.T) {
	witness := newTestWitness(t, "witness.example/w1")
	c := quiet()
	c.Witnesses = []string{witness.public}
	l := open(t, t.TempDir(), c)
	for _, size := range []int{256, 300, 700} {
		appendFacts(t, l, size-int(l.Size()))
		signed := must(l.Checkpoint(t.Context()))
		if err := l.AddCosignature(t.Context(), witness.cosign(t, signed)); err != nil {
			t.Fatal(err)
		}
		appendFacts(t, l, 30)
		to := filepath.Join(t.TempDir(), "copy")
		got, err := Export(l.Dir(), to)
		if err != nil || got.Size != uint64(size) {
			t.Fatalf("Export = %+v, %v, want %d entries", got, err, size)
		}
		r := verified(t, to, VerifyOptions{PublicKey: l.PublicKey(), Checkpoint: signed, Witnesses: c.Witnesses})
		if r.Entries != uint64(size) || r.Unsigned != 0 || r.Cosigned == 0 || r.Live {
			t.Errorf("Verify of the copy = %+v", r)
		}
		if _, err := os.Stat(filepath.Join(to, keyFile)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the copy has a key: %v", err)
		}
		p := must(must(OpenReader(to)).ProveInclusion(200))
		if _, err := p.Verify(l.PublicKey()); err != nil {
			t.Error(err)
		}
		if _, err := Export(l.Dir(), to); err == nil {
			t.Error("a copy was made over another")
		}
	}
}
