package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/bus"
	"daemoneye/roles/api"
	"daemoneye/rules/sql"
)

const (
	// queriesAtOnce bounds the queries that run; others wait for their turn,
	// within their timeout.
	queriesAtOnce = 2
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
	select {
	case a.queries <- struct{}{}:
		defer func() { <-a.queries }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
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
	opt := sql.Options{Now: now, MemoryLimit: a.cfg.Config.Agent.QueryMemory, MaxRows: req.MaxRows}
	reader := a.view.Reader()
	err := q.Run(ctx, reader, opt, func(rows *sql.Rows) error {
		total += int64(rows.Len())
		return sendRows(c, rows, len(header.Columns), req.JSON)
	})
	if err != nil {
		return err
	}
	done := api.QueryDone{Rows: total, Incomplete: reader.Damaged()}
	for _, table := range q.Tables() {
		from, to := q.TimeRange(table, now)
		reasons, err := a.view.Gaps(ctx, sourceTable(table), from, to)
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

// sendRows sends a part of the result in replies of about replyBytes.
func sendRows(c *bus.Call, rows *sql.Rows, columns int, asJSON bool) error {
	var part api.QueryRows
	size := 0
	for r := range rows.Len() {
		for col := range columns {
			var cell []byte
			if asJSON {
				if cell = rows.AppendJSON([]byte{}, r, col); string(cell) == "null" {
					cell = nil
				}
			} else if text, null := rows.AppendText([]byte{}, r, col); !null {
				cell = text
			}
			part.Cells = append(part.Cells, cell)
			size += len(cell) + 5
		}
		if size >= replyBytes {
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
