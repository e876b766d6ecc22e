package rules

import (
	"context"
	"slices"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// Windowed returns src as the rule sees it at now: without the rows of stream
// tables that are older than its Lookback.
func (r *Rule) Windowed(src sql.Source, now time.Time) sql.Source {
	w := &windowed{src: src, from: make(map[string]int64)}
	for _, table := range r.Tables {
		w.from[table] = r.Lookback(table, now)
	}
	if e, ok := src.(sql.Estimator); ok {
		return &estimated{w, e}
	}
	return w
}

// estimated is a windowed source that can estimate.
type estimated struct {
	*windowed
	src sql.Estimator
}

// windowed yields only rows whose time (µs) is not before its table's.
type windowed struct {
	src  sql.Source
	from map[string]int64
}

func (s *windowed) narrow(r sql.ScanRequest) (_ sql.ScanRequest, from int64, empty bool) {
	from, ok := s.from[r.Table.Name]
	if !ok || from <= r.From {
		return r, r.From, false
	}
	if r.From = from; r.To <= from {
		return r, from, true
	}
	if !slices.Contains(r.Columns, r.Table.Time) {
		r.Columns = append(slices.Clone(r.Columns), r.Table.Time)
	}
	return r, from, false
}

// Scan implements sql.Source.
func (s *windowed) Scan(ctx context.Context, r sql.ScanRequest, yield func(*event.Batch) error) error {
	narrow, from, empty := s.narrow(r)
	switch {
	case empty:
		return nil
	case from == r.From: // WHERE says as much
		return s.src.Scan(ctx, r, yield)
	}
	return s.src.Scan(ctx, narrow, func(b *event.Batch) error {
		least, greatest, ok := b.TimeRange()
		switch {
		case !ok || greatest < from:
			return nil
		case least >= from:
			return yield(b)
		}
		builder, times := event.NewBuilder(b.Table), b.Column(b.Table.Time)
		for i := range b.Rows {
			if !times.IsNull(i) && times.Int(i) >= from {
				builder.AddRow(b, i)
			}
		}
		return yield(builder.Batch())
	})
}

// Estimate implements sql.Estimator.
func (s *estimated) Estimate(ctx context.Context, r sql.ScanRequest) (sql.Estimate, error) {
	narrow, _, empty := s.narrow(r)
	if empty {
		return sql.Estimate{}, nil
	}
	return s.src.Estimate(ctx, narrow)
}
