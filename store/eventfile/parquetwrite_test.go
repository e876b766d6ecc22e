package eventfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"daemoneye/bus/event"
	"daemoneye/store/duckdbtest"
)

// results are columns of every type of the query engine, with their text and
// what DuckDB makes of it.
func results() []struct{ typ, duck, text, want string } {
	return []struct{ typ, duck, text, want string }{
		{"boolean", "BOOLEAN", "t", "true"},
		{"smallint", "SMALLINT", "-32768", "-32768"},
		{"integer", "INTEGER", "2147483647", "2147483647"},
		{"bigint", "BIGINT", "-9223372036854775808", "-9223372036854775808"},
		{"double precision", "DOUBLE", "1e-300", "1e-300"},
		{"double precision", "DOUBLE", "-Infinity", "-inf"},
		{"numeric", "VARCHAR", "123456789012345678901234567890.000000000000001", "123456789012345678901234567890.000000000000001"},
		{"text", "VARCHAR", "größer, \"日本\"\n", "größer, \"日本\"\n"},
		{"text", "VARCHAR", "", ""},
		{"character varying", "VARCHAR", "v", "v"},
		{"timestamp with time zone", "TIMESTAMP WITH TIME ZONE", "2026-01-02 03:04:05.000006+00", "2026-01-02 03:04:05.000006+00"},
		{"timestamp without time zone", "TIMESTAMP", "1969-12-31 23:59:59.5", "1969-12-31 23:59:59.5"},
		{"timestamp without time zone", "TIMESTAMP", "0044-03-15 12:00:00 BC", "0044-03-15 (BC) 12:00:00"},
		{"date", "DATE", "1969-12-31", "1969-12-31"},
		{"date", "DATE", "10000-02-29", "10000-02-29"},
		{"time without time zone", "TIME", "23:59:59.999999", "23:59:59.999999"},
		{"bytea", "BLOB", `\x00ff61`, `\x00\xFFa`},
		{"uuid", "UUID", "123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"},
		{"inet", "VARCHAR", "10.0.0.0/8", "10.0.0.0/8"},
		{"interval", "VARCHAR", "1 day 02:00:00", "1 day 02:00:00"},
		{"jsonb", "JSON", `{"a": [1, null]}`, `{"a": [1, null]}`},
		{"text[]", "VARCHAR[]", `{a,NULL,"b \"c,\\",""}`, "[a, NULL, 'b \"c,\\\\', '']"},
		{"bigint[]", "BIGINT[]", "{1,NULL,-3}", "[1, NULL, -3]"},
		{"integer[]", "INTEGER[]", "{}", "[]"},
		{"timestamp with time zone[]", "TIMESTAMP WITH TIME ZONE[]", `{"2026-01-02 03:04:05+00"}`, "['2026-01-02 03:04:05+00']"},
	}
}

func resultColumns() (columns []ParquetColumn, cells [][]byte) {
	for i, r := range results() {
		columns = append(columns, ParquetColumn{fmt.Sprintf("c%02d", len(results())-i), r.typ}) // not in the order of names
		cells = append(cells, []byte(r.text))
	}
	return columns, cells
}

