package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// keys checks the chain of keys that the entries record.
func (v *verification) keys() error {
	slices.SortFunc(v.keyed, func(a, b Entry) int { return cmp.Compare(a.Sequence, b.Sequence) })
	for i := range v.keyed {
		e := &v.keyed[i]
		if v.problem != nil && e.Sequence >= v.problem.Entry {
			break
		}
		k, err := nextKey(v.report.Keys, e)
		if err != nil {
			return v.entryProblem(e.Sequence, err)
		}
		v.report.Keys = append(v.report.Keys, k)
	}
	if len(v.report.Keys) == 0 && v.problem == nil {
		return v.entryProblem(0, errors.New("the entry does not record the log's key"))
	}
	return nil
}

func (v *verification) entryProblem(sequence uint64, err error) *Problem {
	return &Problem{Entry: sequence, File: bundlePath(sequence / bundleEntries), Reason: err}
}

// signature checks who has signed the newest checkpoint.
func (v *verification) signature() error {
	if v.o.PublicKey != "" && !slices.ContainsFunc(v.report.Keys, func(k Key) bool { return k.Public == v.o.PublicKey }) {
		return fmt.Errorf("the log's keys are %q, not %s", publicOf(v.report.Keys), v.o.PublicKey)
	}
	if _, err := v.open(v.signed); err != nil {
		return &Problem{File: checkpointFile, Reason: err}
	}
	return nil
}

// open reads a checkpoint that the key in force at its size has signed.
func (v *verification) open(signed []byte) (Checkpoint, error) {
	c, err := unverified(signed)
	if err != nil {
		return c, err
	}
	k, ok := inForce(v.report.Keys, c.Size)
	if !ok {
		return c, fmt.Errorf("no key signs a tree of %d entries", c.Size)
	}
	return OpenCheckpoint(signed, k.Public)
}

// tree compares the root of the entries with the checkpoint's, and all tiles
// with the entries. When they differ, the signature tells which is wrong.
func (v *verification) tree() error {
	root, err := v.root(v.size)
	if err != nil {
		return err
	}
	if root == v.report.Checkpoint.Root {
		return v.tiles(func(id tileID, i int, err error) error {
			return &Problem{Entry: below(id, i), File: tilePath(id.level, id.number), Reason: err}
		})
	}
	// The entries are not those that were signed. The first that its tile does
	// not hold is the first of them, unless the tile was changed with it.
	for n, u := range v.units {
		if u.differs >= 0 {
			return v.entryProblem(uint64(n)*bundleEntries+uint64(u.differs), errors.New("the entry is not the one in the tree"))
		}
	}
	if err := v.tiles(func(id tileID, i int, err error) error {
		return v.entryProblem(below(id, i), fmt.Errorf("the entry is not the one in the tree, or one of the next %d: %s: %w", spanned(id), tilePath(id.level, id.number), err))
	}); err != nil {
		return err
	}
	return &Problem{File: checkpointFile, Reason: fmt.Errorf("the entries have the root %s, the checkpoint says %s", root, v.report.Checkpoint.Root)}
}

// below returns the first entry below hash i of a tile.
func below(id tileID, i int) uint64 {
	return (id.number*tileWidth + uint64(i)) << (id.level * tileHeight)
}

// spanned returns how many entries follow the first below one hash.
func spanned(id tileID) uint64 { return 1<<(id.level*tileHeight) - 1 }

// tiles compares all tiles with the entries, and gives the first that differs,
// with the hash in it, to differs.
func (v *verification) tiles(differs func(id tileID, i int, err error) error) error {
	changed := errors.New("the hash is not that of the entries")
	roots := make([]Hash, 0, len(v.units))
	for n, u := range v.units {
		id := tileID{0, uint64(n)}
		switch {
		case u.tile != nil:
			return differs(id, 0, u.tile)
		case u.differs >= 0:
			return differs(id, u.differs, fmt.Errorf("hash %d: %w", u.differs, changed))
		}
		if u.entries == bundleEntries {
			roots = append(roots, u.root)
		}
	}
	for level := uint(1); len(roots) > 0; level++ {
		var above []Hash
		for n := 0; n*tileWidth < len(roots); n++ {
			id := tileID{level, uint64(n)}
			want := roots[n*tileWidth : min(len(roots), (n+1)*tileWidth)]
			b, err := v.readTile(id, len(want), nil)
			if err != nil {
				return differs(id, 0, err)
			}
			for i := range min(width(level, id.number, v.size), len(want)) {
				if Hash(b[i*HashSize:]) != want[i] {
					return differs(id, i, fmt.Errorf("hash %d: %w", i, changed))
				}
			}
			if len(want) == tileWidth {
				above = append(above, perfectRoot(slices.Clone(want)))
			}
		}
		roots = above
	}
	v.report.Tiles = v.tileRead
	return nil
}

