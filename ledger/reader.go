package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
)

// A Reader reads entries and makes proofs, also while another process writes
// the log. Its methods may be called at the same time.
type Reader struct {
	dir  string
	live *Log // the log of this process, or nil
}

// OpenReader returns a reader of the log in a directory. It takes no lock and
// keeps no file open.
func OpenReader(dir string) (*Reader, error) {
	if _, err := os.Stat(filepath.Join(dir, checkpointFile)); err != nil {
		return nil, fmt.Errorf("no ledger: %w", err)
	}
	return &Reader{dir: dir}, nil
}

// Reader returns a reader of the log.
func (l *Log) Reader() *Reader { return &Reader{l.dir, l} }

// Checkpoint returns the newest signed checkpoint, and what it says. The
// signature is not checked: [OpenCheckpoint] does.
func (r *Reader) Checkpoint() (signed []byte, c Checkpoint, err error) {
	if signed, err = readFile(filepath.Join(r.dir, checkpointFile), nil, maxNote); err != nil {
		return nil, c, err
	}
	c, err = unverified(signed)
	return signed, c, err
}

// Size returns how many entries can be read: those under the newest checkpoint
// and whole ones after it. The last of these may be gone after a loss of
// power, when the log is another process's.
func (r *Reader) Size() (uint64, error) {
	if r.live != nil {
		return r.live.Size(), nil
	}
	_, c, err := r.Checkpoint()
	if err != nil {
		return 0, err
	}
	size := c.Size
	for number := size / bundleEntries; ; number++ {
		b, err := r.bundle(number, nil)
		if errors.Is(err, fs.ErrNotExist) {
			return size, nil
		} else if err != nil {
			return 0, err
		}
		found, err := readRecords(b, number*bundleEntries, nil)
		if err != nil {
			return 0, err
		}
		size = max(size, number*bundleEntries+uint64(len(found.leaves)))
		if len(found.leaves) < bundleEntries {
			return size, nil
		}
	}
}

func (r *Reader) bundle(number uint64, buf []byte) ([]byte, error) {
	return readFile(filepath.Join(r.dir, bundlePath(number)), buf, maxBundle)
}

// Entry returns the entry with the sequence; fs.ErrNotExist when there is none
// yet. Its hashes are checked, but not that it is in the tree: [Verify] and a
// proof do that.
func (r *Reader) Entry(sequence uint64) (Entry, error) {
	for e, err := range r.Range(sequence, sequence+1) {
		return e, err
	}
	return Entry{}, fmt.Errorf("entry %d: %w", sequence, fs.ErrNotExist)
}

// Last returns the last k entries, oldest first, or all if there are fewer.
func (r *Reader) Last(k int) ([]Entry, error) {
	size, err := r.Size()
	if err != nil {
		return nil, err
	}
	var list []Entry
	for e, err := range r.Range(size-min(size, uint64(max(k, 0))), size) {
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// Range yields the entries with from ≤ sequence < to, as far as there are. It
// ends after an error.
func (r *Reader) Range(from, to uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if r.live != nil {
			to = min(to, r.live.Size())
		}
		var buf []byte
		for from < to {
			number := from / bundleEntries
			b, err := r.bundle(number, buf)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				yield(Entry{}, err)
				return
			}
			buf = b
			last := min(to, (number+1)*bundleEntries)
			found, err := readRecords(skipRecords(b, int(from%bundleEntries)), from, func(v *view, _ Hash) error {
				if v.sequence >= last || !yield(v.entry(), nil) {
					return fs.SkipAll
				}
				return nil
			})
			if from += uint64(len(found.leaves)); err != nil && from < last {
				return // who iterates has stopped
			}
			if from < last {
				if _, c, err := r.Checkpoint(); err != nil || from < c.Size {
					yield(Entry{}, errors.Join(err, &Problem{Entry: from, File: bundlePath(number), Reason: missing(found.bad)}))
				}
				return
			}
		}
	}
}

func missing(why error) error {
	if why == nil {
		return errors.New("the entry is missing")
	}
	return why
}
