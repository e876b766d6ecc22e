package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"time"

	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/history"
	"daemoneye/rules"
	"daemoneye/rules/sql"
)

// engine runs queries: the agent, or this process over a store or a file.
type engine interface {
	// query calls header once and rows for each part of the result.
	query(ctx context.Context, r api.QueryRequest, header func([]api.QueryColumn) error, rows func(cells [][]byte) error) (api.QueryDone, error)
	close() error
}

// printQuery runs a query and prints its result.
func printQuery(ctx context.Context, e engine, r api.QueryRequest, p printer) (api.QueryDone, error) {
	r.JSON = p.json()
	done, err := e.query(ctx, r, p.header, p.rows)
	if err != nil {
		return done, err
	}
	return done, p.close(done.Rows)
}

// fetch runs a query of ours and returns each row as a T, whose json names
// are the result's columns.
func fetch[T any](ctx context.Context, e engine, text string, params map[string]string) ([]T, api.QueryDone, error) {
	var keys [][]byte
	var list []T
	header := func(columns []api.QueryColumn) error {
		for i, name := range uniqueNames(columns) {
			key := []byte{','}
			if i == 0 {
				key[0] = '{'
			}
			keys = append(keys, append(event.AppendJSONString(key, name), ':'))
		}
		return nil
	}
	var object []byte
	rows := func(cells [][]byte) error {
		for i, cell := range cells {
			column := i % len(keys)
			object = append(object, keys[column]...)
			if cell == nil {
				cell = []byte("null")
			}
			object = append(object, cell...)
			if column < len(keys)-1 {
				continue
			}
			var value T
			if err := json.Unmarshal(append(object, '}'), &value); err != nil {
				return fmt.Errorf("read result: %w", err)
			}
			list = append(list, value)
			object = object[:0]
		}
		return nil
	}
	done, err := e.query(ctx, api.QueryRequest{SQL: text, Params: params, JSON: true}, header, rows)
	return list, done, err
}

// localEngine runs queries in this process.
type localEngine struct {
	source    sql.Source
	limits    sql.Limits // of statements
	lists     map[string]*sql.List
	matcher   rules.MatcherConfig // as which rules are explained
	rules     func() *rules.Set   // whose exceptions count in a backtest
	resources sql.Options         // of each query
	limit     time.Duration       // unless the request says otherwise; 0: none
	// incomplete says what of the tables read is missing; nil: nothing is.
	incomplete func(ctx context.Context, q *sql.Query, now time.Time) []string
	// lost says what of a table's times in µs is missing; nil: nothing is.
	lost    func(ctx context.Context, table string, from, to int64) ([]string, error)
	release func() error
}

func (e *localEngine) close() error {
	if e.release == nil {
		return nil
	}
	return e.release()
}

func (e *localEngine) query(ctx context.Context, r api.QueryRequest, header func([]api.QueryColumn) error, rows func([][]byte) error) (api.QueryDone, error) {
	var done api.QueryDone
	limit := e.limit
	if r.Timeout > 0 {
		limit = r.Timeout
	}
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("the query took longer than %v", limit))
		defer cancel()
	}
	switch {
	case r.Backtest != nil:
		return e.backtest(ctx, &r, header, rows)
	case r.Explain != "":
		return e.explain(ctx, r, header, rows)
	}
	q, err := sql.Compile(r.SQL, sql.Config{Params: r.Params, Limits: e.limits, Lists: e.lists})
	if err != nil {
		return done, explain(err)
	}
	var columns []api.QueryColumn
	for _, c := range q.Columns() {
		columns = append(columns, api.QueryColumn{Name: c.Name, Type: c.Type.String()})
	}
	if err := header(columns); err != nil {
		return done, err
	}
	opt := e.options(&r)
	err = q.Run(ctx, e.source, opt, func(part *sql.Rows) error {
		done.Rows += int64(part.Len())
		return rows(cellsOf(part, len(columns), r.JSON))
	})
	if e.incomplete != nil {
		done.Incomplete = e.incomplete(ctx, q, opt.Now)
	}
	return done, late(ctx, err)
}

func (e *localEngine) options(r *api.QueryRequest) sql.Options {
	opt := e.resources
	opt.Now, opt.MaxRows, opt.Workers = time.Now(), r.MaxRows, runtime.GOMAXPROCS(0)
	return opt
}

// explain answers with the plan.
func (e *localEngine) explain(ctx context.Context, r api.QueryRequest, header func([]api.QueryColumn) error, rows func([][]byte) error) (done api.QueryDone, err error) {
	x := e.explainer(&r)
	column, cells, q, err := x.Explain(ctx, &r)
	if err != nil {
		return done, late(ctx, err)
	}
	if err := header([]api.QueryColumn{column}); err != nil {
		return done, err
	}
	done.Rows = int64(len(cells))
	if e.incomplete != nil && q != nil {
		done.Incomplete = e.incomplete(ctx, q, x.Options.Now)
	}
	return done, rows(cells)
}

// backtest answers with what a rule would have found.
func (e *localEngine) backtest(ctx context.Context, r *api.QueryRequest, header func([]api.QueryColumn) error, rows func([][]byte) error) (done api.QueryDone, err error) {
	column, cells, lost, err := e.explainer(r).Backtest(ctx, r, e.lost)
	if err != nil {
		return done, late(ctx, err)
	}
	if err := header([]api.QueryColumn{column}); err != nil {
		return done, err
	}
	done.Rows, done.Incomplete = int64(len(cells)), lost
	return done, rows(cells)
}

func (e *localEngine) explainer(r *api.QueryRequest) *history.Explainer {
	return &history.Explainer{Source: e.source, Limits: e.limits, Lists: e.lists, Options: e.options(r), Matcher: e.matcher, Rules: e.rules}
}

// late says so of an error of a query that ran out of its time.
func late(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Error{Err: context.Cause(ctx), Hint: "give it more time with --timeout, or ask for less"}
	}
	return explain(err)
}

// cellsOf writes the rows as api.QueryRows has them.
func cellsOf(part *sql.Rows, columns int, asJSON bool) [][]byte {
	cells := make([][]byte, 0, part.Len()*columns)
	var text []byte // of all cells
	for row := range part.Len() {
		for column := range columns {
			start := len(text)
			var null bool
			if text, null = part.AppendCell(text, row, column, asJSON); null {
				cells = append(cells, nil)
				continue
			}
			cells = append(cells, text[start:len(text):len(text)])
		}
	}
	return cells
}

// explain turns an error of the query engine into one for people.
func explain(err error) error {
	var e *sql.Error
	if !errors.As(err, &e) {
		return err
	}
	message := e.Message
	if e.Line > 0 {
		message = fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
	}
	return &Error{Err: errors.New(message), Caret: e.Caret(), Hint: e.Hint}
}
