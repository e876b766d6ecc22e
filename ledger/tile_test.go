package ledger

import (
	"bytes"
	"slices"
	"testing"

	"github.com/transparency-dev/merkle/proof"
)

// What is read from tiles equals the reference, for a tree that grew by one
// and was opened again now and then.
func TestTiles(t *testing.T) {
	const n = 70_000 // three levels
	r := numbered(n)
	dir := t.TempDir()
	tr, err := openTree(dir, newDirs(dir), 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := tr.add(leafHash(r.leaves[i])); err != nil {
			t.Fatal(err)
		}
		size := uint64(i + 1)
		if size%9973 != 0 && size != 256 && size != 257 && size != 65_536 && size != n {
			continue
		}
		if err := tr.sync(); err != nil {
			t.Fatal(err)
		}
		want := r.mth(0, i+1)
		if tr, err = openTree(dir, newDirs(dir), size); err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
		if got, err := tr.root(); err != nil || got != want {
			t.Errorf("root of %d = %v, %v, want %v", size, got, err, want)
		}
		reader := &Reader{dir: dir}
		for _, m := range []int{0, 1, i / 3, i / 2, i - i%256, i} {
			ids, err := proof.Inclusion(uint64(m), size)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := reader.hashes(ids, size); err != nil || !slices.Equal(got, r.path(m, 0, i+1)) {
				t.Errorf("inclusion of %d in %d: %v, %v", m, size, got, err)
			}
			if ids, err = proof.Consistency(uint64(m+1), size); err != nil {
				t.Fatal(err)
			}
			if got, err := reader.hashes(ids, size); err != nil || !slices.Equal(got, r.subproof(m+1, 0, i+1, true)) {
				t.Errorf("consistency of %d with %d: %v, %v", m+1, size, got, err)
			}
		}
	}
}

func TestPaths(t *testing.T) {
	for n, want := range map[uint64]string{0: "000", 67: "067", 999: "999", 1000: "x001/000", 1234067: "x001/x234/067"} {
		if got := numberPath(n); got != want {
			t.Errorf("numberPath(%d) = %q, want %q", n, got, want)
		}
	}
	if got, want := tilePath(1, 1234067), "tile/1/x001/x234/067"; got != want {
		t.Errorf("tilePath = %q, want %q", got, want)
	}
}

func FuzzTile(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, HashSize))
	f.Add(make([]byte, tileSize+HashSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		tile, err := parseTile(b)
		if err != nil {
			return
		}
		var again []byte
		for _, h := range tile {
			again = append(again, h[:]...)
		}
		if !bytes.Equal(again, b) {
			t.Errorf("parseTile(%x) = %v", b, tile)
		}
	})
}
