package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// A Problem is the first thing that is wrong with a log.
type Problem struct {
	// Entry is the first entry that is wrong, missing or in doubt, when File is
	// a bundle or says nothing; of a hash tile, the first entry below the hash.
	Entry  uint64
	File   string // in the log's directory
	Reason error
}

func (p *Problem) Error() string {
	switch {
	case p.File == "":
		return fmt.Sprintf("entry %d: %v", p.Entry, p.Reason)
	case isBundle(p.File):
		return fmt.Sprintf("entry %d (%s): %v", p.Entry, p.File, p.Reason)
	}
	return fmt.Sprintf("%s: %v", p.File, p.Reason)
}

func (p *Problem) Unwrap() error { return p.Reason }

func isBundle(name string) bool { return strings.HasPrefix(name, "tile/entries/") }

// VerifyOptions tells Verify what to check a log against.
type VerifyOptions struct {
	// PublicKey must be a key of the log. Without it the log is only checked
	// against the keys that it records itself.
	PublicKey string
	// Checkpoint is a signed checkpoint that was kept elsewhere: the log must
	// go on from it.
	Checkpoint []byte
	// Witnesses are the public keys of known witnesses. With them all
	// cosignatures must be theirs; without, none is checked.
	Witnesses []string
	// Progress is told how many of how many entries have been read, one call
	// after the other.
	Progress func(read, of uint64)
}

// A Report says what Verify has checked.
type Report struct {
	Checkpoint Checkpoint // the newest, whose tree was checked
	Keys       []Key      // of the log, in the order that they came into force
	Entries    uint64     // read and checked
	Unsigned   uint64     // of them after the checkpoint
	Tiles      int        // read and checked
	Bytes      int64      // of entries
	First      time.Time  // of entry 0
	Last       time.Time  // of the last entry
	Kept       *Checkpoint
	Cosigned   int  // checkpoints with cosignatures
	Cosigners  int  // cosignatures by known witnesses
	Unknown    int  // cosignatures by others, which can not be checked
	Live       bool // a process has the log open: what follows the checkpoint was not judged
	Duration   time.Duration
}

// Verify reads everything in a log's directory and checks it: every entry,
// every hash of every tile, the checkpoint and its signature, the chain of
// keys, the cosignatures, and the kept checkpoint. It needs no process of ours
// and writes nothing. The error is a *[Problem] when the log is at fault; the
// report tells what was checked until then.
func Verify(dir string, o VerifyOptions) (Report, error) {
	start := time.Now()
	v := &verification{dir: dir, o: o}
	err := v.run()
	v.report.Duration = time.Since(start)
	return v.report, err
}

type verification struct {
	dir    string
	o      VerifyOptions
	signed []byte
	report Report
	size   uint64 // that the checkpoint says
	total  uint64 // with what follows it
	units  []*unit

	mu       sync.Mutex
	read     uint64
	keyed    []Entry // those that record keys
	problem  *Problem
	stop     uint64 // no unit at or above needs reading
	ioErr    error
	tileRead int
}

// A unit is a bundle and its tile.
type unit struct {
	entries     int
	root        Hash  // of a full one
	first, last int64 // times, ms
	bytes       int64
	differs     int // the first entry whose hash is not the tile's, or -1
	tile        error
	bad         error // what follows the entries is none
}

func (v *verification) run() error {
	v.live()
	var err error
	if v.signed, err = readFile(filepath.Join(v.dir, checkpointFile), nil, maxNote); errors.Is(err, fs.ErrNotExist) {
		return &Problem{File: checkpointFile, Reason: err}
	} else if err != nil {
		return err
	}
	c, err := unverified(v.signed)
	if err != nil {
		return &Problem{File: checkpointFile, Reason: err}
	}
	v.report.Checkpoint, v.size = c, c.Size
	if c.Size == 0 {
		return &Problem{File: checkpointFile, Reason: errors.New("a log has at least the entry of its key")}
	}
	if err := v.readUnits(); err != nil {
		return err
	}
	keysErr := v.keys()
	if v.problem != nil || keysErr != nil {
		// A checkpoint that was changed makes the log seem wrong.
		var invalid *note.InvalidSignatureError
		if _, err := OpenCheckpoint(v.signed, publicOf(v.report.Keys)...); errors.As(err, &invalid) {
			return &Problem{File: checkpointFile, Reason: err}
		}
		if v.problem != nil {
			return v.problem
		}
		return keysErr
	}
	for _, check := range []func() error{v.signature, v.tree, v.times, v.kept, v.cosigned, v.keyFile} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// live reports whether a process has the log open, or had it meanwhile: what
// follows the checkpoint is then under way.
func (v *verification) live() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Live = v.report.Live || locked(v.dir)
	return v.report.Live
}

func publicOf(keys []Key) []string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = k.Public
	}
	return list
}

