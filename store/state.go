package store

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"unique"

	"daemoneye/bus/event"
)

// processTable is the present state of processes, folded from batches:
//
//   - A row of process_events whose event is exit removes the process of its
//     entity_id; any other puts its processes columns in its place. Of several
//     rows of one entity_id in one batch only the last counts.
//   - Another process with the same pid is gone, its exit was missed.
//   - A row of process_samples updates what it measured of a known process.
//
// A collector that starts compares its first scan with this state and reports
// what is gone, so nothing else removes rows.
//
// The same batches in the same order give the same table.
type processTable struct {
	limit  int
	rows   map[string]*process // by entity_id
	pids   map[int32]*process
	excess int64 // rows that did not fit within limit

	events, samples columnMap
}

// process is one row of processes, about 400 bytes and its own strings. Its
// strings are shared with all other rows. Only sample changes in place.
type process struct {
	entity string
	pid    int32
	fixed  []byte // see rowEncoder
	texts  []unique.Handle[string]
	sample sample
}

// sample is what process_samples updates.
type sample struct {
	status    unique.Handle[string]
	cpuUsage  float64
	cpuTime   float64
	memory    int64
	virtual   int64
	collected int64
	threads   int32
	has       uint8 // bit i: the i-th of sampleColumns is not NULL
}

// sampleColumns are the processes columns that live in sample, in bit order.
// All but the last have the same name in process_samples.
var sampleColumns = [...]string{"status", "cpu_usage", "cpu_time", "memory_usage", "virtual_memory", "threads", "collection_time"}

func newProcessTable(limit int) *processTable {
	return &processTable{
		limit: limit, rows: map[string]*process{}, pids: map[int32]*process{},
		events:  newColumnMap(event.Lookup("process_events")),
		samples: newColumnMap(event.Lookup("process_samples")),
	}
}

// fold applies a batch and returns how many rows it looked at.
func (t *processTable) fold(b *event.Batch) int {
	switch b.Table.Name {
	case "process_events":
		t.foldEvents(b)
	case "process_samples":
		t.foldSamples(b)
	default:
		return 0
	}
	return b.Rows
}

func (t *processTable) foldEvents(b *event.Batch) {
	entity, pid, kind := b.Column("entity_id"), b.Column("pid"), b.Column("event")
	if entity == nil || pid == nil {
		return
	}
	last := make(map[string]int, b.Rows)
	for i := range b.Rows {
		if !entity.IsNull(i) {
			last[entity.Text(i)] = i
		}
	}
	enc := newRowEncoder(&t.events, b)
	for i := range b.Rows {
		id := entity.Text(i)
		if entity.IsNull(i) || pid.IsNull(i) || last[id] != i {
			continue
		}
		if kind.Text(i) == "exit" {
			t.remove(id)
			continue
		}
		p := enc.row(i)
		p.pid = int32(pid.Ints[i])
		t.put(p)
	}
}

func (t *processTable) put(p *process) {
	if other := t.pids[p.pid]; other != nil && other.entity != p.entity {
		t.remove(other.entity)
	}
	old := t.rows[p.entity]
	if old == nil && len(t.rows) >= t.limit {
		t.excess++
		return
	}
	if old != nil && old.pid != p.pid {
		delete(t.pids, old.pid)
	}
	t.rows[p.entity], t.pids[p.pid] = p, p
}

func (t *processTable) remove(id string) {
	if p := t.rows[id]; p != nil {
		delete(t.rows, id)
		if t.pids[p.pid] == p {
			delete(t.pids, p.pid)
		}
	}
}

func (t *processTable) foldSamples(b *event.Batch) {
	entity := b.Column("entity_id")
	enc := newRowEncoder(&t.samples, b)
	at := b.Column(b.Table.Time)
	for i := range b.Rows {
		p := t.rows[entity.Text(i)]
		if p == nil || entity.IsNull(i) {
			continue
		}
		p.sample = enc.sample(i)
		if !at.IsNull(i) {
			p.sample.collected = at.Ints[i]
			p.sample.has |= 1 << 6
		}
	}
}

// columnMap says where a table holds the columns of processes.
type columnMap struct {
	fixed  []columnPair // those of process.fixed and process.texts
	sample [len(sampleColumns)]int
	entity int // position of entity_id in the source
}

type columnPair struct {
	to, from int  // positions in processes and in the source; from may be -1
	own      bool // its texts are seldom those of another process
}

// ownColumns are those whose texts are kept with the row: to look for them
// among all strings would cost more than it saves.
var ownColumns = [...]string{"entity_id", "parent_entity_id", "command_line", "environment_vars"}

func newColumnMap(source *event.Table) columnMap {
	m := columnMap{entity: source.Index("entity_id")}
	inSample := map[string]bool{}
	for i, name := range sampleColumns {
		m.sample[i] = source.Index(name)
		inSample[name] = true
	}
	for i, c := range event.Lookup("processes").Columns {
		if !inSample[c.Name] {
			m.fixed = append(m.fixed, columnPair{i, source.Index(c.Name), slices.Contains(ownColumns[:], c.Name)})
		}
	}
	return m
}

// rowEncoder makes process rows of a batch. Each dictionary entry is looked
// up among all strings only once.
//
// fixed is a bit for each column of columnMap.fixed that is not NULL, then, in
// their order: a varint for numbers and times, 8 bytes for doubles, a byte
// for booleans, the length as uvarint for arrays and, with the string itself
// after it, for the columns of ownColumns. The other strings are in texts.
type rowEncoder struct {
	m       *columnMap
	batch   *event.Batch
	handles [][]unique.Handle[string]
	buf     []byte
	texts   []unique.Handle[string]
}

