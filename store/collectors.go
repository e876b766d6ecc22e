package store

import (
	"context"
	"maps"
	"slices"
	"time"

	"daemoneye/bus/event"
)

// Collector is what the store knows of one collector.
type Collector struct {
	ID         string
	PID        int64
	UID        int64
	Source     string
	Sequence   uint64 // of its last stored batch
	Batches    int64  // stored
	Rows       int64  // stored
	Duplicates int64  // batches that came again after they were stored
	Missing    int64  // batches that never came, though a later one did
	Dropped    int64  // rows that it could not keep, as it says
	FirstSeen  time.Time
	LastSeen   time.Time
}

// PutCollector registers a collector or notes that it is still there. PID,
// UID, Source and Dropped are taken from c, LastSeen is now.
func (s *Store) PutCollector(ctx context.Context, c Collector) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	if err := checkOpenSpace(s.dir); err != nil {
		return err
	}
	now := s.cfg.Now().UnixMicro()
	cur := s.cursorCopy(c.ID, now)
	cur.PID, cur.UID, cur.Source, cur.Dropped, cur.LastSeen = c.PID, c.UID, c.Source, c.Dropped, now
	if err := s.set(stringKey(collectorPrefix, c.ID), cur.encode()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.collectors[c.ID], s.dirty = cur, true
	return nil
}

// Collectors returns all collectors that retention has kept, by the time they
// were first seen.
func (s *Store) Collectors() []Collector {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Collector, 0, len(s.collectors))
	for id, c := range s.collectors {
		list = append(list, Collector{
			ID: id, PID: c.PID, UID: c.UID, Source: c.Source, Sequence: c.Sequence,
			Batches: c.Batches, Rows: c.Rows, Duplicates: c.Duplicates, Missing: c.Missing, Dropped: c.Dropped,
			FirstSeen: time.UnixMicro(c.FirstSeen).UTC(), LastSeen: time.UnixMicro(c.LastSeen).UTC(),
		})
	}
	slices.SortFunc(list, func(a, b Collector) int {
		if c := a.FirstSeen.Compare(b.FirstSeen); c != 0 {
			return c
		}
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return list
}

// CollectorRows yields the collectors as rows of the collectors table, those
// whose id is in connected as connected.
func (s *Store) CollectorRows(connected map[string]bool, yield func(*event.Batch) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.collectorBatches(connected, yield)
}

func (s *Store) collectorBatches(connected map[string]bool, yield func(*event.Batch) error) error {
	b := event.NewBuilder(event.Lookup("collectors"))
	for chunk := range slices.Chunk(s.Collectors(), stateChunk) {
		for _, c := range chunk {
			if c.ID == AgentCollector {
				continue // its batches are numbered like a collector's, but it is none
			}
			b.Column("collector_id").Text(c.ID)
			b.Column("pid").Int(c.PID)
			b.Column("user_id").Int(c.UID)
			b.Column("source").Text(c.Source)
			b.Column("connected").Bool(connected[c.ID])
			b.Column("first_seen").Time(c.FirstSeen)
			b.Column("last_seen").Time(c.LastSeen)
			b.Column("sequence").Int(int64(c.Sequence))
			b.Column("batches").Int(c.Batches)
			b.Column("rows").Int(c.Rows)
			b.Column("duplicates").Int(c.Duplicates)
			b.Column("dropped").Int(c.Dropped)
			b.EndRow()
		}
		if err := yield(b.Batch()); err != nil {
			return err
		}
	}
	return nil
}

// maxCollectors bounds the cursors kept. A collector's id lives as long as its
// process, so cursors of old ones are of use only as history.
const maxCollectors = 1024

// pruneCollectors deletes the cursors of collectors not seen since cutoff, and
// the oldest beyond maxCollectors. The writer calls it.
func (s *Store) pruneCollectors(cutoff int64) error {
	s.mu.RLock()
	ids := slices.SortedFunc(maps.Keys(s.collectors), func(a, b string) int {
		return int(s.collectors[b].LastSeen>>20) - int(s.collectors[a].LastSeen>>20)
	})
	kept := 0
	for kept < min(len(ids), maxCollectors) && s.collectors[ids[kept]].LastSeen >= cutoff {
		kept++
	}
	s.mu.RUnlock()
	keys := make([][]byte, 0, len(ids)-kept)
	for _, id := range ids[kept:] {
		keys = append(keys, stringKey(collectorPrefix, id))
	}
	if err := s.deleteKeys(keys); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids[kept:] {
		delete(s.collectors, id)
	}
	return nil
}
