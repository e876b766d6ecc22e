package ledger

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/zeebo/blake3"
)

// A part of a commit goes into one bundle.
type part struct {
	number     uint64 // of the bundle
	start, end int    // in the buffer
	file       *os.File
	at         int64 // where in the file
}

// undo is what is left of a commit that failed: bytes after the end of the
// bundle, and bundles that it made.
type undo struct {
	truncate bool
	remove   []string
}

// commit makes the entries of all requests durable, or none.
func (l *Log) commit(batch []*request) error {
	if l.broken != nil {
		return l.broken
	}
	if err := errors.Join(l.rollback(), l.tree.writeFull()); err != nil {
		return fmt.Errorf("append: %w", err)
	}
	parts, now := l.encode(batch)
	if err := l.write(parts); err != nil {
		l.drop(parts)
		return fmt.Errorf("append: %w", errors.Join(err, l.rollback()))
	}
	for _, leaf := range l.leaves {
		if err := l.tree.add(leaf); err != nil {
			l.broken = err
			return err
		}
	}
	l.keep(parts)
	l.lastTime = now
	l.commits.Add(1)
	l.size.Store(l.tree.size())
	return nil
}

// encode fills the buffer with records, and tells where they go and what time
// they bear.
func (l *Log) encode(batch []*request) ([]part, int64) {
	now := max(l.config.Now().UnixMilli(), l.lastTime)
	stamp := time.UnixMilli(now).UTC()
	if cap(l.buf) > keptBuffer {
		l.buf = nil
	}
	l.buf, l.leaves = l.buf[:0], l.leaves[:0]
	sequence := l.size.Load()
	var parts []part
	for _, r := range batch {
		r.first = sequence
		for i := range r.entries {
			e := &r.entries[i]
			e.Sequence, e.Time, e.PayloadHash = sequence, stamp, blake3.Sum256(e.Payload)
			if n := sequence / bundleEntries; len(parts) == 0 || parts[len(parts)-1].number != n {
				parts = append(parts, part{number: n, start: len(l.buf)})
			}
			var leaf Hash
			l.buf, leaf = appendRecord(l.buf, e)
			l.leaves = append(l.leaves, leaf)
			parts[len(parts)-1].end = len(l.buf)
			sequence++
		}
	}
	return parts, now
}

// write puts the parts on disk. The syncs of a commit that crosses the end of a
// bundle go together.
func (l *Log) write(parts []part) error {
	var syncs []func() error
	for i := range parts {
		p := &parts[i]
		if p.file, p.at = l.bundle, l.end; i > 0 || p.file == nil {
			name := l.path(bundlePath(p.number))
			l.undo.remove = append(l.undo.remove, name)
			f, err := l.dirs.create(name)
			if err != nil {
				return err
			}
			p.file, p.at = f, 0
		} else {
			l.undo.truncate = true
		}
		if _, err := p.file.WriteAt(l.buf[p.start:p.end], p.at); err != nil {
			return err
		}
		syncs = append(syncs, func() error { return syncData(p.file) })
	}
	if err := together(append(syncs, l.dirs.syncs()...)); err != nil {
		if !diskFull(err) {
			l.broken = fmt.Errorf("the ledger must be opened again: %w", err)
		}
		return err
	}
	l.dirs.forget()
	return nil
}

// keep goes on in the last bundle that was written.
func (l *Log) keep(parts []part) {
	l.undo = undo{}
	for i := range parts {
		p := &parts[i]
		if p.file != l.bundle && l.bundle != nil {
			_ = l.bundle.Close() // all of it is synced
		}
		l.bundle, l.end = p.file, p.at+int64(p.end-p.start)
	}
	if l.tree.size()%bundleEntries == 0 {
		_ = l.bundle.Close()
		l.bundle, l.end = nil, 0
	}
}

// drop closes the bundles that a failed commit made.
func (l *Log) drop(parts []part) {
	for _, p := range parts {
		if p.file != nil && p.file != l.bundle {
			_ = p.file.Close() // it goes
		}
	}
}

// rollback removes what a failed commit has left.
func (l *Log) rollback() error {
	for _, name := range slices.Backward(l.undo.remove) {
		if err := removeIfThere(name); err != nil {
			return err
		}
	}
	l.undo.remove = nil
	if l.undo.truncate {
		if err := l.bundle.Truncate(l.end); err != nil {
			return err
		}
		l.undo.truncate = false
	}
	return nil
}

// writeCheckpoint signs the tree as it is, if it has grown since the last one.
func (l *Log) writeCheckpoint() error {
	if l.size.Load() == l.checkpoint.Load().Size {
		return nil
	}
	if l.broken != nil {
		return l.broken
	}
	if err := l.tree.sync(); err != nil {
		return fmt.Errorf("write tiles: %w", err)
	}
	root, err := l.tree.root()
	if err != nil {
		return err
	}
	c := Checkpoint{l.key.Name(), l.tree.size(), root}
	signed, err := l.key.sign(c)
	if err != nil {
		return err
	}
	if err := replace(l.path(checkpointFile), signed, fileMode); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	l.checkpoint.Store(&signedCheckpoint{c, signed})
	if l.config.OnCheckpoint != nil {
		l.config.OnCheckpoint(slices.Clone(signed))
	}
	return l.settleKey()
}

// settleKey makes the file of the new key that of the key, once a checkpoint
// bears its signature.
func (l *Log) settleKey() error {
	if l.next == nil {
		return nil
	}
	if err := os.Rename(l.path(nextKeyFile), l.path(keyFile)); err != nil {
		return err
	}
	l.next = nil
	return syncDir(l.dir)
}
