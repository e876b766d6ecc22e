package sql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"daemoneye/bus/event"
)

// Matching is one batch to which queries that stream are applied. They share
// what is made of its columns. One goroutine uses it.
type Matching struct {
	batch   *event.Batch
	now     time.Time
	columns []*vector // by position in Table.Columns; nil: not wrapped yet
	env     *env      // nil until a query is applied
}

// NewMatching returns a Matching of a batch, which must not change while it is
// in use, at the time now.
func NewMatching(b *event.Batch, now time.Time) *Matching {
	return &Matching{batch: b, now: now}
}

// Match applies a query that streams to one batch of its table: rows are the
// positions in b that match, out what the query selects for exactly these. It
// may be called by several goroutines at once.
func (q *Query) Match(b *event.Batch, now time.Time) (rows []int, out *Rows, err error) {
	return q.MatchRows(NewMatching(b, now), nil)
}

// MatchRows is Match for some rows of a batch, in ascending order; nil: all.
func (q *Query) MatchRows(m *Matching, some []int32) (rows []int, out *Rows, err error) {
	p := q.simple
	if p == nil {
		return nil, nil, errors.New("match: the query does not stream")
	}
	if m.batch.Table != p.scan.table {
		return nil, nil, fmt.Errorf("match: the query reads %s, the batch is of %s", p.scan.table.Name, m.batch.Table.Name)
	}
	few, c, err := m.filter(p.scan, p.filter, some)
	if err != nil {
		return nil, nil, q.located(err)
	}
	none := &Rows{columns: q.columns, chunk: &chunk{cols: make([]*vector, len(q.columns))}}
	if c.len() == 0 {
		return nil, none, nil
	}
	rows = make([]int, c.len())
	for k := range rows {
		rows[k] = c.row(k)
		if few {
			rows[k] = int(some[rows[k]])
		}
	}
	c, err = projectChunk(m.env, c, p.project)
	if err != nil {
		return nil, nil, q.located(err)
	}
	return rows, &Rows{columns: q.columns, chunk: c}, nil
}

// filter returns those of some rows of the batch, nil: of all, for which cond
// is true, nil: all. When they are few the chunk has only these, and its rows
// are positions in some.
func (m *Matching) filter(s *scanNode, cond expr, some []int32) (few bool, c *chunk, err error) {
	if m.env == nil {
		m.env, m.columns = newEnv(context.Background(), nil, Options{Now: m.now}), make([]*vector, len(m.batch.Columns))
	}
	c, err = m.chunk(s, some)
	if err != nil || c.len() == 0 {
		return false, c, err
	}
	x := m.env
	x.scratch, x.memoized = 0, 0
	clear(x.memos) // what is remembered of a query is of no use to the next
	if few = some != nil && len(some) <= c.n/8; few {
		c = c.dense() // what is computed has a value for each row
	}
	if cond != nil {
		c, err = filterChunk(x, c, cond)
	}
	return few, c, err
}

// chunk has these rows of the columns that the scan reads.
func (m *Matching) chunk(s *scanNode, some []int32) (*chunk, error) {
	if m.batch.Fetch != nil {
		c, err := s.chunk(m.batch)
		if err == nil {
			c.sel = some
		}
		return c, err
	}
	c := &chunk{n: m.batch.Rows, sel: some, cols: make([]*vector, len(s.columns))}
	for k, i := range s.columns {
		if m.columns[i] == nil {
			v, err := fromEvent(m.batch.Columns[i], typeOf(s.table.Columns[i].Type))
			if err != nil {
				return nil, err
			}
			m.columns[i] = v
		}
		c.cols[k] = m.columns[i]
	}
	return c, nil
}
