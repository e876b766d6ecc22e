package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/zeebo/blake3"
)

const (
	lockFile       = "LOCK"
	keyFile        = "key"
	nextKeyFile    = "key.next"
	checkpointFile = "checkpoint"
	cosignedDir    = "cosigned"
)

var errNotFull = errors.New("the bundle before it is not full")

// Recovery is what Open found after the newest checkpoint: what a crash leaves
// behind. It is the zero value after a Close.
type Recovery struct {
	Checkpoint uint64 // size of the tree that was signed last
	Entries    uint64 // after it, whole and kept
	// Torn bytes followed the entry before TornAt and were no record. They are
	// gone; no Append had returned their sequences.
	Torn     int64
	TornAt   uint64
	TornHash Hash  // of the torn bytes
	Reason   error // why they were none; nil if there were none
}

// Mended reports whether Open had to take something away.
func (r Recovery) Mended() bool { return r.Torn > 0 }

// Open opens the log in a directory, or makes one: with mode 0750, a key (0600)
// and the entry 0 that records the public key. It checks the key, the newest
// checkpoint, the tiles and the bundle on the tree's right edge, and reads the
// entries after the checkpoint; [Verify] checks everything.
func Open(dir string, c Config) (_ *Log, err error) {
	if c.Origin != "" {
		if err := checkOrigin(c.Origin); err != nil {
			return nil, err
		}
	}
	if _, err := verifiersOf(c.Witnesses); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, err
	}
	l := &Log{
		dir: dir, config: c.withDefaults(),
		requests: make(chan *request, queued), controls: make(chan func()), done: make(chan struct{}),
		dirs: newDirs(dir), due: time.NewTimer(time.Hour),
	}
	l.due.Stop()
	if l.lock, err = os.OpenFile(l.path(lockFile), os.O_RDWR|os.O_CREATE, fileMode); err != nil {
		return nil, err
	}
	if err := lockAlone(l.lock); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", dir, err), l.lock.Close())
	}
	if err := l.load(); err != nil {
		if l.bundle != nil {
			err = errors.Join(err, l.bundle.Close())
		}
		return nil, errors.Join(fmt.Errorf("open %s: %w", dir, err), l.lock.Close())
	}
	l.publicKey.Store(&l.key.public)
	go l.run()
	return l, nil
}

// lockAlone waits a second at most: Verify takes the lock for a moment, to see
// whether a process has it.
func lockAlone(f *os.File) error {
	for range 50 {
		if err := lock(f, false); !errors.Is(err, ErrLocked) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return ErrLocked
}

// locked reports whether a process has the log in a directory open.
func locked(dir string) bool {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false // a copy, or not ours to see
	}
	defer f.Close()
	return errors.Is(lock(f, true), ErrLocked)
}

func (l *Log) load() error {
	signed, err := readFile(l.path(checkpointFile), nil, maxNote)
	if errors.Is(err, fs.ErrNotExist) {
		return l.begin()
	} else if err != nil {
		return err
	}
	if l.key, err = readKey(l.path(keyFile)); err != nil {
		return err
	}
	if l.next, err = readKey(l.path(nextKeyFile)); errors.Is(err, fs.ErrNotExist) {
		l.next = nil
	} else if err != nil {
		return err
	}
	c, err := OpenCheckpoint(signed, l.key.public)
	if err != nil && l.next != nil {
		if c, err = OpenCheckpoint(signed, l.next.public); err == nil {
			l.key = l.next // settleKey was not reached
			err = l.settleKey()
		}
	}
	if err != nil {
		return err
	}
	if l.config.Origin != "" && l.config.Origin != c.Origin {
		return fmt.Errorf("the log is %q, not %q", c.Origin, l.config.Origin)
	}
	l.checkpoint.Store(&signedCheckpoint{c, signed})
	if err := l.checkEdge(c); err != nil {
		return err
	}
	if err := l.recover(c.Size); err != nil {
		return err
	}
	if l.next != nil && l.key != l.next { // its rotation is not in the log
		if err := removeIfThere(l.path(nextKeyFile)); err != nil {
			return err
		}
		l.next = nil
	}
	return l.writeCheckpoint()
}

