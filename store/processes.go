package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"daemoneye/bus/event"
)

// stateChunk is the number of rows in a batch of processes.
const stateChunk = 1000

// Processes yields the present processes by pid, as one moment had them, in
// batches of the processes table.
func (s *Store) Processes(ctx context.Context, yield func(*event.Batch) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.processes(ctx, yield)
}

func (s *Store) processes(ctx context.Context, yield func(*event.Batch) error) error {
	rows := s.processRows()
	slices.SortFunc(rows, func(a, b process) int { return cmp.Compare(a.pid, b.pid) })
	d := newRowDecoder(&s.state.events)
	for i := range rows {
		d.add(&rows[i])
		if d.b.Rows() == stateChunk || i == len(rows)-1 {
			if err := s.stopped(ctx); err != nil {
				return err
			}
			if err := yield(d.b.Batch()); err != nil {
				return err
			}
		}
	}
	return nil
}

// processRows copies the rows, whose parts never change.
func (s *Store) processRows() []process {
	s.mu.RLock()
	defer s.mu.RUnlock()
	rows := make([]process, 0, len(s.state.rows))
	for _, p := range s.state.rows {
		rows = append(rows, *p)
	}
	return rows
}

// Process returns the process as a batch of processes with one row, or
// ErrNotFound when it is not alive.
func (s *Store) Process(entityID string) (*event.Batch, error) {
	return s.oneProcess(func() *process { return s.state.rows[entityID] })
}

// ProcessByPID is as Process, for the living process with that pid.
func (s *Store) ProcessByPID(pid int32) (*event.Batch, error) {
	return s.oneProcess(func() *process { return s.state.pids[pid] })
}

func (s *Store) oneProcess(find func() *process) (*event.Batch, error) {
	s.mu.RLock()
	p := find()
	var row process
	if p != nil {
		row = *p
	}
	s.mu.RUnlock()
	if p == nil {
		return nil, ErrNotFound
	}
	d := newRowDecoder(&s.state.events)
	d.add(&row)
	return d.b.Batch(), nil
}

// A snapshot is due when replaying the batches since the last one would take
// about a second, or twice the work of writing one.
const minSnapshotRows = 200_000

func (s *Store) snapshotIfDue() error {
	s.mu.RLock()
	due := s.folded >= max(minSnapshotRows, 4*len(s.state.rows))
	s.mu.RUnlock()
	if !due {
		return nil
	}
	return s.writeSnapshot()
}

// writeSnapshot stores the state under a new generation, makes that the valid
// one, and deletes the old. Only one writer may call it at a time.
func (s *Store) writeSnapshot() error {
	s.mu.RLock()
	old := s.snapshot
	h := snapshotHeader{Generation: old.Generation + 1, Position: s.last, Excess: s.state.excess}
	s.mu.RUnlock()
	rows := s.processRows()
	d := newRowDecoder(&s.state.events)
	for i := range rows {
		d.add(&rows[i])
		if d.b.Rows() < stateChunk && i < len(rows)-1 {
			continue
		}
		value := event.Encode([]byte{snapshotVersion}, d.b.Batch())
		if err := s.set(chunkKey(h.Generation, h.Chunks), value); err != nil {
			return fmt.Errorf("write state snapshot: %w", err)
		}
		h.Chunks++
	}
	if err := s.set(snapshotKey(), h.encode()); err != nil {
		return fmt.Errorf("write state snapshot: %w", err)
	}
	s.mu.Lock()
	s.snapshot, s.folded, s.dirty = h, 0, true
	s.mu.Unlock()
	return s.deleteChunks(h.Generation)
}

func (s *Store) set(key, value []byte) error {
	if err := s.checkSpace(int64(len(value))); err != nil {
		return err
	}
	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	if err := txn.Set(key, value); err != nil {
		return err
	}
	return commit(txn)
}

// deleteChunks deletes the chunks of all generations but keep.
func (s *Store) deleteChunks(keep uint64) error {
	var keys [][]byte
	err := s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{chunkPrefix}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key := it.Item().KeyCopy(nil)
			if len(key) != 17 || binary.BigEndian.Uint64(key[1:]) != keep {
				keys = append(keys, key)
			}
		}
		return nil
	})
	if err == nil {
		err = s.deleteKeys(keys)
	}
	if err != nil {
		return fmt.Errorf("delete old state snapshot: %w", err)
	}
	return nil
}

// deleteKeys deletes in transactions of bounded size.
func (s *Store) deleteKeys(keys [][]byte) error {
	for chunk := range slices.Chunk(keys, 64) {
		txn := s.db.NewTransaction(true)
		for _, key := range chunk {
			if err := txn.Delete(key); err != nil {
				txn.Discard()
				return err
			}
		}
		if err := commit(txn); err != nil {
			return err
		}
	}
	return nil
}

// loadSnapshot reads the state snapshot into t.
func loadSnapshot(txn *badger.Txn, t *processTable) (snapshotHeader, error) {
	item, err := txn.Get(snapshotKey())
	if errors.Is(err, badger.ErrKeyNotFound) {
		return snapshotHeader{}, nil
	}
	if err != nil {
		return snapshotHeader{}, err
	}
	var h snapshotHeader
	if err := item.Value(func(data []byte) (err error) {
		h, err = decodeSnapshotHeader(data)
		return err
	}); err != nil {
		return snapshotHeader{}, err
	}
	t.excess = h.Excess
	for chunk := range h.Chunks {
		item, err := txn.Get(chunkKey(h.Generation, chunk))
		if err == nil {
			err = item.Value(func(data []byte) error { return loadChunk(t, data) })
		}
		if err != nil {
			return h, fmt.Errorf("state snapshot %d, chunk %d: %w", h.Generation, chunk, err)
		}
	}
	return h, nil
}

func loadChunk(t *processTable, data []byte) error {
	d := decoder{data: data}
	d.version(snapshotVersion)
	if d.err != nil {
		return d.err
	}
	b, err := event.Decode(d.data, nil)
	if err != nil {
		return err
	}
	if b.Table.Name != "processes" {
		return fmt.Errorf("rows of %s, want processes", b.Table.Name)
	}
	m := newColumnMap(b.Table)
	enc := newRowEncoder(&m, b)
	entity, pid := b.Column("entity_id"), b.Column("pid")
	for i := range b.Rows {
		if entity.IsNull(i) || pid.IsNull(i) {
			continue
		}
		p := enc.row(i)
		p.pid = int32(pid.Ints[i])
		t.put(p)
	}
	return nil
}
