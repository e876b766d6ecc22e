package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// Match is one row that a rule returned.
type Match struct {
	Rule     *Rule
	Time     time.Time // of the event row; else of the result's time column; else when the rule ran
	Key      string    // dedup key; of two rules never the same
	EntityID string    // of the row's process, "" when it is not of one
	PID      int64     // of the row's process, 0 when it is not of one

	Excluded *Exception // why it raises no alert, or nil
	Position uint64     // of the event row's batch, as the caller of Match knows it; 0: not known

	output []byte       // the result's row as a JSON object, perhaps cut
	digest string       // of the whole row when it was cut, else ""
	batch  *event.Batch // the event row, when there is exactly one
	row    int
}

const (
	// maxRow bounds the row of an alert, and its process, as JSON, so that an
	// alert is far below the largest frame of the bus.
	maxRow = 64 << 10
	// maxCell is where a cell is cut before the row as a whole is.
	maxCell = maxRow
	// maxRows bounds what the rows of one batch or run take together; beyond
	// it each is cut to shortRow.
	maxRows  = 16 << 20
	shortRow = 1 << 10
	// maxEntityID bounds what a SELECT calls entity_id; ours have 32 bytes.
	maxEntityID = 128
)

// Row returns what the rule's SELECT returned, as a JSON object of at most
// 64 KiB; see event.ShrinkJSON.
func (m *Match) Row() []byte { return m.output }

// Source returns the event row, when there is exactly one, and else nil.
func (m *Match) Source() (b *event.Batch, row int) { return m.batch, m.row }

// Process returns the processes columns of the event row that are not NULL,
// as a JSON object of at most 64 KiB; nil when there is no such row.
func (m *Match) Process() []byte {
	if m.batch == nil || m.batch.Column("entity_id").IsNull(m.row) {
		return nil
	}
	dst := []byte{'{'}
	for _, c := range event.Lookup("processes").Columns {
		v := m.batch.Column(c.Name)
		if v.IsNull(m.row) || v.Type != c.Type {
			continue
		}
		if len(dst) > 1 {
			dst = append(dst, ", "...)
		}
		dst = event.AppendJSONString(dst, c.Name)
		dst = append(dst, ": "...)
		dst = appendValue(dst, v, m.row)
	}
	return event.ShrinkJSON(append(dst, '}'), maxRow)
}

// room counts what the rows of one batch or run take.
type room struct {
	used int
	cut  int64 // rows
}

// newMatch describes row at of a rule's result; batch is the event batch of
// which that is row `row`, or nil. The result is not needed any more then: it
// may be many times larger than what an alert shows of it.
func (r *Rule) newMatch(rows *sql.Rows, at int, batch *event.Batch, row int, now time.Time, room *room) Match {
	m := Match{Rule: r, Time: now, batch: batch, row: row}
	limit := maxRow
	if room.used >= maxRows {
		limit = shortRow
	}
	m.output, m.digest = r.makeRow(rows, at, limit)
	room.used += len(m.output)
	if m.digest != "" {
		room.cut++
	}
	if batch != nil {
		if t := batch.Column(batch.Table.Time); !t.IsNull(row) {
			m.Time = time.UnixMicro(t.Int(row)).UTC()
		}
		m.EntityID = batch.Column("entity_id").Text(row)
		m.PID = batch.Column("pid").Int(row)
	}
	timeColumn := event.Lookup(r.Table()).Time
	for i, name := range r.output {
		switch {
		case name == "entity_id" && m.EntityID == "":
			if text, null := rows.AppendText(nil, at, i); !null {
				m.EntityID = event.CutText(string(text), maxEntityID)
			}
		case name == "pid" && m.PID == 0:
			text, _ := rows.AppendText(nil, at, i)
			m.PID, _ = strconv.ParseInt(string(text), 10, 64)
		case name == timeColumn && batch == nil:
			var t time.Time
			if json.Unmarshal(rows.AppendJSON(nil, at, i), &t) == nil && !t.IsZero() {
				m.Time = t.UTC()
			}
		}
	}
	m.Key = r.key(&m, rows, at)
	return m
}

