package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"golang.org/x/mod/sumdb/note"
)

// The first lines of proof files. The first is C2SP tlog-proof's.
const (
	inclusionHeader   = "c2sp.org/tlog-proof@v1"
	consistencyHeader = "daemoneye-consistency-proof/v1"
)

const (
	// maxHashes bounds the hashes of a proof: a tree has below 2^63 leaves.
	maxHashes = 128
	maxProof  = 4*maxEntry/3 + maxHashes*45 + maxNote + 1024
)

// A Proof is an [InclusionProof] or a [ConsistencyProof]. MarshalText makes the
// proof file, UnmarshalText reads it and nothing else. Verify checks the proof
// with nothing but the log's public key, and returns the checkpoint that it
// leads to.
type Proof interface {
	MarshalText() ([]byte, error)
	UnmarshalText(text []byte) error
	Verify(publicKey string) (Checkpoint, error)
}

// ParseProof reads a proof file.
func ParseProof(text []byte) (Proof, error) {
	if len(text) > maxProof {
		return nil, fmt.Errorf("proof of %d bytes, the limit is %d", len(text), maxProof)
	}
	header, _, _ := strings.Cut(string(text[:min(len(text), 64)]), "\n")
	var p Proof
	switch header {
	case inclusionHeader:
		p = new(InclusionProof)
	case consistencyHeader:
		p = new(ConsistencyProof)
	default:
		return nil, fmt.Errorf("proof: the first line is neither %q nor %q", inclusionHeader, consistencyHeader)
	}
	if err := p.UnmarshalText(text); err != nil {
		return nil, err
	}
	return p, nil
}

// An InclusionProof shows that the tree of a checkpoint holds an entry.
type InclusionProof struct {
	Entry      Entry
	Hashes     []Hash // from the leaf's sibling up
	Checkpoint []byte // signed
}

// A ConsistencyProof shows that the tree of a checkpoint begins with the
// entries of an older one. Who verifies it compares the old root with the
// checkpoint that he has kept.
type ConsistencyProof struct {
	OldSize    uint64
	OldRoot    Hash
	Hashes     []Hash // as RFC 6962, section 2.1.2 orders them
	Checkpoint []byte // signed
}

// ProveInclusion returns the proof that an entry is under the newest
// checkpoint.
func (r *Reader) ProveInclusion(sequence uint64) (*InclusionProof, error) {
	signed, c, err := r.Checkpoint()
	if err != nil {
		return nil, err
	}
	if sequence >= c.Size {
		return nil, fmt.Errorf("entry %d is not yet under a checkpoint, the newest is of %d entries", sequence, c.Size)
	}
	e, err := r.Entry(sequence)
	if err != nil {
		return nil, err
	}
	ids, err := proof.Inclusion(sequence, c.Size)
	if err != nil {
		return nil, err
	}
	hashes, err := r.hashes(ids, c.Size)
	if err != nil {
		return nil, err
	}
	p := &InclusionProof{e, hashes, signed}
	if err := p.check(c); err != nil {
		return nil, fmt.Errorf("the log is damaged: %w", err)
	}
	return p, nil
}

// ProveConsistency returns the proof that the newest checkpoint's tree begins
// with the log's first entries.
func (r *Reader) ProveConsistency(oldSize uint64) (*ConsistencyProof, error) {
	signed, c, err := r.Checkpoint()
	if err != nil {
		return nil, err
	}
	return r.ProveConsistencyTo(oldSize, signed, c)
}

// ProveConsistencyTo is [Reader.ProveConsistency] to a signed checkpoint that
// is not the newest.
func (r *Reader) ProveConsistencyTo(oldSize uint64, signed []byte, c Checkpoint) (*ConsistencyProof, error) {
	ids, err := proof.Consistency(oldSize, c.Size)
	if err != nil {
		return nil, err
	}
	hashes, err := r.hashes(ids, c.Size)
	if err != nil {
		return nil, err
	}
	root, err := newNodes(r.dir, c.Size).root(oldSize)
	if err != nil {
		return nil, err
	}
	p := &ConsistencyProof{oldSize, root, hashes, signed}
	if err := p.check(c); err != nil {
		return nil, fmt.Errorf("the log is not the one of the checkpoint, or damaged: %w", err)
	}
	return p, nil
}

// hashes returns those of a proof in the tree with the size.
func (r *Reader) hashes(ids proof.Nodes, size uint64) ([]Hash, error) {
	list, err := newNodes(r.dir, size).hashes(ids.IDs)
	if err != nil {
		return nil, err
	}
	if list, err = ids.Rehash(list, hasher{}.HashChildren); err != nil {
		return nil, err
	}
	var hashes []Hash
	for _, h := range list {
		hashes = append(hashes, Hash(h))
	}
	return hashes, nil
}

// Verify checks that the tree of the checkpoint holds the entry.
func (p *InclusionProof) Verify(publicKey string) (Checkpoint, error) {
	c, err := OpenCheckpoint(p.Checkpoint, publicKey)
	if err != nil {
		return c, err
	}
	return c, p.check(c)
}

func (p *InclusionProof) check(c Checkpoint) error {
	if _, err := p.Entry.MarshalBinary(); err != nil {
		return fmt.Errorf("proof: %w", err)
	}
	leaf := p.Entry.LeafHash()
	if err := proof.VerifyInclusion(hasher{}, p.Entry.Sequence, c.Size, leaf[:], list(p.Hashes), c.Root[:]); err != nil {
		return wrong(err)
	}
	return nil
}

