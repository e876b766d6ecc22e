package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/platform"
	"daemoneye/roles/api"
	"daemoneye/roles/history"
	"daemoneye/rules/sql"
)

const (
	// longQuery is after which time a query may have taken much memory.
	longQuery = 500 * time.Millisecond
	// maxTimeout bounds what a client may ask for.
	maxTimeout = time.Hour
	// replyBytes is about how many bytes of cells go into one reply.
	replyBytes = 128 << 10
)

// query answers api.Query.
func (a *agent) query(ctx context.Context, c *bus.Call) error {
	var req api.QueryRequest
	err := msgpack.Unmarshal(c.Body, &req)
	if err != nil {
		return fmt.Errorf("decode query: %w", err)
	}
	a.recordQuery(c.Peer, &req)
	timeout := a.cfg.Config.Agent.QueryTimeout
	most := max(timeout, maxTimeout)
	if req.Timeout > most {
		return queryError(fmt.Errorf("a query gets no more than %v here, and this one asks for %v", most, req.Timeout))
	}
	if req.Timeout > 0 {
		timeout = req.Timeout
	}
	expired := fmt.Errorf("query ran longer than %v", timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, expired)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	turn, err := a.turns.begin(ctx, c, end)
	if err != nil {
		return queryError(err)
	}
	defer turn.end()
	run := a.answer
	switch {
	case req.Backtest != nil:
		run = a.backtest
	case req.Explain != "":
		run = a.explain
	}
	done := make(chan error)
	platform.Background(func() {
		begun := time.Now()
		err := run(ctx, turn, &req)
		if time.Since(begun) > longQuery {
			debug.FreeOSMemory() // Go itself gives memory back only in minutes
		}
		done <- err
	})
	if err = <-done; err != nil {
		switch cause := context.Cause(ctx); {
		case cause == expired && timeout == most:
			err = fmt.Errorf("%w, which is the most: ask for a shorter time range", expired)
		case cause == expired:
			err = fmt.Errorf("%w; --timeout allows more", expired)
		case cause == errNotRead:
			err = cause
		}
		return queryError(err)
	}
	return nil
}

func (a *agent) answer(ctx context.Context, t *turn, req *api.QueryRequest) error {
	q, err := sql.Compile(req.SQL, sql.Config{Params: req.Params, Limits: history.Limits(a.cfg.Config), Lists: a.lists()})
	if err != nil {
		return err
	}
	header := api.QueryHeader{Columns: []api.QueryColumn{}}
	for _, col := range q.Columns() {
		header.Columns = append(header.Columns, api.QueryColumn{Name: col.Name, Type: col.Type.String()})
	}
	if err := t.reply(ctx, header); err != nil {
		return err
	}
	total := int64(0)
	out := &sender{turn: t, columns: header.Columns, json: req.JSON, cut: make([]bool, len(header.Columns))}
	opt := a.queryOptions(req)
	reader := a.view.Reader()
	err = q.Run(ctx, reader, opt, func(rows *sql.Rows) error {
		total += int64(rows.Len())
		return out.send(ctx, rows)
	})
	if err != nil {
		return err
	}
	return a.finishQuery(ctx, t, q, reader, out.incomplete(), total, opt.Now)
}

// lists are those that stand beside the rules in force.
func (a *agent) lists() map[string]*sql.List { return a.matcher.Set().SQLLists(time.Now()) }

func (a *agent) queryOptions(req *api.QueryRequest) sql.Options {
	opt := history.Stored(a.cfg.Config, a.store)
	opt.Now, opt.MaxRows, opt.Workers = time.Now(), req.MaxRows, a.cfg.Cores
	opt.Go = platform.Background
	return opt
}

// explain answers with the plan.
func (a *agent) explain(ctx context.Context, t *turn, req *api.QueryRequest) error {
	x, reader := a.explainer(req)
	column, cells, q, err := x.Explain(ctx, req)
	if err != nil {
		return err
	}
	if err := t.column(ctx, column, cells); err != nil {
		return err
	}
	return a.finishQuery(ctx, t, q, reader, nil, int64(len(cells)), x.Options.Now)
}

// backtest answers with what a rule would have found.
func (a *agent) backtest(ctx context.Context, t *turn, req *api.QueryRequest) error {
	x, reader := a.explainer(req)
	column, cells, lost, err := x.Backtest(ctx, req, a.view.Gaps)
	if err != nil {
		return err
	}
	if err := t.column(ctx, column, cells); err != nil {
		return err
	}
	return a.finishQuery(ctx, t, nil, reader, lost, int64(len(cells)), x.Options.Now)
}

