//go:build unix

package conformance

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"time"
	"unsafe"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// memory is a Source of batches.
type memory []*event.Batch

func (m memory) Scan(_ context.Context, r sql.ScanRequest, yield func(*event.Batch) error) error {
	for _, b := range m {
		if b.Table != r.Table {
			continue
		}
		if err := yield(b); err != nil {
			return err
		}
	}
	return nil
}

// parted is a memory whose batches are read in parts, by several goroutines,
// and whose columns are fetched when they are needed.
type parted struct{ memory }

func (m parted) Parts(_ context.Context, r sql.ScanRequest) (sql.Parts, error) {
	list := parts{reuse: r.Reuse, passing: r.Passing, texts: new(sync.Pool)}
	for _, b := range m.memory {
		if b.Table == r.Table {
			list.batches = append(list.batches, b)
		}
	}
	return list, nil
}

type parts struct {
	batches []*event.Batch
	reuse   bool // vectors are spoilt when they were given back
	passing []string
	texts   *sync.Pool // of *texts: of columns of which not even these are kept
}

func (p parts) Len() int { return len(p.batches) }
func (p parts) Close()   {}

func (p parts) Read(_ context.Context, i int, yield func(*event.Batch) error) error {
	b := p.batches[i]
	var given []*event.Vector
	var lent []*texts
	lazy := &event.Batch{Table: b.Table, Rows: b.Rows, Columns: make([]*event.Vector, len(b.Columns))}
	open := true
	lazy.Fetch = func(column int) (*event.Vector, error) {
		if !open {
			return nil, errors.New("a column was fetched after the batch was given back")
		}
		v := b.Columns[column]
		passing := slices.Contains(p.passing, b.Table.Columns[column].Name)
		if !p.reuse && !passing || v == nil {
			return v, nil
		}
		c := *v
		if passing && v.Dict != nil {
			m, ok := p.texts.Get().(*texts)
			if !ok {
				m = &texts{}
			}
			c.Dict, c.Plain = m.put(v.Dict)
			defer func() { lent = append(lent, m) }()
		}
		c.Nulls, c.Bools, c.Ints, c.Floats = slices.Clone(v.Nulls), slices.Clone(v.Bools), slices.Clone(v.Ints), slices.Clone(v.Floats)
		c.Codes, c.Offsets = slices.Clone(v.Codes), slices.Clone(v.Offsets)
		given = append(given, &c)
		return &c, nil
	}
	defer func() {
		open = false
		for _, m := range lent {
			for i := range m.plain {
				m.plain[i] = 'X'
			}
			p.texts.Put(m)
		}
		for _, v := range given {
			clear(v.Nulls)
			clear(v.Bools)
			clear(v.Ints)
			clear(v.Floats)
			clear(v.Codes)
			clear(v.Offsets)
		}
	}()
	return yield(lazy)
}

// texts is memory for the texts of a dictionary, used for one after the other.
type texts struct {
	dict  []string
	plain []byte
}

// put returns the list, in the memory, and in the form of event.Vector.Plain.
func (m *texts) put(list []string) (dict []string, plain []byte) {
	m.plain = m.plain[:0]
	for _, s := range list {
		m.plain = append(binary.LittleEndian.AppendUint32(m.plain, uint32(len(s))), s...)
	}
	m.dict = slices.Grow(m.dict[:0], len(list))[:len(list)]
	at := 0
	for i, s := range list {
		at += 4
		m.dict[i] = unsafe.String(unsafe.SliceData(m.plain[at:]), len(s))
		at += len(s)
	}
	return m.dict, m.plain
}

// timeout is the code of an answer that did not come in time.
const timeout = "timeout"

// evaluate gives the engine's answer.
func evaluate(batches []*event.Batch, text string) answer {
	return evaluateWithin(memory(batches), text, time.Minute)
}

// evaluateParted gives the engine's answer when it reads in parts.
func evaluateParted(batches []*event.Batch, text string) answer {
	return evaluateWithin(parted{memory(batches)}, text, time.Minute)
}

// evaluateSpilling is evaluateParted with so little memory that joins and
// windows over more than a few rows go to temporary files.
func evaluateSpilling(batches []*event.Batch, dir, text string) answer {
	return evaluateWith(parted{memory(batches)}, text, time.Minute, sql.Options{Workers: 3, MemoryLimit: 3 << 10, TempDir: dir})
}

func evaluateWithin(source sql.Source, text string, limit time.Duration) answer {
	return evaluateWith(source, text, limit, sql.Options{Workers: 3})
}

func evaluateWith(source sql.Source, text string, limit time.Duration, opt sql.Options) answer {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	failure := func(err error) answer {
		if errors.Is(err, context.DeadlineExceeded) {
			return answer{err: timeout, message: err.Error()}
		}
		var e *sql.Error
		if errors.As(err, &e) {
			return answer{err: e.Code, message: e.Error() + "\n" + e.Caret()}
		}
		return answer{err: "XXXXX", message: err.Error()}
	}
	q, err := sql.Compile(text, sql.Config{})
	if err != nil {
		a := failure(err)
		a.compiling = true
		return a
	}
	var head []string
	for _, c := range q.Columns() {
		head = append(head, c.Name+":"+c.Type.String())
	}
	a := answer{lines: []string{csvLine(head)}}
	err = q.Run(ctx, source, opt, func(r *sql.Rows) error {
		for i := range r.Len() {
			var cells []string
			for j := range r.Columns() {
				cell, null := r.AppendText(nil, i, j)
				if null {
					cell = []byte(`\N`)
				}
				cells = append(cells, string(cell))
			}
			a.lines, a.rows = append(a.lines, csvLine(cells)), append(a.rows, cells)
		}
		return nil
	})
	if err != nil {
		return failure(err)
	}
	return a
}