// Verify checks that the tree of the checkpoint begins with the old one.
func (p *ConsistencyProof) Verify(publicKey string) (Checkpoint, error) {
	c, err := OpenCheckpoint(p.Checkpoint, publicKey)
	if err != nil {
		return c, err
	}
	return c, p.check(c)
}

func (p *ConsistencyProof) check(c Checkpoint) error {
	if p.OldSize == 0 && p.OldRoot != Hash(hasher{}.EmptyRoot()) {
		return errors.New("proof: the empty tree has another root")
	}
	if err := proof.VerifyConsistency(hasher{}, p.OldSize, c.Size, list(p.Hashes), p.OldRoot[:], c.Root[:]); err != nil {
		return wrong(err)
	}
	return nil
}

// wrong says in one line what merkle says in five.
func wrong(err error) error {
	var mismatch proof.RootMismatchError
	if errors.As(err, &mismatch) {
		return fmt.Errorf("proof: it leads to the root %s, not to %s",
			base64.StdEncoding.EncodeToString(mismatch.CalculatedRoot), base64.StdEncoding.EncodeToString(mismatch.ExpectedRoot))
	}
	return fmt.Errorf("proof: %w", err)
}

// MarshalText makes the proof file. Its "extra" line is the entry.
func (p *InclusionProof) MarshalText() ([]byte, error) {
	e, err := p.Entry.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return marshalProof([]string{
		inclusionHeader,
		"extra " + base64.StdEncoding.EncodeToString(e),
		fmt.Sprint("index ", p.Entry.Sequence),
	}, p.Hashes, p.Checkpoint), nil
}

// UnmarshalText reads what MarshalText makes, and nothing else.
func (p *InclusionProof) UnmarshalText(text []byte) error {
	lines, hashes, signed, err := unmarshalProof(text, 3)
	if err != nil {
		return err
	}
	extra, ok := strings.CutPrefix(lines[1], "extra ")
	raw, err := base64.StdEncoding.Strict().DecodeString(extra)
	if !ok || lines[0] != inclusionHeader || err != nil || base64.StdEncoding.EncodeToString(raw) != extra {
		return errors.New("proof: the second line is not \"extra\" and the entry in base64")
	}
	e, err := ParseEntry(raw)
	if err != nil {
		return fmt.Errorf("proof: %w", err)
	}
	if lines[2] != fmt.Sprint("index ", e.Sequence) {
		return fmt.Errorf("proof: %.40q, but the entry is %d", lines[2], e.Sequence)
	}
	*p = InclusionProof{e, hashes, signed}
	return nil
}

// MarshalText makes the proof file.
func (p *ConsistencyProof) MarshalText() ([]byte, error) {
	return marshalProof([]string{
		consistencyHeader,
		fmt.Sprint("old ", p.OldSize),
		fmt.Sprint("root ", p.OldRoot),
	}, p.Hashes, p.Checkpoint), nil
}

// UnmarshalText reads what MarshalText makes, and nothing else.
func (p *ConsistencyProof) UnmarshalText(text []byte) error {
	lines, hashes, signed, err := unmarshalProof(text, 3)
	if err != nil {
		return err
	}
	old, ok1 := strings.CutPrefix(lines[1], "old ")
	root, ok2 := strings.CutPrefix(lines[2], "root ")
	if !ok1 || !ok2 || lines[0] != consistencyHeader {
		return errors.New("proof: the second and third line are not \"old\" and \"root\"")
	}
	size, err := parseSize(old)
	if err != nil {
		return fmt.Errorf("proof: %w", err)
	}
	h, err := ParseHash(root)
	if err != nil {
		return fmt.Errorf("proof: %w", err)
	}
	*p = ConsistencyProof{size, h, hashes, signed}
	return nil
}

func marshalProof(head []string, hashes []Hash, signed []byte) []byte {
	var b strings.Builder
	for _, line := range head {
		b.WriteString(line + "\n")
	}
	for _, h := range hashes {
		b.WriteString(h.String() + "\n")
	}
	b.WriteByte('\n')
	b.Write(signed)
	return []byte(b.String())
}

// unmarshalProof splits a proof file after its head lines.
func unmarshalProof(text []byte, head int) (lines []string, hashes []Hash, signed []byte, err error) {
	if len(text) > maxProof {
		return nil, nil, nil, fmt.Errorf("proof of %d bytes, the limit is %d", len(text), maxProof)
	}
	before, after, ok := strings.Cut(string(text), "\n\n")
	lines = strings.SplitN(before, "\n", head+maxHashes+2)
	if !ok || len(lines) < head || len(lines) > head+maxHashes {
		return nil, nil, nil, fmt.Errorf("proof: want %d lines, at most %d hashes, an empty line and a checkpoint", head, maxHashes)
	}
	for _, line := range lines[head:] {
		h, err := ParseHash(line)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("proof: %w", err)
		}
		hashes = append(hashes, h)
	}
	signed = []byte(after)
	if _, err := unverified(signed); err != nil {
		return nil, nil, nil, fmt.Errorf("proof: %w", err)
	}
	return lines[:head], hashes, signed, nil
}

// unverified reads a signed checkpoint without knowing a key.
func unverified(signed []byte) (Checkpoint, error) {
	c, _, err := readNote(signed, nil)
	var none *note.UnverifiedNoteError
	if errors.As(err, &none) {
		err = nil
	}
	return c, err
}