func (a *agent) explainer(req *api.QueryRequest) (*history.Explainer, *history.Reader) {
	reader := a.view.Reader()
	return &history.Explainer{
		Source: reader, Limits: history.Limits(a.cfg.Config), Lists: a.lists(), Options: a.queryOptions(req), Matcher: history.MatcherConfig(a.cfg.Config, history.Stored(a.cfg.Config, a.store)),
		Rules: a.matcher.Set,
	}, reader
}

// column sends an answer of one column.
func (t *turn) column(ctx context.Context, column api.QueryColumn, cells [][]byte) error {
	if err := t.reply(ctx, api.QueryHeader{Columns: []api.QueryColumn{column}}); err != nil {
		return err
	}
	return t.reply(ctx, api.QueryRows{Cells: cells})
}

// finishQuery says how the answer ended and what it lacks; cut cells among it; a nil query
// lacks nothing else.
func (a *agent) finishQuery(ctx context.Context, t *turn, q *sql.Query, reader *history.Reader, cut []string, rows int64, now time.Time) error {
	done := api.QueryDone{Rows: rows, Incomplete: append(reader.Damaged(), cut...)}
	if q != nil {
		lost, err := a.view.Incomplete(ctx, q, now)
		if err != nil {
			return err
		}
		done.Incomplete = append(append(done.Incomplete, lost...), a.untold(q.Tables())...)
	}
	return t.finish(ctx, done)
}

// maxRow is how many bytes the cells of one row may have, so that a row fits
// into a frame.
const maxRow = 900 << 10

// sender sends a result in replies of about replyBytes, each of whole rows. Of
// a row that is too large for one the longest cells are cut.
type sender struct {
	turn    *turn
	columns []api.QueryColumn
	json    bool

	cells   [][]byte // of the rows that wait
	size    int
	cutRows int64
	cut     []bool // by column
}

func (s *sender) send(ctx context.Context, rows *sql.Rows) error {
	for r := range rows.Len() {
		begin := len(s.cells)
		size := s.add(rows, r)
		if s.size > 0 && s.size+size > maxRow {
			if err := s.flush(ctx, begin); err != nil {
				return err
			}
		}
		if s.size += size; s.size >= replyBytes {
			if err := s.flush(ctx, len(s.cells)); err != nil {
				return err
			}
		}
	}
	return s.flush(ctx, len(s.cells))
}

// flush sends the first n cells that wait.
func (s *sender) flush(ctx context.Context, n int) error {
	if n == 0 {
		return nil
	}
	err := s.turn.reply(ctx, api.QueryRows{Cells: s.cells[:n]})
	s.cells, s.size = append(s.cells[:0], s.cells[n:]...), 0
	return err
}

// add appends the cells of row r and returns their size.
func (s *sender) add(rows *sql.Rows, r int) int {
	const overhead = 5 // of msgpack, for each cell
	begin, size, cut := len(s.cells), 0, false
	shrink := func(col, limit int) {
		cell := &s.cells[begin+col]
		size -= len(*cell)
		if s.json {
			*cell = slices.Clone(event.ShrinkJSON(*cell, limit))
		} else {
			*cell = event.CutText(*cell, limit)
		}
		size += len(*cell)
		s.cut[col], cut = true, true
	}
	for col := range s.columns {
		cell, null := rows.AppendCell([]byte{}, r, col, s.json)
		if null {
			cell = nil
		}
		s.cells = append(s.cells, cell)
		size += len(cell) + overhead
		// The whole row may be many times what memory holds.
		limit := maxRow
		if size > 4*maxRow {
			limit = 1 << 10
		}
		if len(cell) > limit {
			shrink(col, limit)
		}
	}
	if size > maxRow {
		lengths := make([]int, len(s.columns))
		for col := range s.columns {
			lengths[col] = len(s.cells[begin+col])
		}
		each := event.Share(lengths, maxRow-overhead*len(s.columns))
		for col, n := range lengths {
			if n > each {
				shrink(col, each)
			}
		}
	}
	if cut {
		s.cutRows++
	}
	return size
}

// incomplete says, for people, what was cut; nil when nothing was.
func (s *sender) incomplete() []string {
	if s.cutRows == 0 {
		return nil
	}
	var names []string
	for col, cut := range s.cut {
		if cut && len(names) < 5 {
			names = append(names, fmt.Sprintf("%q", s.columns[col].Name))
		}
	}
	return []string{fmt.Sprintf("%d of the rows have values that are too long for an answer, which holds %d bytes a row; they were cut, in %s: read them in parts with substr()",
		s.cutRows, maxRow, strings.Join(names, ", "))}
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
	detail, encodeErr := encode(told)
	if encodeErr != nil {
		return encodeErr
	}
	return &bus.Error{Code: queryCode, Message: told.Message, Detail: detail}
}