// DuckDB reads what is written, whatever the type: values, NULLs, arrays with
// NULLs, in the columns' order.
func TestParquetWriterDuckDB(t *testing.T) {
	duck := duckdbtest.Install(t)
	columns, cells := resultColumns()
	var b bytes.Buffer
	w, err := NewParquetWriter(&b, columns)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := w.Write(append(append([][]byte{}, cells...), make([][]byte, len(cells))...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "result.parquet")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var exprs []string
	for _, c := range columns {
		exprs = append(exprs, "CAST("+c.Name+" AS VARCHAR)")
	}
	got := duck.Query(t, file, "SET TimeZone = 'UTC'; SELECT "+strings.Join(exprs, ", ")+" FROM read_parquet('"+file+"')")
	if len(got.Rows) != 6 || len(got.Types) != len(columns) {
		t.Fatalf("%d rows, %d columns, want 6 and %d", len(got.Rows), len(got.Types), len(columns))
	}
	for i, r := range results() {
		if want := [2]string{columns[i].Name, r.duck}; got.Types[i] != want {
			t.Errorf("column %d of type %s is %v, want %v", i, r.typ, got.Types[i], want)
		}
		if cell := got.Rows[4][i]; cell == nil || *cell != r.want {
			t.Errorf("%s %q is %v, want %q", r.typ, r.text, show(cell), r.want)
		}
		if got.Rows[5][i] != nil {
			t.Errorf("%s NULL is %q", r.typ, show(got.Rows[5][i]))
		}
	}
}

func show(s *string) string {
	if s == nil {
		return "NULL"
	}
	return *s
}

// Rows of an event table come back as they were, over several row groups.
func TestParquetWriterRoundTrip(t *testing.T) {
	table := event.Lookup("alerts")
	var columns []ParquetColumn
	for _, c := range table.Columns {
		columns = append(columns, ParquetColumn{c.Name, c.Type.String()})
	}
	path := filepath.Join(t.TempDir(), "alerts.parquet")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewParquetWriter(f, columns)
	if err != nil {
		t.Fatal(err)
	}
	const rows = groupRows + 1000
	for i := range rows {
		row := make([][]byte, len(columns))
		row[table.Index("alert_id")] = fmt.Append(nil, i)
		row[table.Index("tags")] = []byte(`{attack.t1059,"a b"}`)
		row[table.Index("last_seen")] = []byte("2026-01-02 03:04:05.5+00")
		row[table.Index("count")] = fmt.Append(nil, i%7)
		row[table.Index("complete")] = []byte("f")
		row[table.Index("matched_row")] = []byte(`{"pid": 7}`)
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil || w.Rows() != rows {
		t.Fatalf("%d rows, %v", w.Rows(), err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil || len(p.RowGroups()) != 2 || p.RowGroups()[0].NumRows() != groupRows {
		t.Errorf("%d row groups, %v, want two, the first of %d rows", len(p.RowGroups()), err, groupRows)
	}
	r, err := Open(context.Background(), path, table)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := 0
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Rows {
			want := fmt.Sprintf(`{"alert_id":"%d","count":%d,"last_seen":"2026-01-02T03:04:05.500000Z","matched_row":{"pid":7},"complete":false}`, n, n%7)
			got := strings.Replace(string(event.AppendJSONRow(nil, b, i)), `"tags":["attack.t1059","a b"],`, "", 1)
			if got != want {
				t.Fatalf("row %d is %s, want %s with tags", n, got, want)
			}
			n++
		}
	}
	if n != rows || len(r.Unknown()) != 0 {
		t.Errorf("%d rows and unknown columns %v came back, want %d and none", n, r.Unknown(), rows)
	}
}

func TestParquetWriterRefuses(t *testing.T) {
	for typ, text := range map[string]string{
		"boolean": "true", "smallint": "32768", "bigint": "1.5", "double precision": "x", "date": "2026-02-30", "timestamp with time zone": "infinity",
		"timestamp without time zone": "2026-01-02 25:00:00", "time without time zone": "24:00:01", "uuid": "12", "bytea": "ab", "jsonb": "{", "bigint[]": "{a}", "text[]": "{a",
	} {
		w, err := NewParquetWriter(io.Discard, []ParquetColumn{{"a", "text"}, {"b", typ}})
		if err != nil {
			t.Fatal(err)
		}
		var at *Error
		if err := w.Write([][]byte{[]byte("x"), nil, []byte("x"), []byte(text)}); !errors.As(err, &at) || at.Column != "b" || at.Row != 2 {
			t.Errorf("%s %q: %v, want an error in column b of row 2", typ, text, err)
		}
	}
	if _, err := NewParquetWriter(io.Discard, nil); err == nil {
		t.Error("a file without columns is begun")
	}
}

func FuzzParquetWriter(f *testing.F) {
	for i, r := range results() {
		f.Add(uint8(i), []byte(r.text))
	}
	f.Add(uint8(10), []byte("16777215-12-31 24:00:00.999999+00 BC"))
	f.Fuzz(func(t *testing.T, column uint8, cell []byte) {
		typ := results()[int(column)%len(results())].typ
		var b bytes.Buffer
		w, err := NewParquetWriter(&b, []ParquetColumn{{"c", typ}})
		if err != nil {
			t.Fatal(err)
		}
		if w.Write([][]byte{cell, nil}) != nil {
			return
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		p, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil || p.NumRows() != 2 {
			t.Fatalf("%s %q: %v", typ, cell, err)
		}
	})
}
