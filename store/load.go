package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"

	"daemoneye/bus/event"
)

func nopLog() *zap.Logger { return zap.NewNop() }

// load fills the memory from the database.
func (s *Store) load() error {
	s.state = newProcessTable(s.cfg.MaxProcesses)
	s.count.begin()
	err := s.db.View(func(txn *badger.Txn) error {
		var err error
		if err = s.loadGone(txn); err != nil {
			return err
		}
		if s.matched, err = getPosition(txn, matchedKey()); err != nil {
			return err
		}
		if err := s.loadCollectors(txn); err != nil {
			return err
		}
		if err := s.loadCatalog(txn); err != nil {
			return err
		}
		if err := s.loadMetas(txn); err != nil {
			return err
		}
		s.count.Alerts = countKeys(txn, []byte{alertPrefix})
		if s.snapshot, err = loadSnapshot(txn, s.state); err != nil {
			s.cfg.Log.Warn("the state snapshot is damaged; processes are rebuilt from events", zap.Error(err))
			s.state, s.snapshot.Position = newProcessTable(s.cfg.MaxProcesses), 0
		}
		return s.replay(txn)
	})
	if err != nil {
		return fmt.Errorf("%w: %w; %s", ErrCorrupt, err, whatToDo)
	}
	if err := s.checkSegments(); err != nil {
		return err
	}
	if s.readOnly {
		return nil
	}
	if err := s.finishDeletes(); err != nil {
		return err
	}
	return s.tightenModes()
}

func getPosition(txn *badger.Txn, key []byte) (position uint64, err error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	err = item.Value(func(data []byte) error {
		d := decoder{data: data}
		position = d.uint()
		return d.done()
	})
	return position, err
}

func (s *Store) loadCollectors(txn *badger.Txn) error {
	return each(txn, []byte{collectorPrefix}, nil, func(key []byte, item *badger.Item) error {
		return item.Value(func(data []byte) error {
			c, err := decodeCursor(data)
			if err != nil {
				return fmt.Errorf("collector %q: %w", key[1:], err)
			}
			s.collectors[string(key[1:])] = c
			s.count.Duplicates += c.Duplicates
			return nil
		})
	})
}

// loadMetas counts what is stored, notes what is missing, and tries to read
// the newest batches, which a power cut may have left half written.
func (s *Store) loadMetas(txn *badger.Txn) error {
	next := s.gone.floor()
	err := each(txn, []byte{metaPrefix}, positionKey(metaPrefix, next), func(_ []byte, item *badger.Item) error {
		m, err := readMeta(item)
		if err != nil {
			return err
		}
		if n := s.gone.missing(next, m.Position-1); n > 0 {
			s.count.damage(int64(n), fmt.Errorf("batches from %d to %d are missing", next, m.Position-1))
		}
		next = m.Position + 1
		if !s.gone.has(m.Position) {
			s.count.add(&m)
		}
		return nil
	})
	s.last = max(next-1, s.gone.last())
	if err != nil {
		return err
	}
	const verify, verifyBytes = 256, 32 << 20
	size := 0
	for p := s.last; p >= s.gone.floor() && p+verify > s.last && size < verifyBytes; p-- {
		if s.gone.has(p) {
			continue
		}
		item, err := txn.Get(positionKey(batchPrefix, p))
		if err == nil {
			err = item.Value(func(data []byte) error {
				size += len(data)
				_, _, _, err := splitRecord(data)
				return err
			})
		}
		if err != nil {
			s.count.damage(1, fmt.Errorf("batch %d: %w", p, err))
		}
	}
	return nil
}

func readMeta(item *badger.Item) (m Meta, err error) {
	position, ok := keyPosition(item.Key())
	if !ok {
		return Meta{}, fmt.Errorf("key %x is not of a batch", item.Key())
	}
	err = item.Value(func(data []byte) error {
		m, err = decodeMeta(position, data)
		return err
	})
	return m, err
}

