package ledger

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle"
	"github.com/transparency-dev/merkle/proof"
	"github.com/zeebo/blake3"
)

var update = flag.Bool("update", false, "write testdata/roots.txt again, from the naive reference")

var _ merkle.LogHasher = hasher{}

const vectors = 260

// reference is RFC 6962, sections 2.1 to 2.1.2, word for word.
type reference struct {
	leaves [][]byte
	known  map[[2]int]Hash
}

// split returns the largest power of two smaller than n.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// mth is MTH(D[from:to]).
func (r *reference) mth(from, to int) Hash {
	if h, ok := r.known[[2]int{from, to}]; ok {
		return h
	}
	var h Hash
	switch n := to - from; n {
	case 0:
		h = blake3.Sum256(nil)
	case 1:
		h = blake3.Sum256(append([]byte{0}, r.leaves[from]...))
	default:
		left, right := r.mth(from, from+split(n)), r.mth(from+split(n), to)
		h = blake3.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
	}
	r.known[[2]int{from, to}] = h
	return h
}

// path is PATH(m, D[from:to]).
func (r *reference) path(m, from, to int) []Hash {
	n := to - from
	if n == 1 {
		return nil
	}
	if k := split(n); m < k {
		return append(r.path(m, from, from+k), r.mth(from+k, to))
	} else {
		return append(r.path(m-k, from+k, to), r.mth(from, from+k))
	}
}

// subproof is SUBPROOF(m, D[from:to], b).
func (r *reference) subproof(m, from, to int, b bool) []Hash {
	n := to - from
	if m == n {
		if b {
			return nil
		}
		return []Hash{r.mth(from, to)}
	}
	if k := split(n); m <= k {
		return append(r.subproof(m, from, from+k, b), r.mth(from+k, to))
	} else {
		return append(r.subproof(m-k, from+k, to, false), r.mth(from, from+k))
	}
}

// numbered are leaves for the vectors: leaf i is i in 8 bytes, big endian.
func numbered(n int) *reference {
	r := &reference{known: map[[2]int]Hash{}}
	for i := range n {
		r.leaves = append(r.leaves, binary.BigEndian.AppendUint64(nil, uint64(i)))
	}
	return r
}

func TestVectors(t *testing.T) {
	r := numbered(vectors)
	var text strings.Builder
	for n := range vectors + 1 {
		fmt.Fprintln(&text, n, r.mth(0, n))
	}
	const name = "testdata/roots.txt"
	if *update {
		if err := os.WriteFile(name, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := text.String(); got != string(want) {
		t.Errorf("the reference's roots are not those of %s", name)
	}
	all := factory().NewEmptyRange(0)
	for line := range strings.Lines(string(want)) {
		n := int(all.End())
		root, err := rangeRoot(all)
		if got := fmt.Sprintln(n, root); err != nil || got != line {
			t.Fatalf("root of %d leaves: %q, %v, want %q", n, got, err, line)
		}
		if n < vectors {
			leaf := leafHash(r.leaves[n])
			if err := all.Append(leaf[:], nil); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The proof verification of transparency-dev/merkle accepts the reference's
// proofs for every leaf and size, and no others.
func TestReferenceProofs(t *testing.T) {
	r := numbered(vectors)
	for n := 1; n <= vectors; n++ {
		root := r.mth(0, n)
		for m := range n {
			leaf := leafHash(r.leaves[m])
			path := list(r.path(m, 0, n))
			if err := proof.VerifyInclusion(hasher{}, uint64(m), uint64(n), leaf[:], path, root[:]); err != nil {
				t.Fatalf("inclusion of %d in %d: %v", m, n, err)
			}
			if err := proof.VerifyInclusion(hasher{}, uint64(m), uint64(n), leaf[:], append(path, root[:]), root[:]); err == nil {
				t.Fatalf("inclusion of %d in %d: accepted with one hash more", m, n)
			}
			old := r.mth(0, m+1)
			subproof := list(r.subproof(m+1, 0, n, true))
			if err := proof.VerifyConsistency(hasher{}, uint64(m+1), uint64(n), subproof, old[:], root[:]); err != nil {
				t.Fatalf("consistency of %d with %d: %v", m+1, n, err)
			}
		}
	}
}

func FuzzHash(f *testing.F) {
	f.Add(Hash{}.String())
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=")
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := ParseHash(s); err == nil && h.String() != s {
			t.Errorf("ParseHash(%q) = %v", s, h)
		}
	})
}
