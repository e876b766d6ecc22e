package store

import (
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"time"
)

// Stats is what the store holds and has done. Counts of what was deleted or
// discarded are since Open, Duplicates of all known collectors.
type Stats struct {
	Bytes        int64 // on disk
	Batches      int64
	Rows         map[string]int64 // by table
	Oldest       time.Time        // of the times in batches; zero when there are none
	Newest       time.Time
	Position     uint64 // of the newest batch
	Matched      uint64 // up to which rules have run
	Alerts       int64
	Processes    int
	Excess       int64 // processes that did not fit in Config.MaxProcesses
	Duplicates   int64
	Deleted      Deleted
	Segments     map[string]SegmentStats // by table
	Sealed       Sealed                  // since Open
	SealError    string                  // of the last attempt to seal, "" when it succeeded
	Quarantined  int64                   // segments in quarantine; retention deletes them in time
	Damaged      int64                   // batches found missing or unreadable since Open
	FirstDamage  string                  // what was found first, "" when nothing
	LastSync     time.Time
	LastSyncFail string // error of the last sync, "" when it succeeded
}

// SegmentStats counts the segments of a table.
type SegmentStats struct {
	Segments, Rows, Bytes int64
}

// Deleted counts what retention has deleted.
type Deleted struct {
	Batches, Rows, Alerts, Segments int64
}

// counters are guarded by Store.mu.
type counters struct {
	Batches, Duplicates, Alerts, Damaged int64
	FirstDamage                          error
	Deleted                              Deleted
	Sealed                               Sealed
	rows, waiting                        map[string]int64 // by table; waiting are those that are not sealed
	segments                             map[string]SegmentStats
	oldest, newest                       int64 // µs; 0, 0 when unknown
}

func (c *counters) begin() {
	c.rows, c.waiting, c.segments = map[string]int64{}, map[string]int64{}, map[string]SegmentStats{}
}

func (c *counters) add(m *Meta) {
	c.Batches++
	c.rows[m.Table] += int64(m.Rows)
	c.wait(m, 1)
	c.times(m.MinTime, m.MaxTime)
}

func (c *counters) times(least, greatest int64) {
	if least == math.MinInt64 {
		return
	}
	if c.oldest == 0 || least < c.oldest {
		c.oldest = least
	}
	c.newest = max(c.newest, greatest)
}

func (c *counters) remove(m *Meta) {
	c.Batches--
	c.rows[m.Table] -= int64(m.Rows)
	c.wait(m, -1)
	c.Deleted.Batches++
	c.Deleted.Rows += int64(m.Rows)
}

// wait counts the rows that are not sealed; n is 1 or -1.
func (c *counters) wait(m *Meta, n int64) { c.waiting[m.Table] += n * int64(m.Rows) }

// segment counts a segment's file; n is 1 or -1.
func (c *counters) segment(f *segmentFile, n int64) {
	st := c.segments[f.Table]
	st.Segments += n
	st.Rows += n * f.Rows
	st.Bytes += n * f.Bytes
	c.segments[f.Table] = st
	if n > 0 {
		c.times(f.MinTime, f.MaxTime)
	}
}

// addSegment counts a segment and its rows, which were no batches before.
func (c *counters) addSegment(f *segmentFile) {
	c.segment(f, 1)
	c.Batches += f.Batches
	c.rows[f.Table] += f.Rows
}

// lose counts rows that can not be read any more.
func (c *counters) lose(batches, rows int64, table string, err error) {
	c.Batches -= batches
	c.rows[table] -= rows
	c.damage(batches, err)
}

func (c *counters) damage(batches int64, err error) {
	c.Damaged += batches
	if c.FirstDamage == nil {
		c.FirstDamage = err
	}
}

// Stats returns the present figures.
func (s *Store) Stats() (Stats, error) {
	if err := s.enter(); err != nil {
		return Stats{}, err
	}
	defer s.leave()
	size, err := s.diskUse()
	if err != nil {
		return Stats{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := Stats{
		Bytes: size, Batches: s.count.Batches, Rows: maps.Clone(s.count.rows),
		Position: s.last, Matched: s.matched, Alerts: s.count.Alerts,
		Processes: len(s.state.rows), Excess: s.state.excess,
		Duplicates: s.count.Duplicates, Deleted: s.count.Deleted,
		Damaged: s.count.Damaged, LastSync: s.synced, Segments: maps.Clone(s.count.segments), Sealed: s.count.Sealed,
	}
	for _, l := range s.losses {
		if l.File != "" {
			st.Quarantined++
		}
	}
	if s.sealErr != nil {
		st.SealError = s.sealErr.Error()
	}
	if s.count.Batches > 0 && s.count.oldest != 0 {
		st.Oldest, st.Newest = time.UnixMicro(s.count.oldest).UTC(), time.UnixMicro(s.count.newest).UTC()
	}
	if s.count.FirstDamage != nil {
		st.FirstDamage = s.count.FirstDamage.Error()
	}
	if s.syncErr != nil {
		st.LastSyncFail = s.syncErr.Error()
	}
	return st, nil
}

// diskUse returns the bytes that the store's files take on the disk.
func (s *Store) diskUse() (total int64, err error) {
	err = filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			var n int64
			n, err = allocated(path)
			total += n
		}
		// Compaction deletes files while we look.
		if isNotExist(err) {
			return nil
		}
		return err
	})
	return total, err
}