func newRowEncoder(m *columnMap, b *event.Batch) *rowEncoder {
	return &rowEncoder{m: m, batch: b, handles: make([][]unique.Handle[string], len(b.Columns))}
}

func (e *rowEncoder) handle(column int, code uint32) unique.Handle[string] {
	v := e.batch.Columns[column]
	if e.handles[column] == nil {
		e.handles[column] = make([]unique.Handle[string], len(v.Dict))
	}
	h := &e.handles[column][code]
	if *h == (unique.Handle[string]{}) {
		*h = unique.Make(v.Dict[code])
	}
	return *h
}

func (e *rowEncoder) row(i int) *process {
	bits := (len(e.m.fixed) + 7) / 8
	e.buf, e.texts = append(e.buf[:0], make([]byte, bits)...), e.texts[:0]
	p := &process{}
	for j, c := range e.m.fixed {
		if c.from < 0 {
			continue
		}
		v := e.batch.Columns[c.from]
		if v.IsNull(i) {
			continue
		}
		e.buf[j>>3] |= 1 << (j & 7)
		switch v.Type {
		case event.Bool:
			e.buf = append(e.buf, b2i(v.Bools[i]))
		case event.Float8:
			e.buf = binary.LittleEndian.AppendUint64(e.buf, math.Float64bits(v.Floats[i]))
		case event.Int4, event.Int8, event.Timestamptz:
			e.buf = binary.AppendVarint(e.buf, v.Ints[i])
		case event.TextArray:
			codes := v.Codes[v.Offsets[i]:v.Offsets[i+1]]
			e.buf = binary.AppendUvarint(e.buf, uint64(len(codes)))
			for _, code := range codes {
				e.texts = append(e.texts, e.handle(c.from, code))
			}
		default:
			if c.own {
				e.buf = appendString(e.buf, v.Dict[v.Codes[i]])
			} else {
				e.texts = append(e.texts, e.handle(c.from, v.Codes[i]))
			}
		}
	}
	p.entity = strings.Clone(e.batch.Columns[e.m.entity].Text(i))
	p.fixed = append([]byte(nil), e.buf...)
	p.texts = append([]unique.Handle[string](nil), e.texts...)
	p.sample = e.sample(i)
	return p
}

func b2i(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (e *rowEncoder) sample(i int) sample {
	s := sample{}
	for j, from := range e.m.sample {
		if from < 0 {
			continue
		}
		v := e.batch.Columns[from]
		if v.IsNull(i) {
			continue
		}
		s.has |= 1 << j
		switch j {
		case 0:
			s.status = e.handle(from, v.Codes[i])
		case 1:
			s.cpuUsage = v.Floats[i]
		case 2:
			s.cpuTime = v.Floats[i]
		case 3:
			s.memory = v.Ints[i]
		case 4:
			s.virtual = v.Ints[i]
		case 5:
			s.threads = int32(v.Ints[i])
		case 6:
			s.collected = v.Ints[i]
		}
	}
	return s
}

// rowDecoder adds process rows to a Builder of processes.
type rowDecoder struct {
	m       *columnMap
	b       *event.Builder
	columns []*event.ColumnBuilder // by position in processes
	sample  [len(sampleColumns)]*event.ColumnBuilder
}

func newRowDecoder(m *columnMap) *rowDecoder {
	table := event.Lookup("processes")
	d := &rowDecoder{m: m, b: event.NewBuilder(table)}
	for _, c := range table.Columns {
		d.columns = append(d.columns, d.b.Column(c.Name))
	}
	for i, name := range sampleColumns {
		d.sample[i] = d.b.Column(name)
	}
	return d
}

func (d *rowDecoder) add(p *process) {
	rest, texts := p.fixed[(len(d.m.fixed)+7)/8:], p.texts
	table := d.b.Table()
	for j, c := range d.m.fixed {
		if p.fixed[j>>3]>>(j&7)&1 == 0 {
			continue
		}
		column := d.columns[c.to]
		switch table.Columns[c.to].Type {
		case event.Bool:
			column.Bool(rest[0] != 0)
			rest = rest[1:]
		case event.Float8:
			column.Float(math.Float64frombits(binary.LittleEndian.Uint64(rest)))
			rest = rest[8:]
		case event.Int4, event.Int8, event.Timestamptz:
			n, size := binary.Varint(rest)
			rest = rest[size:]
			if table.Columns[c.to].Type == event.Timestamptz {
				column.Micro(n)
			} else {
				column.Int(n)
			}
		case event.TextArray:
			n, size := binary.Uvarint(rest)
			rest = rest[size:]
			list := make([]string, n)
			for k := range list {
				list[k] = texts[k].Value()
			}
			texts = texts[n:]
			column.Texts(list)
		default:
			var text string
			if c.own {
				n, size := binary.Uvarint(rest)
				text, rest = string(rest[size:size+int(n)]), rest[size+int(n):]
			} else {
				text, texts = texts[0].Value(), texts[1:]
			}
			if table.Columns[c.to].Type == event.JSONB {
				column.JSON([]byte(text))
			} else {
				column.Text(text)
			}
		}
	}
	d.addSample(&p.sample)
	d.b.EndRow()
}

func (d *rowDecoder) addSample(s *sample) {
	for j, column := range d.sample {
		if s.has>>j&1 == 0 {
			continue
		}
		switch j {
		case 0:
			column.Text(s.status.Value())
		case 1:
			column.Float(s.cpuUsage)
		case 2:
			column.Float(s.cpuTime)
		case 3:
			column.Int(s.memory)
		case 4:
			column.Int(s.virtual)
		case 5:
			column.Int(int64(s.threads))
		case 6:
			column.Micro(s.collected)
		}
	}
}
