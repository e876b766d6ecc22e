package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/note"
)

// Checkpoint returns a signed checkpoint of all entries that are on disk.
func (l *Log) Checkpoint(ctx context.Context) ([]byte, error) {
	var signed []byte
	err := l.do(ctx, func() error {
		if err := l.sign(); err != nil {
			return err
		}
		signed = slices.Clone(l.checkpoint.Load().note)
		return nil
	})
	return signed, err
}

// RotateKey makes a new key, records it in an entry that both keys sign, and
// signs checkpoints with it from then on. The old private key is gone.
func (l *Log) RotateKey(ctx context.Context) (publicKey string, err error) {
	err = l.do(ctx, func() error {
		if l.next != nil {
			// The rotation before is not done: its checkpoint or the file of
			// its key could not be written.
			if err := l.sign(); err != nil {
				return err
			}
			if err := l.settleKey(); err != nil {
				return err
			}
		}
		next, err := newKey(l.key.Name())
		if err != nil {
			return err
		}
		e, err := l.key.rotation(l.config.Actor, l.size.Load(), next)
		if err != nil {
			return err
		}
		if err := next.write(l.path(nextKeyFile)); err != nil {
			return err
		}
		if err := l.commit([]*request{{entries: []Entry{e}}}); err != nil {
			return errors.Join(err, removeIfThere(l.path(nextKeyFile)))
		}
		l.key, l.next = next, next
		l.publicKey.Store(&next.public)
		publicKey = next.public
		_ = l.sign() // tried again, and Stats tells: the key is in force
		return nil
	})
	return publicKey, err
}

// AddCosignature keeps a checkpoint of this log that witnesses have cosigned.
// It must bear the signature of the key in force, a root that the log had, and
// at least one cosignature by a witness of the configuration; others are
// dropped.
func (l *Log) AddCosignature(ctx context.Context, signed []byte) error {
	return l.do(ctx, func() error {
		c, n, err := readNote(signed, append([]string{l.key.public}, l.config.Witnesses...))
		if err != nil {
			return err
		}
		isOurs := func(s note.Signature) bool { return s.Name == l.key.Name() && s.Hash == l.key.KeyHash() }
		if c.Origin != l.key.Name() || !slices.ContainsFunc(n.Sigs, isOurs) {
			return fmt.Errorf("the checkpoint is not signed by this log's key in force, %s", l.key.public)
		}
		if len(n.Sigs) < 2 {
			return errors.New("the checkpoint has no cosignature by a known witness")
		}
		newest := l.checkpoint.Load()
		if c.Size > newest.Size {
			return fmt.Errorf("the checkpoint is of %d entries, the newest of the log of %d", c.Size, newest.Size)
		}
		root, err := newNodes(l.dir, newest.Size).root(c.Size)
		if err != nil {
			return err
		}
		if root != c.Root {
			return fmt.Errorf("the checkpoint has the root %s, the log had %s at %d entries", c.Root, root, c.Size)
		}
		return l.keepCosigned(c, n)
	})
}

// keepCosigned adds n's signatures to those that are kept for its size.
func (l *Log) keepCosigned(c Checkpoint, n *note.Note) error {
	n = &note.Note{Text: n.Text, Sigs: n.Sigs}
	if err := l.dirs.mkdir(l.path(cosignedDir)); err != nil {
		return err
	}
	name := l.path(cosignedDir + "/" + strconv.FormatUint(c.Size, 10))
	if kept, err := readFile(name, nil, maxNote); err == nil {
		_, old, err := readNote(kept, append([]string{l.key.public}, l.config.Witnesses...))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, s := range append(old.Sigs, old.UnverifiedSigs...) {
			if !slices.ContainsFunc(n.Sigs, func(t note.Signature) bool { return s.Name == t.Name && s.Hash == t.Hash }) {
				n.Sigs = append(n.Sigs, s)
			}
		}
	}
	text, err := note.Sign(n)
	if err != nil {
		return err
	}
	if err := replace(name, text, fileMode); err != nil {
		return err
	}
	return l.dirs.sync()
}