// root returns the root of the first size entries, from the entries.
func (v *verification) root(size uint64) (Hash, error) {
	full := size / bundleEntries
	bundles := factory().NewEmptyRange(0)
	for n := range full {
		if err := bundles.Append(v.units[n].root[:], nil); err != nil {
			return Hash{}, err
		}
	}
	// The range of so many perfect trees is that of their leaves.
	r, err := factory().NewRange(0, full*bundleEntries, bundles.Hashes())
	if err != nil {
		return Hash{}, err
	}
	if rest := int(size % bundleEntries); rest > 0 {
		leaves, err := v.leaves(full)
		if err != nil {
			return Hash{}, err
		}
		if len(leaves) < rest {
			return Hash{}, v.entryProblem(full*bundleEntries+uint64(len(leaves)), missing(nil))
		}
		for _, leaf := range leaves[:rest] {
			if err := r.Append(leaf[:], nil); err != nil {
				return Hash{}, err
			}
		}
	}
	return rangeRoot(r)
}

// leaves reads the hashes of the entries of a bundle again.
func (v *verification) leaves(number uint64) ([]Hash, error) {
	b, err := readFile(filepath.Join(v.dir, bundlePath(number)), nil, maxBundle)
	if err != nil {
		return nil, err
	}
	found, err := readRecords(b, number*bundleEntries, nil)
	return found.leaves, err
}

// times checks that no bundle begins before the end of the one before.
func (v *verification) times() error {
	for n := 1; n < len(v.units); n++ {
		if u, before := v.units[n], v.units[n-1].last; u.entries > 0 && u.first < before {
			return v.entryProblem(uint64(n)*bundleEntries, fmt.Errorf("its time is %d ms before that of the entry before", before-u.first))
		}
	}
	return nil
}

// kept compares the log with the checkpoint that was kept elsewhere.
func (v *verification) kept() error {
	if v.o.Checkpoint == nil {
		return nil
	}
	c, err := v.open(v.o.Checkpoint)
	if err != nil {
		return fmt.Errorf("the kept checkpoint: %w", err)
	}
	if err := v.had(c); err != nil {
		return fmt.Errorf("the kept checkpoint: %w", err)
	}
	v.report.Kept = &c
	return nil
}

// had checks that the log has the tree of a checkpoint, or once had.
func (v *verification) had(c Checkpoint) error {
	if c.Origin != v.report.Checkpoint.Origin {
		return fmt.Errorf("it is of %q, the log is %q", c.Origin, v.report.Checkpoint.Origin)
	}
	if c.Size > v.total {
		return fmt.Errorf("it is of %d entries, the log has only %d: it was cut off or an older copy was put in its place", c.Size, v.total)
	}
	root, err := v.root(c.Size)
	if err != nil {
		return err
	}
	if root != c.Root {
		return fmt.Errorf("the log's first %d entries have the root %s, it says %s: the log has another history", c.Size, root, c.Root)
	}
	return nil
}

// cosigned checks the checkpoints that witnesses have cosigned.
func (v *verification) cosigned() error {
	files, err := os.ReadDir(filepath.Join(v.dir, cosignedDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, f := range files {
		name := cosignedDir + "/" + f.Name()
		if filepath.Ext(name) == ".tmp" {
			continue // what a crash has left
		}
		if err := v.cosignedFile(name, f.Name()); err != nil {
			return &Problem{File: name, Reason: err}
		}
	}
	return nil
}

func (v *verification) cosignedFile(path, size string) error {
	signed, err := readFile(filepath.Join(v.dir, path), nil, maxNote)
	if err != nil {
		return err
	}
	c, err := v.open(signed)
	if err != nil {
		return err
	}
	if strconv.FormatUint(c.Size, 10) != size {
		return fmt.Errorf("it is of %d entries", c.Size)
	}
	if err := v.had(c); err != nil {
		return err
	}
	k, _ := inForce(v.report.Keys, c.Size)
	_, n, err := readNote(signed, append([]string{k.Public}, v.o.Witnesses...))
	if err != nil {
		return err
	}
	if len(v.o.Witnesses) > 0 && len(n.UnverifiedSigs) > 0 {
		u := n.UnverifiedSigs[0]
		return fmt.Errorf("the cosignature by %s+%08x is by no known witness", u.Name, u.Hash)
	}
	v.report.Cosigned++
	v.report.Cosigners += len(n.Sigs) - 1
	v.report.Unknown += len(n.UnverifiedSigs)
	return nil
}

// keyFile checks the private key, if it is there for this user to read.
func (v *verification) keyFile() error {
	k, err := readKey(filepath.Join(v.dir, keyFile))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err == nil && !slices.ContainsFunc(v.report.Keys, func(l Key) bool { return l.Public == k.public }) {
		err = fmt.Errorf("it is the key %s, which is none of the log's", k.public)
	}
	if err != nil {
		return &Problem{File: keyFile, Reason: err}
	}
	return nil
}
