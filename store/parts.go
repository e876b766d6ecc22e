package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"daemoneye/bus/event"
	"daemoneye/store/segment"
)

// Condition is what wanted rows satisfy; see segment.Condition.
type Condition = segment.Condition

// The operators of a Condition.
const (
	Equal          = segment.Equal // one of the values
	Less           = segment.Less
	LessOrEqual    = segment.LessOrEqual
	Greater        = segment.Greater
	GreaterOrEqual = segment.GreaterOrEqual
	IsNull         = segment.IsNull
	IsNotNull      = segment.IsNotNull
)

// Scan is a read of one moment of a table, cut into parts that any number of
// goroutines may read. It must be closed: until then the files stay that it may
// read, no space comes back, and Store.Close waits.
type Scan struct {
	s     *Store
	r     ScanRequest
	want  func(string) bool // nil: all
	v     *view             // nil for a table that is state
	parts []part

	passing []bool // by column: of ScanRequest.Passing

	txn sync.Mutex // a transaction is not for several goroutines

	mu      sync.Mutex
	memory  []*memories // that no Read is using
	skipped Skipped
	damage  DamagedError
	closing sync.Once
}

// part is a segment, or waiting batches, or all of a table that is state.
type part struct {
	segment   *segmentFile
	info      *segment.Info // nil: not looked at yet
	positions []uint64
	rows      int64
}

// memories are what one goroutine reads columns into.
type memories struct {
	numbers *segment.Memory // of any column; nil: it is the caller's
	all     segment.Memory  // of those of ScanRequest.Passing
}

func (sc *Scan) borrow() *memories {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if n := len(sc.memory); n > 0 {
		m := sc.memory[n-1]
		sc.memory = sc.memory[:n-1]
		return m
	}
	m := &memories{all: segment.Memory{Texts: true}}
	if sc.r.Reuse {
		m.numbers = &segment.Memory{}
	}
	return m
}

func (sc *Scan) giveBack(m *memories) {
	m.all.Reset()
	if m.numbers != nil {
		m.numbers.Reset()
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.memory = append(sc.memory, m)
}

func (m *memories) of(passing bool) *segment.Memory {
	if passing {
		return &m.all
	}
	return m.numbers
}

// Part describes a part of a Scan.
type Part struct {
	Rows    int64  // in it, or an estimate
	Segment string // the file's name, "" when it is waiting batches
}

// Skipped counts what a Scan did not have to read, and what it did.
type Skipped struct {
	Segments    int64 // left out as a whole by time, bounds or bloom filters
	SegmentRows int64 // of them
	Batches     int64 // waiting ones, left out by time
	BatchRows   int64
	BytesRead   int64 // of segments' columns and of batches, so far
}

// What a part of waiting batches has at most, unless one batch has more.
const (
	partRows    = 1 << 14
	partBatches = 64
)

// Parts returns a consistent view of the table: batches and segments as they
// are now, each row once, whatever is appended, sealed or deleted while it is read.
// Left out is what has no row that satisfies r; what remains may have others.
func (s *Store) Parts(ctx context.Context, r ScanRequest) (*Scan, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	if r.From == 0 && r.To == 0 {
		r.From, r.To = math.MinInt64, math.MaxInt64
	}
	sc := &Scan{s: s, r: r}
	for i := range r.Table.Columns {
		sc.passing = append(sc.passing, slices.Contains(r.Passing, r.Table.Columns[i].Name))
	}
	if r.Columns != nil {
		sc.want = func(c string) bool { return slices.Contains(r.Columns, c) }
	}
	if r.Table.Kind == event.State {
		sc.parts = []part{{rows: s.stateRows(r.Table)}}
		return sc, nil
	}
	sc.v = s.snapshotView()
	err := sc.chooseSegments(ctx)
	if err == nil {
		err = sc.chooseBatches(ctx)
	}
	if err != nil {
		sc.Close()
		return nil, err
	}
	return sc, nil
}

func (s *Store) stateRows(t *event.Table) int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch t.Name {
	case "processes":
		return int64(len(s.state.rows))
	case "alerts":
		return s.count.Alerts
	case "collectors":
		return int64(len(s.collectors))
	}
	return 0
}

// within reports whether rows from least to greatest may be wanted.
func (r *ScanRequest) within(least, greatest int64) bool {
	return greatest >= r.From && (least < r.To || r.To == math.MaxInt64)
}

