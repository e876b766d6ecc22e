package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/dgraph-io/badger/v4"

	"daemoneye/bus/event"
)

// AgentCollector is the collector of batches that the agent itself makes.
const AgentCollector = "agent"

// Limits of one batch.
const (
	MaxBatchBytes     = 4 << 20
	maxCollectorBytes = 128
)

// Batch is a batch to append.
type Batch struct {
	Collector string // unique for one start of one collector
	Sequence  uint64 // 1, 2, 3… within the collector
	Data      []byte // as event.Encode makes it
}

// Result says what became of one Batch.
type Result struct {
	Position  uint64       // its number in the store; 0 for a duplicate
	Duplicate bool         // it, or a later one of its collector, was stored before; nothing changed
	Missing   uint64       // sequence numbers between the collector's batch before and this one
	Batch     *event.Batch // the decoded batch; nil for a duplicate
}

// InvalidError is the error of Append for a batch that can not be stored. It
// is ErrInvalid for errors.Is.
type InvalidError struct {
	Index int // in the list given to Append
	Batch Batch
	Err   error
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("batch %d of collector %q: %v", e.Batch.Sequence, e.Batch.Collector, e.Err)
}

func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }
func (e *InvalidError) Unwrap() error        { return e.Err }

// incoming is a batch on its way into the store.
type incoming struct {
	meta   Meta
	record []byte
	batch  *event.Batch
	result *Result
}

// Append stores batches in order and returns what became of each. When it
// returns without error they are acknowledged: they survive the death of the
// process at once and a power cut after the next sync. After an error the
// caller sends the same batches again; those that were stored are then
// duplicates. An invalid batch refuses the whole call with *InvalidError.
func (s *Store) Append(ctx context.Context, batches []Batch) ([]Result, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	results := make([]Result, len(batches))
	list := make([]incoming, len(batches))
	total := int64(0)
	for i, b := range batches {
		in, err := prepare(b)
		if err != nil {
			return nil, &InvalidError{Index: i, Batch: b, Err: err}
		}
		list[i], list[i].result = in, &results[i]
		total += int64(len(b.Data))
	}
	if err := s.acquire(ctx); err != nil {
		return nil, err
	}
	defer s.release()
	if err := s.checkSpace(total); err != nil {
		return nil, err
	}
	for len(list) > 0 {
		n, err := s.appendSome(list)
		if err != nil {
			return nil, fmt.Errorf("append to store %q: %w", s.dir, err)
		}
		list = list[n:]
	}
	if err := s.snapshotIfDue(); err != nil {
		return nil, err
	}
	return results, nil
}

// prepare validates b and makes everything that does not depend on the
// store's state.
func prepare(b Batch) (incoming, error) {
	switch {
	case b.Collector == "" || len(b.Collector) > maxCollectorBytes || !utf8.ValidString(b.Collector):
		return incoming{}, fmt.Errorf("collector id of %d bytes, want 1 to %d of UTF-8", len(b.Collector), maxCollectorBytes)
	case b.Sequence == 0:
		return incoming{}, errors.New("sequence number 0, the first is 1")
	case len(b.Data) > MaxBatchBytes:
		return incoming{}, fmt.Errorf("%d bytes, the limit is %d", len(b.Data), MaxBatchBytes)
	}
	batch, err := event.Decode(b.Data, nil)
	if err != nil {
		return incoming{}, err
	}
	in := incoming{batch: batch, meta: Meta{
		Table: batch.Table.Name, Rows: batch.Rows, Bytes: len(b.Data),
		MinTime: math.MinInt64, MaxTime: math.MaxInt64,
		Collector: b.Collector, Sequence: b.Sequence,
	}}
	if least, greatest, ok := batch.TimeRange(); ok {
		in.meta.MinTime, in.meta.MaxTime = least, greatest
	}
	size := 1 + 10 + len(b.Collector) + 10 + len(b.Data)
	in.record = appendRecord(make([]byte, 0, size), b.Collector, b.Sequence, b.Data)
	return in, nil
}

// What one transaction takes. Badger bounds the entries of a transaction, and
// what of it stays in the LSM tree, by the size of the memtable.
const (
	maxUnits    = 32
	maxTxnBytes = 8 << 20
)