// replay folds the batches after the snapshot into the state.
func (s *Store) replay(txn *badger.Txn) error {
	start := positionKey(metaPrefix, max(s.snapshot.Position+1, s.gone.floor()))
	return each(txn, []byte{metaPrefix}, start, func(_ []byte, item *badger.Item) error {
		m, err := readMeta(item)
		if err != nil {
			return err
		}
		if !folds(m.Table) || s.gone.has(m.Position) {
			return nil
		}
		b, err := readBatch(txn, &m, nil)
		if err != nil {
			s.count.damage(1, err)
			return nil
		}
		s.folded += s.state.fold(b)
		return nil
	})
}

// folds reports whether batches of a table change the state.
func folds(table string) bool { return table == "process_events" || table == "process_samples" }

// finishDeletes completes what a crash interrupted.
func (s *Store) finishDeletes() error {
	if err := s.deleteChunks(s.snapshot.Generation); err != nil {
		return err
	}
	var keys [][]byte
	end := s.gone.last()
	err := s.db.View(func(txn *badger.Txn) error {
		return each(txn, []byte{metaPrefix}, nil, func(key []byte, _ *badger.Item) error {
			position, _ := keyPosition(key)
			if position > end {
				return errStop
			}
			if s.gone.has(position) {
				keys = append(keys, bytes.Clone(key), positionKey(batchPrefix, position))
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return s.deleteKeys(keys)
}

// tightenModes takes from others what the umask left them.
func (s *Store) tightenModes() error {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, name := range []string{".", dbDir} {
		info, err := root.Stat(name)
		if err == nil && info.Mode().Perm()&^0o750 != 0 {
			err = root.Chmod(name, info.Mode().Perm()&0o750)
		}
		if err != nil {
			return err
		}
	}
	dir, err := root.Open(dbDir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		// Compaction may delete a table meanwhile.
		if err := root.Chmod(dbDir+"/"+name, 0o640); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

var errStop = errors.New("stop")

// each calls f for the keys with the prefix, from start on, until it returns an
// error; errStop ends it without one.
func each(txn *badger.Txn, prefix, start []byte, f func(key []byte, item *badger.Item) error) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	if start == nil {
		start = prefix
	}
	for it.Seek(start); it.Valid(); it.Next() {
		if err := f(it.Item().Key(), it.Item()); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
	}
	return nil
}

func countKeys(txn *badger.Txn, prefix []byte) (n int64) {
	_ = each(txn, prefix, nil, func([]byte, *badger.Item) error { n++; return nil })
	return n
}

func keyPosition(key []byte) (uint64, bool) {
	if len(key) != 9 {
		return 0, false
	}
	n := uint64(0)
	for _, c := range key[1:] {
		n = n<<8 | uint64(c)
	}
	return n, true
}

// readBatch reads the batch that m describes.
func readBatch(txn *badger.Txn, m *Meta, want func(string) bool) (b *event.Batch, err error) {
	return readBatchLocked(&sync.Mutex{}, txn, m, want)
}

// readBatchLocked is readBatch for a transaction that several goroutines use,
// under mu: the batch itself is read without it.
func readBatchLocked(mu *sync.Mutex, txn *badger.Txn, m *Meta, want func(string) bool) (b *event.Batch, err error) {
	mu.Lock()
	item, err := txn.Get(positionKey(batchPrefix, m.Position))
	mu.Unlock()
	if err == nil {
		err = item.Value(func(record []byte) error {
			collector, sequence, data, err := splitRecord(record)
			if err != nil {
				return err
			}
			if collector != m.Collector || sequence != m.Sequence {
				return fmt.Errorf("it is batch %d of collector %q, not batch %d of %q", sequence, collector, m.Sequence, m.Collector)
			}
			b, err = event.Decode(data, want)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("batch %d: %s", m.Position, strings.TrimSpace(err.Error()))
	}
	return b, nil
}
