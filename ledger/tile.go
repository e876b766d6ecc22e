package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/transparency-dev/merkle/compact"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	tileSize   = tileWidth * HashSize
)

// numberPath is C2SP tlog-tiles' encoding of an index: 1234067 is
// x001/x234/067.
func numberPath(n uint64) string {
	p := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		p = fmt.Sprintf("x%03d/%s", n%1000, p)
	}
	return p
}

func tilePath(level uint, number uint64) string {
	return fmt.Sprintf("tile/%d/%s", level, numberPath(number))
}

func bundlePath(number uint64) string { return "tile/entries/" + numberPath(number) }

// width returns how many hashes a tile has in a tree of the size.
func width(level uint, number, size uint64) int {
	if level*tileHeight > 63 {
		return 0
	}
	all := size >> (level * tileHeight)
	if first := number * tileWidth; all > first {
		return int(min(all-first, tileWidth))
	}
	return 0
}

// readTile returns the first hashes of a tile, of which there may be more: they
// are written before the checkpoint that signs them.
func readTile(dir string, level uint, number uint64, hashes int) ([]Hash, error) {
	name := tilePath(level, number)
	b, err := readFile(filepath.Join(dir, name), nil, tileSize)
	if err != nil {
		return nil, err
	}
	if len(b) < hashes*HashSize {
		return nil, fmt.Errorf("%s: %d bytes, want %d hashes", name, len(b), hashes)
	}
	return parseTile(b[:hashes*HashSize])
}

// parseTile reads the hashes of a whole or partial tile.
func parseTile(b []byte) ([]Hash, error) {
	if len(b) > tileSize || len(b)%HashSize != 0 {
		return nil, fmt.Errorf("tile of %d bytes", len(b))
	}
	tile := make([]Hash, len(b)/HashSize)
	for i := range tile {
		tile[i] = Hash(b[i*HashSize:])
	}
	return tile, nil
}

// nodes reads hashes of the tree with a size from tiles.
type nodes struct {
	dir  string
	size uint64
	read map[tileID][]Hash
}

type tileID struct {
	level  uint
	number uint64
}

func newNodes(dir string, size uint64) *nodes {
	return &nodes{dir, size, map[tileID][]Hash{}}
}

// node returns the hash of a node, all of whose leaves are in the tree.
func (n *nodes) node(id compact.NodeID) (Hash, error) {
	level, inside := id.Level/tileHeight, id.Level%tileHeight
	first := id.Index << inside
	at := tileID{level, first / tileWidth}
	tile, ok := n.read[at]
	if !ok {
		var err error
		if tile, err = readTile(n.dir, level, at.number, width(level, at.number, n.size)); err != nil {
			return Hash{}, err
		}
		n.read[at] = tile
	}
	first %= tileWidth
	end := first + 1<<inside
	if end > uint64(len(tile)) {
		return Hash{}, fmt.Errorf("node %d of level %d is not in a tree of %d", id.Index, id.Level, n.size)
	}
	return perfectRoot(append([]Hash(nil), tile[first:end]...)), nil
}

// hashes returns the hashes of ids, as merkle wants them.
func (n *nodes) hashes(ids []compact.NodeID) ([][]byte, error) {
	list := make([][]byte, len(ids))
	for i, id := range ids {
		h, err := n.node(id)
		if err != nil {
			return nil, err
		}
		list[i] = h[:]
	}
	return list, nil
}

// prefix returns the compact range of the first size leaves.
func (n *nodes) prefix(size uint64) (*compact.Range, error) {
	list, err := n.hashes(compact.RangeNodes(0, size, nil))
	if err != nil {
		return nil, err
	}
	return factory().NewRange(0, size, list)
}

// root returns the root of the tree of the first size leaves.
func (n *nodes) root(size uint64) (Hash, error) {
	r, err := n.prefix(size)
	if err != nil {
		return Hash{}, err
	}
	return rangeRoot(r)
}

// A tree grows: it holds the compact range and the tiles on its right edge, and
// writes tiles.
type tree struct {
	dir   string
	dirs  *dirs
	all   *compact.Range
	edge  []edgeTile // one a level
	full  []edgeTile // to be written
	dirty map[string]bool
}

type edgeTile struct {
	id      tileID
	hashes  []byte
	written int // bytes of hashes that are in the file
}

// openTree reads the right edge of the tree with the size.
func openTree(dir string, dirs *dirs, size uint64) (*tree, error) {
	t := &tree{dir: dir, dirs: dirs, dirty: map[string]bool{}}
	from := newNodes(dir, size)
	var err error
	if t.all, err = from.prefix(size); err != nil {
		return nil, err
	}
	for level := uint(0); size>>(level*tileHeight) > 0; level++ {
		number := size >> (level * tileHeight) / tileWidth
		edge := edgeTile{id: tileID{level, number}, hashes: make([]byte, 0, tileSize)}
		if w := width(level, number, size); w > 0 {
			tile, err := readTile(dir, level, number, w)
			if err != nil {
				return nil, err
			}
			for _, h := range tile {
				edge.hashes = append(edge.hashes, h[:]...)
			}
			edge.written = len(edge.hashes)
		}
		t.edge = append(t.edge, edge)
	}
	return t, nil
}

func (t *tree) size() uint64 { return t.all.End() }

func (t *tree) root() (Hash, error) { return rangeRoot(t.all) }

// add appends a leaf.
func (t *tree) add(leaf Hash) error {
	return t.all.Append(leaf[:], func(id compact.NodeID, hash []byte) {
		if id.Level%tileHeight != 0 {
			return
		}
		level := id.Level / tileHeight
		if int(level) == len(t.edge) {
			t.edge = append(t.edge, edgeTile{id: tileID{level, 0}, hashes: make([]byte, 0, tileSize)})
		}
		edge := &t.edge[level]
		edge.hashes = append(edge.hashes, hash...)
		if len(edge.hashes) == tileSize {
			t.full = append(t.full, *edge)
			*edge = edgeTile{id: tileID{level, edge.id.number + 1}, hashes: make([]byte, 0, tileSize)}
		}
	})
}

// writeFull writes the tiles that have become full, but does not sync them.
func (t *tree) writeFull() error {
	for len(t.full) > 0 {
		if err := t.write(&t.full[0]); err != nil {
			return err
		}
		t.full = t.full[1:]
	}
	t.full = nil
	return nil
}

// sync writes all that is not yet in files and makes it survive a loss of
// power.
func (t *tree) sync() error {
	if err := t.writeFull(); err != nil {
		return err
	}
	for i := range t.edge {
		if err := t.write(&t.edge[i]); err != nil {
			return err
		}
	}
	var syncs []func() error
	for name := range t.dirty {
		syncs = append(syncs, func() error { return syncFile(name) })
	}
	if err := errors.Join(together(syncs), t.dirs.sync()); err != nil {
		return err
	}
	clear(t.dirty)
	return nil
}

// write brings a tile's file up to its hashes, and no longer.
func (t *tree) write(e *edgeTile) error {
	if e.written == len(e.hashes) {
		return nil
	}
	name := filepath.Join(t.dir, tilePath(e.id.level, e.id.number))
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = t.dirs.create(name)
	}
	if err != nil {
		return err
	}
	err = f.Truncate(int64(e.written))
	if err == nil {
		_, err = f.WriteAt(e.hashes[e.written:], int64(e.written))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	e.written = len(e.hashes)
	t.dirty[name] = true
	return nil
}