func (sc *Scan) chooseSegments(ctx context.Context) error {
	for _, f := range sc.v.segments {
		if f.Table != sc.r.Table.Name {
			continue
		}
		if err := sc.s.stopped(ctx); err != nil {
			return err
		}
		p := part{segment: f, rows: f.Rows}
		keep := sc.r.within(f.MinTime, f.MaxTime)
		if keep && len(sc.r.Where) > 0 {
			var err error
			if keep, err = sc.may(&p); errors.Is(err, errLost) {
				sc.lose(f, err)
				continue
			} else if err != nil {
				return err
			}
		}
		if !keep {
			sc.skipped.Segments++
			sc.skipped.SegmentRows += f.Rows
			continue
		}
		sc.parts = append(sc.parts, p)
	}
	slices.SortStableFunc(sc.parts, func(a, b part) int {
		switch {
		case a.segment.MinTime < b.segment.MinTime:
			return -1
		case a.segment.MinTime > b.segment.MinTime:
			return 1
		}
		return 0
	})
	return nil
}

// may reports whether a segment may have a row that satisfies the conditions.
func (sc *Scan) may(p *part) (bool, error) {
	t := sc.r.Table
	info, err := sc.info(p.segment)
	if err != nil {
		return false, err
	}
	if !info.May(t, sc.r.Where) {
		return false, nil
	}
	p.info = info
	if !info.HasBloom(t, sc.r.Where) {
		return true, nil
	}
	file, err := sc.s.openSegment(p.segment)
	if err != nil {
		return false, lost(p.segment, err)
	}
	defer func() { _ = file.Close() }()
	may, err := info.MayHold(file, t, sc.r.Where)
	return may, lost(p.segment, err)
}

func (sc *Scan) info(f *segmentFile) (*segment.Info, error) {
	sc.txn.Lock()
	defer sc.txn.Unlock()
	return sc.s.info(sc.v.txn, f, sc.r.Table)
}

// chooseBatches makes parts of the waiting batches, and notes which are
// missing.
func (sc *Scan) chooseBatches(ctx context.Context) error {
	gone := sc.v.gone
	next := gone.floor()
	var p part
	err := each(sc.v.txn, []byte{metaPrefix}, positionKey(metaPrefix, next), func(_ []byte, item *badger.Item) error {
		m, err := readMeta(item)
		if err != nil {
			return err
		}
		if n := gone.missing(next, m.Position-1); n > 0 {
			sc.damage.add(int64(n), 0, fmt.Errorf("batches from %d to %d are missing", next, m.Position-1))
		}
		next = m.Position + 1
		switch {
		case m.Table != sc.r.Table.Name || gone.has(m.Position):
			return nil
		case !sc.r.within(m.MinTime, m.MaxTime):
			sc.skipped.Batches++
			sc.skipped.BatchRows += int64(m.Rows)
			return nil
		}
		if len(p.positions) == partBatches || len(p.positions) > 0 && p.rows+int64(m.Rows) > partRows {
			sc.parts = append(sc.parts, p)
			p = part{}
		}
		p.positions = append(p.positions, m.Position)
		p.rows += int64(m.Rows)
		return sc.s.stopped(ctx)
	})
	if len(p.positions) > 0 {
		sc.parts = append(sc.parts, p)
	}
	return err
}

// Len returns the number of parts: segments by the time of their first row,
// then waiting batches in their order.
func (sc *Scan) Len() int { return len(sc.parts) }

// Part describes part i.
func (sc *Scan) Part(i int) Part {
	p := Part{Rows: sc.parts[i].rows}
	if f := sc.parts[i].segment; f != nil {
		p.Segment = f.Name
	}
	return p
}

// Read yields the rows of part i, a segment as one batch. Its columns are
// fetched as the batch's Fetch is called, which yield may do until it returns;
// those of other batches, of which only the wanted ones are there, are in
// place. Vectors are the caller's, unless ScanRequest.Reuse or Passing; the Dict of a
// column is one slice for all rows of a segment.
//
// An error of yield ends Read and is returned, except one that is of Fetch and
// says that rows are lost: then the part ends, and Err tells.
func (sc *Scan) Read(ctx context.Context, i int, yield func(*event.Batch) error) error {
	return sc.read(ctx, i, func(_ uint64, b *event.Batch) error { return yield(b) })
}