// readUnits reads all bundles and the tiles of level 0, on all cores, in order:
// when one is bad, all before it have been read.
func (v *verification) readUnits() error {
	count := v.size/bundleEntries + 1
	for n := count; n < count+commitBundles; n++ { // what follows the checkpoint
		if _, err := os.Stat(filepath.Join(v.dir, bundlePath(n))); err == nil {
			count = n + 1
		}
	}
	v.stop = count
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			var buf, tile []byte
			for {
				n, u := v.take()
				if u == nil {
					return
				}
				var err error
				if buf, tile, err = v.readUnit(n, u, buf, tile); err != nil {
					v.mu.Lock()
					v.ioErr = errors.Join(v.ioErr, err)
					v.stop = 0
					v.mu.Unlock()
				}
			}
		})
	}
	wait.Wait()
	if v.ioErr != nil {
		return v.ioErr
	}
	for i, u := range v.units {
		v.report.Entries += uint64(u.entries)
		v.report.Bytes += u.bytes
		if u.entries > 0 {
			v.report.Last = time.UnixMilli(u.last).UTC()
		}
		bad := u.bad
		if v.total < uint64(i)*bundleEntries && u.entries > 0 {
			bad = errNotFull
		} else {
			v.total += uint64(u.entries)
		}
		if v.problem == nil && bad != nil && !v.live() {
			v.problem = v.entryProblem(v.total, fmt.Errorf("after the checkpoint: %w", bad))
		}
	}
	v.report.First = time.UnixMilli(v.units[0].first).UTC()
	v.report.Tiles = v.tileRead
	v.report.Unsigned = v.total - min(v.size, v.total)
	return nil
}

// take returns the next unit to be read, nil when there is none. There are no
// more than have been read, whatever size a checkpoint claims.
func (v *verification) take() (uint64, *unit) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := uint64(len(v.units))
	if n >= v.stop {
		return 0, nil
	}
	u := &unit{differs: -1}
	v.units = append(v.units, u)
	return n, u
}

// found notes a problem in unit n, if none was found before it.
func (v *verification) found(n uint64, p *Problem) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n < v.stop {
		v.problem = p
		v.stop = n
	}
}

func (v *verification) readUnit(n uint64, u *unit, buf, tile []byte) ([]byte, []byte, error) {
	first := n * bundleEntries
	need := width(0, n, v.size)
	b, err := readFile(filepath.Join(v.dir, bundlePath(n)), buf, maxBundle)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		b = buf[:0]
	case errors.Is(err, errTooLong):
		v.found(n, v.entryProblem(first, err))
		return buf, tile, nil
	case err != nil:
		return buf, tile, err
	}
	before := int64(0)
	found, err := readRecords(b, first, func(e *view, _ Hash) error {
		if u.entries == 0 {
			u.first = e.time
		}
		if e.time < before {
			return fmt.Errorf("its time is %d ms before that of the entry before", before-e.time)
		}
		before = e.time
		if len(e.payload) > maxKeyPayload && strings.HasPrefix(string(e.action), reservedActions) {
			return fmt.Errorf("%s with a payload of %d bytes", e.action, len(e.payload))
		}
		u.entries++
		if string(e.action) == ActionKeyCreated || string(e.action) == ActionKeyRotated {
			v.mu.Lock()
			v.keyed = append(v.keyed, e.entry())
			v.mu.Unlock()
		}
		return nil
	})
	u.last, u.bytes, u.bad = found.last, int64(found.end-u.entries*recordHead), found.bad
	if err != nil {
		u.bad = err
	}
	if u.entries < need || u.bad != nil && need == bundleEntries {
		v.found(n, v.entryProblem(first+uint64(u.entries), missing(u.bad)))
		return b, tile, nil
	}
	if tile, err = v.compareTile(n, u, found.leaves, tile); err != nil {
		return b, tile, err
	}
	if u.entries == bundleEntries {
		u.root = perfectRoot(found.leaves)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.read += uint64(u.entries)
	if v.o.Progress != nil {
		v.o.Progress(v.read, max(v.size, v.read))
	}
	return b, tile, nil
}

// compareTile compares tile n of level 0 with the hashes of the entries.
func (v *verification) compareTile(n uint64, u *unit, leaves []Hash, buf []byte) ([]byte, error) {
	b, err := v.readTile(tileID{0, n}, len(leaves), buf)
	if b == nil {
		u.tile = err
		return buf, nil
	}
	if err != nil {
		u.tile = err
	}
	for i := range min(width(0, n, v.size), len(b)/HashSize) {
		if Hash(b[i*HashSize:]) != leaves[i] {
			u.differs = i
			break
		}
	}
	return b, nil
}

// readTile reads a tile, which must hold the hashes of the signed tree, and no
// more than those of the whole one.
func (v *verification) readTile(id tileID, all int, buf []byte) ([]byte, error) {
	need := width(id.level, id.number, v.size)
	b, err := readFile(filepath.Join(v.dir, tilePath(id.level, id.number)), buf, tileSize)
	if errors.Is(err, fs.ErrNotExist) && need == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	v.tileRead++
	v.mu.Unlock()
	if len(b) < need*HashSize || len(b) > all*HashSize && !v.live() {
		return b, fmt.Errorf("%d bytes, want %d to %d", len(b), need*HashSize, all*HashSize)
	}
	return b, nil
}
