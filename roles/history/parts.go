package history

import (
	"context"
	"fmt"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
	"daemoneye/store"
)

// request is what the engine asks for in the store's terms.
func request(q sql.ScanRequest) store.ScanRequest {
	out := store.ScanRequest{Table: q.Table, Columns: q.Columns, From: q.From, To: q.To, Reuse: q.Reuse, Passing: q.Passing}
	if out.Columns == nil {
		out.Columns = []string{} // count(*) reads none; to the store nil means all
	}
	for _, c := range q.Where {
		d := store.Condition{Column: c.Column, Values: c.Values}
		switch c.Op {
		case sql.OpEqual:
			d.Op = store.Equal
		case sql.OpLess:
			d.Op = store.Less
		case sql.OpLessOrEqual:
			d.Op = store.LessOrEqual
		case sql.OpGreater:
			d.Op = store.Greater
		case sql.OpGreaterOrEqual:
			d.Op = store.GreaterOrEqual
		case sql.OpNull:
			d.Op = store.IsNull
		case sql.OpNotNull:
			d.Op = store.IsNotNull
		default:
			continue
		}
		out.Where = append(out.Where, d)
	}
	return out
}

// inParts reports whether the store has the table in parts.
func inParts(q sql.ScanRequest) bool {
	return q.Table.Kind == event.Stream && (q.From != 0 || q.To != 0)
}

// Parts implements sql.PartSource: segments and runs of waiting batches.
func (r *Reader) Parts(ctx context.Context, q sql.ScanRequest) (sql.Parts, error) {
	if !inParts(q) {
		return nil, nil
	}
	scan, err := r.view.Store.Parts(ctx, request(q))
	if err != nil {
		return nil, err
	}
	return &parts{Scan: scan, reader: r, table: q.Table}, nil
}

type parts struct {
	*store.Scan
	reader *Reader
	table  *event.Table
}

func (p *parts) Close() {
	_ = p.reader.note(p.table, p.Err()) // damage is all that Err tells
	p.Scan.Close()
}

// Estimate implements sql.Estimator: what of the history would be read.
func (r *Reader) Estimate(ctx context.Context, q sql.ScanRequest) (sql.Estimate, error) {
	if !inParts(q) {
		return sql.Estimate{Rows: -1, Details: []string{"of the present state"}}, nil
	}
	scan, err := r.view.Store.Parts(ctx, request(q))
	if err != nil {
		return sql.Estimate{}, err
	}
	defer scan.Close()
	var out sql.Estimate
	segments, waiting := int64(0), int64(0)
	for i := range scan.Len() {
		p := scan.Part(i)
		out.Rows += p.Rows
		if p.Segment != "" {
			segments++
		} else {
			waiting += p.Rows
		}
	}
	left := scan.Skipped()
	out.Details = []string{
		fmt.Sprintf("segments: %d read, %d left out (%d rows)", segments, left.Segments, left.SegmentRows),
		fmt.Sprintf("waiting rows: %d read, %d left out", waiting, left.BatchRows),
	}
	return out, nil
}