func (sc *Scan) read(ctx context.Context, i int, yield func(uint64, *event.Batch) error) error {
	p := &sc.parts[i]
	plain := func(b *event.Batch) error { return yield(0, b) }
	if err := sc.s.stopped(ctx); err != nil {
		return err
	}
	switch {
	case p.segment != nil:
		return sc.readSegment(p, plain)
	case p.positions != nil:
		return sc.readBatches(ctx, p, yield)
	}
	switch sc.r.Table.Name {
	case "processes":
		return sc.s.processes(ctx, plain)
	case "collectors":
		return sc.s.collectorBatches(nil, plain)
	case "alerts":
		return sc.s.alertBatches(ctx, sc.r.From, sc.r.To, plain)
	}
	return nil
}

func (sc *Scan) readSegment(p *part, yield func(*event.Batch) error) error {
	f, t := p.segment, sc.r.Table
	info := p.info
	if info == nil {
		var err error
		if info, err = sc.info(f); errors.Is(err, errLost) {
			sc.lose(f, err)
			return nil
		} else if err != nil {
			return err
		}
	}
	var file *os.File // opened by the first fetch
	defer func() {
		if file != nil {
			_ = file.Close()
		}
	}()
	memory := sc.borrow()
	defer sc.giveBack(memory)
	var failed error
	fetch := func(i int) (v *event.Vector, err error) {
		c := &info.Chunks[i]
		if c.Size == 0 {
			return nil, nil
		}
		if file == nil {
			if file, err = sc.s.openSegment(f); err != nil {
				failed = lost(f, err)
				return nil, failed
			}
		}
		v, err = sc.s.decoder.Column(memory.of(sc.passing[i]), file, c, t.Columns[i].Type, info.Rows)
		if err != nil {
			failed = lost(f, fmt.Errorf("column %q: %w", t.Columns[i].Name, err))
			return nil, failed
		}
		sc.read1(c.Size)
		return v, nil
	}
	err := yield(&event.Batch{Table: t, Rows: info.Rows, Columns: make([]*event.Vector, len(t.Columns)), Fetch: fetch})
	if failed != nil && errors.Is(failed, errLost) && (err == nil || errors.Is(err, failed)) {
		sc.lose(f, failed)
		return nil
	}
	return err
}

func (sc *Scan) read1(n int64) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.skipped.BytesRead += n
}

// lose notes that a segment can not be read, and takes it out of the way of
// later scans.
func (sc *Scan) lose(f *segmentFile, err error) {
	sc.mu.Lock()
	sc.damage.add(f.Batches, int(f.Rows), err)
	sc.mu.Unlock()
	if sc.s.readOnly {
		return
	}
	sc.s.maintain.Lock()
	defer sc.s.maintain.Unlock()
	if err := sc.s.quarantine(f, err); err != nil && sc.s.ctx.Err() == nil {
		sc.s.cfg.Log.Error(err.Error())
	}
}

func (sc *Scan) readBatches(ctx context.Context, p *part, yield func(uint64, *event.Batch) error) error {
	for _, position := range p.positions {
		if err := sc.s.stopped(ctx); err != nil {
			return err
		}
		m, b, err := sc.readBatch(position)
		if err != nil {
			sc.mu.Lock()
			sc.damage.add(1, m.Rows, err)
			sc.mu.Unlock()
			continue
		}
		sc.s.touchRead(m.Bytes)
		sc.read1(int64(m.Bytes))
		if err := yield(position, b); err != nil {
			return err
		}
	}
	return nil
}

func (sc *Scan) readBatch(position uint64) (m Meta, b *event.Batch, err error) {
	sc.txn.Lock()
	item, err := sc.v.txn.Get(positionKey(metaPrefix, position))
	if err == nil {
		m, err = readMeta(item)
	}
	sc.txn.Unlock()
	if err != nil {
		return Meta{}, nil, fmt.Errorf("meta of batch %d: %w", position, err)
	}
	b, err = readBatchLocked(&sc.txn, sc.v.txn, &m, sc.want)
	return m, b, err
}

// Skipped returns what was left out and what was read so far.
func (sc *Scan) Skipped() Skipped {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	return sc.skipped
}

// Err returns a *DamagedError when something could not be read, nil otherwise.
func (sc *Scan) Err() error {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.damage.First == nil {
		return nil
	}
	damage := sc.damage
	return &damage
}

// Close ends the scan; no Read may be under way.
func (sc *Scan) Close() {
	sc.closing.Do(func() {
		if sc.v != nil {
			sc.v.close()
		}
		sc.s.leave()
	})
}
