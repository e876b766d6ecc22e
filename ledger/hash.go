package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/zeebo/blake3"
)

// HashSize is the length of a [Hash] in bytes.
const HashSize = 32

// A Hash is a BLAKE3-256 hash.
type Hash [HashSize]byte

// String returns the hash in standard base64, as checkpoints hold it.
func (h Hash) String() string { return base64.StdEncoding.EncodeToString(h[:]) }

// ParseHash reads what [Hash.String] makes, and nothing else.
func ParseHash(s string) (Hash, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != HashSize || len(s) != base64.StdEncoding.EncodedLen(HashSize) {
		return Hash{}, fmt.Errorf("hash %.60q: want base64 of %d bytes", s, HashSize)
	}
	return Hash(raw), nil
}

// The prefixes of RFC 6962, section 2.1.
const (
	leafPrefix = 0
	nodePrefix = 1
)

func leafHash(leaf []byte) Hash {
	var short [256]byte
	return blake3.Sum256(append(append(short[:0], leafPrefix), leaf...))
}

func nodeHash(left, right *Hash) Hash {
	var node [1 + 2*HashSize]byte
	node[0] = nodePrefix
	copy(node[1:], left[:])
	copy(node[1+HashSize:], right[:])
	return blake3.Sum256(node[:])
}

// perfectRoot returns the root over hashes, whose number is a power of two.
// It overwrites them.
func perfectRoot(hashes []Hash) Hash {
	for n := len(hashes) / 2; n > 0; n /= 2 {
		for i := range n {
			hashes[i] = nodeHash(&hashes[2*i], &hashes[2*i+1])
		}
	}
	return hashes[0]
}

// hasher is a merkle.LogHasher.
type hasher struct{}

func (hasher) EmptyRoot() []byte           { h := blake3.Sum256(nil); return h[:] }
func (hasher) HashLeaf(leaf []byte) []byte { h := leafHash(leaf); return h[:] }
func (hasher) Size() int                   { return HashSize }

func (hasher) HashChildren(l, r []byte) []byte {
	h := nodeHash((*Hash)(l), (*Hash)(r))
	return h[:]
}

func factory() *compact.RangeFactory {
	return &compact.RangeFactory{Hash: hasher{}.HashChildren}
}

// rangeRoot returns the root of the tree that r covers.
func rangeRoot(r *compact.Range) (Hash, error) {
	if r.End() == 0 {
		return Hash(hasher{}.EmptyRoot()), nil
	}
	root, err := r.GetRootHash(nil)
	if err != nil {
		return Hash{}, err
	}
	if len(root) != HashSize {
		return Hash{}, errors.New("the range has no root")
	}
	return Hash(root), nil
}

// list gives hashes the type that merkle wants.
func list(hashes []Hash) [][]byte {
	l := make([][]byte, len(hashes))
	for i := range hashes {
		l[i] = hashes[i][:]
	}
	return l
}