// begin makes a log. Nothing is in its directory but what a begin that was
// interrupted has left.
func (l *Log) begin() error {
	if found, err := l.readBundle(0); err == nil && len(found.leaves) > 1 {
		return fmt.Errorf("%s is missing, and the log has entries", checkpointFile)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var err error
	if l.key, err = readKey(l.path(keyFile)); errors.Is(err, fs.ErrNotExist) {
		if l.key, err = newKey(l.config.Origin); err == nil {
			err = l.key.write(l.path(keyFile))
		}
	}
	if err == nil && l.config.Origin != "" && l.config.Origin != l.key.Name() {
		err = fmt.Errorf("the key is of %q, not of %q", l.key.Name(), l.config.Origin)
	}
	if err != nil {
		return err
	}
	if l.tree, err = openTree(l.dir, newDirs(l.dir), 0); err != nil {
		return err
	}
	l.checkpoint.Store(&signedCheckpoint{Checkpoint: Checkpoint{Origin: l.key.Name()}})
	first := Entry{Actor: l.config.Actor, Action: ActionKeyCreated, Subject: l.key.public}
	if err := first.check(); err != nil {
		return err
	}
	if err := l.commit([]*request{{entries: []Entry{first}}}); err != nil {
		return err
	}
	// Who may not read the directory above has not made this one in it; that of
	// /proc/self/fd/N, as which a descriptor is passed, has nothing to sync.
	if err := syncDir(filepath.Dir(l.dir)); err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return l.writeCheckpoint()
}

// checkEdge opens the tree that c signs, whose newest tiles must give its root
// and agree with the newest entries.
func (l *Log) checkEdge(c Checkpoint) error {
	var err error
	if l.tree, err = openTree(l.dir, newDirs(l.dir), c.Size); err != nil {
		return err
	}
	if root, err := l.tree.root(); err != nil {
		return err
	} else if root != c.Root {
		return fmt.Errorf("the newest tiles of %d entries have the root %s, the checkpoint says %s", c.Size, root, c.Root)
	}
	if c.Size == 0 {
		return errors.New("the checkpoint is of no entries")
	}
	number := (c.Size - 1) / bundleEntries
	found, err := l.readBundle(number)
	if err != nil {
		return err
	}
	first := number * bundleEntries
	want := int(c.Size - first)
	if len(found.leaves) < want {
		return &Problem{Entry: first + uint64(len(found.leaves)), File: bundlePath(number), Reason: missing(found.bad)}
	}
	tile, err := readTile(l.dir, 0, number, want)
	if err != nil {
		return err
	}
	for i, leaf := range tile {
		if leaf != found.leaves[i] {
			return &Problem{Entry: first + uint64(i), File: bundlePath(number), Reason: errors.New("the entry is not the one in the tree")}
		}
	}
	l.lastTime = found.last
	return nil
}

func (l *Log) readBundle(number uint64) (bundle, error) {
	b, err := readFile(l.path(bundlePath(number)), nil, maxBundle)
	if err != nil {
		return bundle{}, err
	}
	return readRecords(b, number*bundleEntries, nil)
}

// recover takes in the entries after the signed tree and cuts off what is no
// entry.
func (l *Log) recover(size uint64) error {
	l.recovery.Checkpoint = size
	for number := size / bundleEntries; ; number++ {
		name := l.path(bundlePath(number))
		b, err := readFile(name, nil, maxBundle)
		if errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
		found, err := readRecords(b, number*bundleEntries, func(v *view, leaf Hash) error {
			if v.sequence < size {
				return nil
			}
			if string(v.action) == ActionKeyRotated && l.next != nil && string(v.subject) == l.next.public {
				l.key = l.next
			}
			return l.tree.add(leaf)
		})
		if err != nil {
			return err
		}
		if len(found.leaves) > 0 {
			l.lastTime = max(l.lastTime, found.last)
		}
		if found.end < len(b) {
			l.recovery.TornAt = l.tree.size()
			l.recovery.TornHash = blake3.Sum256(b[found.end:])
			l.recovery.Reason = found.bad
		}
		if torn := int64(len(b) - found.end); torn > 0 {
			l.recovery.Torn += torn
			if err := os.Truncate(name, int64(found.end)); err != nil {
				return err
			}
		}
		if len(found.leaves) < bundleEntries {
			if err := l.resume(number, int64(found.end)); err != nil {
				return err
			}
			break
		}
		if err := l.settle(name); err != nil {
			return err
		}
	}
	l.size.Store(l.tree.size())
	l.recovery.Entries = l.tree.size() - size
	if err := l.removeAfter(l.tree.size()); err != nil {
		return err
	}
	return l.dirs.sync()
}

// settle makes a bundle durable that a killed process may not have synced: the
// next checkpoint will sign it.
func (l *Log) settle(name string) error {
	l.dirs.touch(name)
	return syncFile(name)
}

// resume goes on at the end of a bundle, which may be empty.
func (l *Log) resume(number uint64, end int64) error {
	name := l.path(bundlePath(number))
	if end == 0 {
		return removeIfThere(name)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	l.bundle, l.end = f, end
	return l.settle(name)
}

// removeAfter removes the bundles that a commit which was torn before them has
// left.
func (l *Log) removeAfter(size uint64) error {
	first := (size + bundleEntries - 1) / bundleEntries
	for number := first; number < first+commitBundles; number++ {
		name := l.path(bundlePath(number))
		b, err := readFile(name, nil, maxBundle)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		if l.recovery.Reason == nil && len(b) > 0 {
			l.recovery.TornAt, l.recovery.TornHash = size, blake3.Sum256(b)
			l.recovery.Reason = errNotFull
		}
		l.recovery.Torn += int64(len(b))
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}