// appendSome stores the first batches of list in one transaction and returns
// how many these were, duplicates included.
func (s *Store) appendSome(list []incoming) (int, error) {
	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	touched := map[string]*cursor{}
	duplicates := map[string]int64{}
	var stored []*incoming
	position, now := s.last, s.cfg.Now().UnixMicro()
	n, units, inline, size := 0, 0, int64(0), 0
	budget := s.db.MaxBatchSize() / 2 // the other half is for the cursors
	for ; n < len(list) && units < maxUnits && size < maxTxnBytes && inline < budget-2*valueThreshold; n++ {
		in := &list[n]
		c := touched[in.meta.Collector]
		if c == nil {
			c = s.cursorCopy(in.meta.Collector, now)
		}
		if in.meta.Sequence <= c.Sequence {
			in.result.Duplicate = true
			duplicates[in.meta.Collector]++
			continue
		}
		touched[in.meta.Collector] = c
		in.result.Missing = in.meta.Sequence - c.Sequence - 1
		c.Missing += int64(in.result.Missing)
		c.Sequence = in.meta.Sequence
		c.Batches++
		c.Rows += int64(in.meta.Rows)
		c.LastSeen = now
		position++
		in.meta.Position, in.meta.Received = position, now
		meta := in.meta.encode()
		if err := errors.Join(
			txn.Set(positionKey(batchPrefix, position), in.record),
			txn.Set(positionKey(metaPrefix, position), meta),
		); err != nil {
			return 0, err
		}
		stored = append(stored, in)
		units++
		size += len(in.record)
		inline += int64(len(meta) + 64)
		if len(in.record) < valueThreshold {
			inline += int64(len(in.record))
		}
	}
	for id, c := range touched {
		if err := txn.Set(stringKey(collectorPrefix, id), c.encode()); err != nil {
			return 0, err
		}
	}
	if len(stored) > 0 {
		if err := commit(txn); err != nil {
			return 0, err
		}
	}
	s.appended(stored, touched, duplicates)
	s.touch(size)
	return n, nil
}

// appended makes the memory follow a committed transaction.
func (s *Store) appended(stored []*incoming, touched map[string]*cursor, duplicates map[string]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, c := range touched {
		s.collectors[id] = c
	}
	for id, n := range duplicates {
		if c := s.collectors[id]; c != nil {
			c.Duplicates += n
		}
		s.count.Duplicates += n
	}
	for _, in := range stored {
		in.result.Position, in.result.Batch = in.meta.Position, in.batch
		s.last = in.meta.Position
		s.count.add(&in.meta)
		s.folded += s.state.fold(in.batch)
		s.dirty = true
		if s.cfg.SealRows > 0 && s.count.waiting[in.meta.Table] >= int64(s.cfg.SealRows) {
			select {
			case s.kick <- struct{}{}:
			default:
			}
		}
	}
}

// cursorCopy returns a copy of the collector's cursor, or a new one.
func (s *Store) cursorCopy(id string, now int64) *cursor {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if c := s.collectors[id]; c != nil {
		copied := *c
		return &copied
	}
	return &cursor{FirstSeen: now, LastSeen: now}
}

func commit(txn *badger.Txn) error {
	err := txn.Commit()
	if errors.Is(err, badger.ErrBlockedWrites) || errors.Is(err, badger.ErrDBClosed) {
		return ErrClosed
	}
	return err
}

// TempRoom is how many bytes temporary files may still take: appends go on
// beside them.
func (s *Store) TempRoom() int64 {
	free, err := freeSpace(s.dir)
	if s.cfg.MinFree < 0 || err != nil {
		return math.MaxInt64
	}
	return free - s.cfg.MinFree/2*3
}

// checkSpace refuses a write that would leave less than MinFree on the disk.
// Badger writes through memory maps, where the kernel answers a full disk by
// killing the process; so the answer must be known before.
func (s *Store) checkSpace(size int64) error {
	if s.cfg.MinFree < 0 {
		return nil
	}
	free, err := freeSpace(s.dir)
	if err != nil {
		return fmt.Errorf("free space of %q: %w", s.dir, err)
	}
	if free < s.cfg.MinFree+2*size {
		return fmt.Errorf("append to store %q: %w: %.1f MiB are free, %d must remain", s.dir, ErrDiskFull, float64(free)/(1<<20), s.cfg.MinFree>>20)
	}
	return nil
}