// maxKey is the length beyond which a dedup key is cut and ends in a digest
// of the whole.
const maxKey = 512

// key returns the rule's id, followed by each dedup column as name=value,
// values written as JSON so that no two keys run into each other. A rule
// without dedup columns whose rows have no entity_id takes the whole row.
func (r *Rule) key(m *Match, rows *sql.Rows, at int) string {
	dst := []byte(r.ID)
	for _, p := range r.keys {
		dst = append(dst, ' ')
		dst = append(dst, p.name...)
		dst = append(dst, '=')
		switch {
		case p.output >= 0:
			dst = rows.AppendJSON(dst, at, p.output)
		default:
			dst = appendValue(dst, m.batch.Columns[p.column], m.row)
		}
	}
	if len(r.keys) == 0 {
		dst = append(dst, ' ')
		dst = append(append(dst, m.output...), m.digest...)
	}
	if len(dst) > maxKey {
		sum := sha256.Sum256(dst)
		cut := strings.ToValidUTF8(string(dst[:maxKey-80]), "")
		return cut + "… sha256=" + hex.EncodeToString(sum[:])
	}
	return string(dst)
}

// makeRow returns the result's row as a JSON object of at most limit bytes,
// and a digest of the whole row when it had to be cut.
func (r *Rule) makeRow(rows *sql.Rows, at, limit int) (row []byte, digest string) {
	row = append(make([]byte, 0, 512), '{')
	var whole hash.Hash // of the long cells; nil: there was none
	cut := false
	for i, name := range r.output {
		if i > 0 {
			row = append(row, ", "...)
		}
		row = event.AppendJSONString(row, name)
		row = append(row, ": "...)
		begin := len(row)
		row = rows.AppendJSON(row, at, i)
		cell := row[begin:]
		if len(cell) <= shortRow {
			continue
		}
		if whole == nil {
			whole = sha256.New()
		}
		whole.Write(cell)
		most := maxCell
		if begin > 16*maxRow { // of a row with so many long cells little can be shown
			most = shortRow
		}
		if len(cell) > most {
			cut = true
			// A copy, so that the room that the whole took is given back.
			row = append(slices.Clone(row[:begin]), event.ShrinkJSON(cell, most)...)
		}
	}
	row = append(row, '}')
	if len(row) > limit {
		cut = true
	}
	if !cut {
		return row, ""
	}
	if whole == nil {
		whole = sha256.New()
	}
	whole.Write(row)
	return slices.Clone(event.ShrinkJSON(row, limit)), hex.EncodeToString(whole.Sum(nil))
}

// appendValue appends row i of a column as JSON: timestamps in RFC 3339 with
// microseconds, floats that JSON can not hold as strings.
func appendValue(dst []byte, v *event.Vector, i int) []byte {
	if v.IsNull(i) {
		return append(dst, "null"...)
	}
	switch v.Type {
	case event.Bool:
		return strconv.AppendBool(dst, v.Bools[i])
	case event.Int4, event.Int8:
		return strconv.AppendInt(dst, v.Ints[i], 10)
	case event.Float8:
		if f := v.Floats[i]; math.IsNaN(f) || math.IsInf(f, 0) {
			return event.AppendJSONString(dst, strconv.FormatFloat(f, 'g', -1, 64))
		}
		return strconv.AppendFloat(dst, v.Floats[i], 'g', -1, 64)
	case event.Timestamptz:
		dst = append(dst, '"')
		dst = time.UnixMicro(v.Ints[i]).UTC().AppendFormat(dst, timeForm)
		return append(dst, '"')
	case event.JSONB:
		return append(dst, v.Text(i)...)
	case event.TextArray:
		dst = append(dst, '[')
		for j, s := range v.Texts(i) {
			if j > 0 {
				dst = append(dst, ", "...)
			}
			dst = event.AppendJSONString(dst, s)
		}
		return append(dst, ']')
	default:
		return event.AppendJSONString(dst, v.Text(i))
	}
}

const timeForm = "2006-01-02T15:04:05.000000Z07:00"
