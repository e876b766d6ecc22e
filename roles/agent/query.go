package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/bus"
	"daemoneye/roles/api"
	"daemoneye/rules/sql"
)

const (
	// queriesAtOnce bounds the queries that compute; others wait for their
	// turn, within their timeout. One whose client is slow to read lets others
	// go on.
	queriesAtOnce = 2
	// openQueries bounds the queries that have begun and not ended.
	openQueries = 32
	// maxTimeout bounds what a client may ask for.
	maxTimeout = time.Hour
	// replyBytes is about how many bytes of cells go into one reply.
	replyBytes = 128 << 10
)

// query answers api.Query.
func (a *agent) query(ctx context.Context, c *bus.Call) error {
	var req api.QueryRequest
	if err := msgpack.Unmarshal(c.Body, &req); err != nil {
		return fmt.Errorf("decode query: %w", err)
	}
	timeout := a.cfg.Config.Agent.QueryTimeout
	if req.Timeout > 0 {
		timeout = min(req.Timeout, maxTimeout)
	}
	expired := fmt.Errorf("query ran longer than %v", timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, expired)
	defer cancel()
	if err := acquire(ctx, a.begun); err != nil {
		return queryError(fmt.Errorf("query waited for its turn: %w", err))
	}
	defer release(a.begun)
	if err := acquire(ctx, a.queries); err != nil {
		return queryError(fmt.Errorf("query waited for its turn: %w", err))
	}
	defer release(a.queries)
	q, err := sql.Compile(req.SQL, sql.Config{Params: req.Params})
	if err != nil {
		return queryError(err)
	}
	now := time.Now()
	if err := a.answer(ctx, c, q, &req, now); err != nil {
		if ctx.Err() != nil && context.Cause(ctx) == expired {
			return queryError(fmt.Errorf("%w; --timeout allows more", expired))
		}
		return queryError(err)
	}
	return nil
}

func (a *agent) answer(ctx context.Context, c *bus.Call, q *sql.Query, req *api.QueryRequest, now time.Time) error {
	header := api.QueryHeader{Columns: []api.QueryColumn{}}
	for _, col := range q.Columns() {
		header.Columns = append(header.Columns, api.QueryColumn{Name: col.Name, Type: col.Type.String()})
	}
	if err := reply(c, header); err != nil {
		return err
	}
	total := int64(0)
	opt := sql.Options{Now: now, MemoryLimit: a.cfg.Config.Agent.QueryMemory, MaxRows: req.MaxRows, Workers: runtime.GOMAXPROCS(0)}
	reader := a.view.Reader()
	err := q.Run(ctx, reader, opt, func(rows *sql.Rows) error {
		total += int64(rows.Len())
		release(a.queries)
		sent := sendRows(c, rows, header.Columns, req.JSON)
		// Whatever came of it, the slot is given back by query.
		a.queries <- struct{}{}
		return sent
	})
	if err != nil {
		return err
	}
	done := api.QueryDone{Rows: total, Incomplete: reader.Damaged()}
	for _, table := range q.Tables() {
		from, to := q.TimeRange(table, now)
		reasons, err := a.view.Gaps(ctx, table, from, to)
		if err != nil {
			return err
		}
		done.Incomplete = append(done.Incomplete, reasons...)
	}
	body, err := msgpack.Marshal(done)
	if err != nil {
		return fmt.Errorf("encode reply: %w", err)
	}
	return c.Finish(body)
}

func acquire(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func release(slots chan struct{}) { <-slots }

// maxRow is how many bytes the cells of one row may have, so that a row fits
// into a frame.
const maxRow = 900 << 10

// sendRows sends a part of the result in replies of about replyBytes, each of
// whole rows.
func sendRows(c *bus.Call, rows *sql.Rows, columns []api.QueryColumn, asJSON bool) error {
	var part api.QueryRows
	size := 0
	for r := range rows.Len() {
		begin, rowSize, largest := len(part.Cells), 0, 0
		for col := range columns {
			cell, null := rows.AppendCell([]byte{}, r, col, asJSON)
			if null {
				cell = nil
			}
			part.Cells = append(part.Cells, cell)
			rowSize += len(cell) + 5
			if len(cell) > len(part.Cells[begin+largest]) {
				largest = col
			}
		}
		if rowSize > maxRow {
			return fmt.Errorf("a row has %d bytes, most of them in column %q, and an answer can hold %d: shorten it with left()", rowSize, columns[largest].Name, maxRow)
		}
		if size > 0 && size+rowSize > maxRow {
			if err := reply(c, api.QueryRows{Cells: part.Cells[:begin]}); err != nil {
				return err
			}
			part.Cells, size = append(part.Cells[:0], part.Cells[begin:]...), 0
		}
		if size += rowSize; size >= replyBytes {
			if err := reply(c, part); err != nil {
				return err
			}
			part.Cells, size = part.Cells[:0], 0
		}
	}
	if len(part.Cells) == 0 {
		return nil
	}
	return reply(c, part)
}

func reply(c *bus.Call, message any) error {
	body, err := msgpack.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode reply: %w", err)
	}
	return c.Reply(body)
}

// queryCode is the code of a bus.Error whose detail is an api.QueryError.
const queryCode = "query"

func queryError(err error) error {
	var e *bus.Error
	if errors.As(err, &e) {
		return err
	}
	told := api.QueryError{Message: err.Error()}
	var placed *sql.Error
	if errors.As(err, &placed) {
		told.Caret = placed.Caret()
	}
	detail, encodeErr := msgpack.Marshal(told)
	if encodeErr != nil {
		return fmt.Errorf("encode reply: %w", encodeErr)
	}
	return &bus.Error{Code: queryCode, Message: told.Message, Detail: detail}
}
