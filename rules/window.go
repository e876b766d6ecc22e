package rules

import (
	"context"
	"math"
	"slices"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// Windowed returns src as the rule sees it at now: without the rows of stream
// tables that are older than its Lookback.
func (r *Rule) Windowed(src sql.Source, now time.Time) sql.Source {
	w := r.windowed(src, now)
	if e, ok := src.(sql.Estimator); ok {
		return &estimated{w, e}
	}
	return w
}

func (r *Rule) windowed(src sql.Source, now time.Time) *windowed {
	w := &windowed{src: src, from: make(map[string]int64), to: math.MaxInt64}
	for _, table := range r.Tables {
		w.from[table] = r.Lookback(table, now)
	}
	return w
}

// estimated is a windowed source that can estimate.
type estimated struct {
	*windowed
	src sql.Estimator
}

// windowed yields only rows whose time (µs) is not before its table's, and
// before to.
type windowed struct {
	src  sql.Source
	from map[string]int64
	to   int64
}

// narrow bounds a request; less tells that it has rows that are not of the
// window, empty that all are.
func (s *windowed) narrow(r sql.ScanRequest) (narrow sql.ScanRequest, less, empty bool) {
	from, ok := s.from[r.Table.Name]
	if !ok || r.Table.Kind != event.Stream {
		return r, false, false
	}
	before := r
	r.From, r.To = max(r.From, from), min(r.To, s.to)
	if r.From == before.From && r.To == before.To { // WHERE says as much
		return r, false, false
	}
	if r.To <= r.From {
		return r, true, true
	}
	if !slices.Contains(r.Columns, r.Table.Time) {
		r.Columns = append(slices.Clone(r.Columns), r.Table.Time)
	}
	return r, true, false
}

// Scan implements sql.Source.
func (s *windowed) Scan(ctx context.Context, r sql.ScanRequest, yield func(*event.Batch) error) error {
	narrow, less, empty := s.narrow(r)
	switch {
	case empty:
		return nil
	case !less:
		return s.src.Scan(ctx, r, yield)
	}
	return s.src.Scan(ctx, narrow, func(b *event.Batch) error {
		if b = between(b, narrow.From, narrow.To); b == nil {
			return nil
		}
		return yield(b)
	})
}

// between returns the rows of the batch with from ≤ time < to, nil when there
// are none.
func between(b *event.Batch, from, to int64) *event.Batch {
	least, greatest, ok := b.TimeRange()
	switch {
	case !ok || greatest < from || least >= to:
		return nil
	case least >= from && greatest < to:
		return b
	}
	builder, times := event.NewBuilder(b.Table), b.Column(b.Table.Time)
	for i := range b.Rows {
		if !times.IsNull(i) && times.Int(i) >= from && times.Int(i) < to {
			builder.AddRow(b, i)
		}
	}
	return builder.Batch()
}

// Estimate implements sql.Estimator.
func (s *estimated) Estimate(ctx context.Context, r sql.ScanRequest) (sql.Estimate, error) {
	narrow, _, empty := s.narrow(r)
	if empty {
		return sql.Estimate{}, nil
	}
	return s.src.Estimate(ctx, narrow)
}
