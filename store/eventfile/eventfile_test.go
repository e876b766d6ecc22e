package eventfile

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"daemoneye/bus/event"
)

// rawJSON is what Vector.Value returns of a jsonb column.
func rawJSON(s string) json.RawMessage { return json.RawMessage(s) }

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readAll returns each row as table name and the values that are not NULL.
func readAll(path string, table *event.Table) (rows []map[string]any, unknown map[string]int64, err error) {
	r, err := Open(context.Background(), path, table)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = r.Close() }()
	for {
		b, err := r.Next()
		if err == io.EOF {
			return rows, r.Unknown(), nil
		}
		if err != nil {
			return rows, r.Unknown(), err
		}
		for i := range b.Rows {
			row := map[string]any{"table": b.Table.Name}
			for j, v := range b.Columns {
				if value := v.Value(i); value != nil {
					row[b.Table.Columns[j].Name] = value
				}
			}
			rows = append(rows, row)
		}
	}
}

func TestCSV(t *testing.T) {
	text := "\ufeffpid,name,command_line,extra,ancestors,accessible,start_time,namespaces\r\n" +
		"7,,\"\",x,\"{a,\"\"b c\"\",\"\"d\\\"\"e\"\"}\",t,2025-06-01 12:00:00.25+02,\"{\"\"a\"\": 1}\"\n" +
		"\n" +
		"8,\"a \"\"b\"\"\nc\",,,{},f,,"
	rows, unknown, err := readAll(write(t, "a.csv", []byte(text)), event.Lookup("processes"))
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || unknown["extra"] != 1 {
		t.Fatalf("rows %v, unknown %v", rows, unknown)
	}
	if _, ok := rows[0]["name"]; ok || rows[0]["command_line"] != "" {
		t.Errorf("NULL and the empty string are mixed up: %v", rows[0])
	}
	if got, want := rows[0]["ancestors"], []string{"a", "b c", `d"e`}; !reflect.DeepEqual(got, want) {
		t.Errorf("ancestors = %q, want %q", got, want)
	}
	if got, want := rows[0]["start_time"], time.Date(2025, 6, 1, 10, 0, 0, 250e6, time.UTC); got != want {
		t.Errorf("start_time = %v, want %v", got, want)
	}
	if rows[1]["name"] != "a \"b\"\nc" || rows[1]["accessible"] != false || !reflect.DeepEqual(rows[1]["ancestors"], []string{}) {
		t.Errorf("row 2 = %v", rows[1])
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a.csv", "pid,name\n1,a\n\nx,b\n", `:4: column pid: value "x", want integer`},
		{"a.csv", "pid,name\n1\n", `:2: 1 fields, the header has 2`},
		{"a.csv", "pid,pid\n", `:1: column pid: it is twice in the header`},
		{"a.csv", "", `no header line`},
		{"a.csv", strings.Repeat(",", maxLine-1), `:1: a record of more than 16384 fields`},
		{"a.csv", "name\n\"a", `:2: a closing quote is missing`},
		{"a.csv", "name\n\"a\"b\n", `text after a closing quote`},
		{"a.csv", "ancestors\n\"{a,NULL}\"\n", "NULL as an element"},
		{"a.csv", "namespaces\n{\n", "want jsonb"},
		{"a.jsonl", "{\"pid\":1}\n\n{\"pid\":3000000000}\n", `:3: column pid: value "3000000000", want integer`},
		{"a.jsonl", `{"pid":1.5}`, `want integer`},
		{"a.jsonl", `{"accessible":1}`, `column accessible: value "1", want boolean`},
		{"a.jsonl", `{"name":7}`, `column name: value "7", want text`},
		{"a.jsonl", `{"start_time":"yesterday"}`, `want timestamptz`},
		{"a.jsonl", `{"namespaces":{"a":"\u0000"}}`, `\u0000 can not be stored`},
		{"a.jsonl", `{"namespaces":"\ud800x"}`, `surrogate`},
		{"a.jsonl", `{"ancestors":["a",null]}`, `NULL as an element`},
		{"a.jsonl", `[1]`, `want a JSON object`},
		{"a.jsonl", `null`, `want a JSON object`},
		{"a.jsonl", `{"table":"nosuch"}`, `unknown table "nosuch"`},
		{"a.jsonl", `{"name":"` + strings.Repeat("x", maxLine) + `"}`, `a line longer than`},
		{"a.txt", "", ErrFormat.Error()},
		{"a.parquet", "PAR1 garbage PAR1", "a.parquet"},
	} {
		_, _, err := readAll(write(t, c.name, []byte(c.text)), event.Lookup("processes"))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s %.60q: error %v, want …%s", c.name, c.text, err, c.want)
		}
	}
}

func TestJSONL(t *testing.T) {
	text := `{"pid":1,"start_time_ns":"9007199254740993","namespaces":{"a":[1, "\u00e9\ud83d\ude00"]},"cpu_usage":2e1,"odd":1,"ppid":null}` + "\n \n" +
		`{"table":"scans","source":"x","time":"2025-06-01 12:00:00+00"}`
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	if _, err := zip.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"a.jsonl": []byte(text), "a.NDJSON.gz": zipped.Bytes()} {
		rows, unknown, err := readAll(write(t, name, data), event.Lookup("processes"))
		if err != nil || len(rows) != 2 || unknown["odd"] != 1 || len(unknown) != 1 {
			t.Fatalf("%s: rows %v, unknown %v, %v", name, rows, unknown, err)
		}
		if rows[0]["start_time_ns"] != int64(9007199254740993) || rows[0]["cpu_usage"] != 20.0 || rows[0]["ppid"] != nil {
			t.Errorf("row 1 = %v", rows[0])
		}
		if rows[1]["table"] != "scans" || rows[1]["time"] != time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC) {
			t.Errorf("row 2 = %v", rows[1])
		}
	}
	if _, _, err := readAll(write(t, "a.jsonl", []byte(`{"pid":1}`)), nil); err == nil {
		t.Error("a row of no table was read")
	}
}

// TestRecordingRoundTrip writes batches as JSON Lines and reads them back.
func TestRecordingRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rec.jsonl")
	rapid.Check(t, func(t *rapid.T) {
		var buf bytes.Buffer
		var want []map[string]any
		for range rapid.IntRange(0, 4).Draw(t, "batches") {
			table := rapid.SampledFrom(event.Tables()).Draw(t, "table")
			b := event.NewBuilder(table)
			for range rapid.IntRange(0, 4).Draw(t, "rows") {
				want = append(want, drawRow(t, b))
			}
			if err := WriteJSONL(&buf, b.Batch()); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		got, unknown, err := readAll(path, nil)
		if err != nil || len(unknown) != 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("read %v, unknown %v, %v, want %v", got, unknown, err, want)
		}
	})
}

func drawRow(t *rapid.T, b *event.Builder) map[string]any {
	row := map[string]any{"table": b.Table().Name}
	for _, c := range b.Table().Columns {
		col := b.Column(c.Name)
		switch {
		case rapid.Bool().Draw(t, "null"):
			continue
		case c.Type == event.Bool:
			v := rapid.Bool().Draw(t, "bool")
			col.Bool(v)
			row[c.Name] = v
		case c.Type == event.Int4:
			v := int64(rapid.Int32().Draw(t, "int4"))
			col.Int(v)
			row[c.Name] = v
		case c.Type == event.Int8:
			v := rapid.Int64().Draw(t, "int8")
			col.Int(v)
			row[c.Name] = v
		case c.Type == event.Float8:
			v := rapid.Float64().Draw(t, "float8")
			col.Float(v)
			row[c.Name] = v
		case c.Type == event.Timestamptz:
			v := time.UnixMicro(rapid.Int64Range(-1<<50, 1<<53).Draw(t, "time")).UTC()
			col.Time(v)
			row[c.Name] = v
		case c.Type == event.TextArray:
			v := rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "array")
			for i := range v {
				v[i] = event.Clean(v[i])
			}
			col.Texts(v)
			row[c.Name] = v
		case c.Type == event.JSONB:
			col.JSON([]byte("{\"a\":\n [1]}"))
			row[c.Name] = rawJSON(`{"a":[1]}`)
		default:
			v := event.Clean(rapid.String().Draw(t, "text"))
			col.Text(v)
			row[c.Name] = v
		}
	}
	b.EndRow()
	return row
}

type parquetRow struct {
	PID       int64     `parquet:"pid"`
	PPID      *int32    `parquet:"ppid,optional"`
	Name      string    `parquet:"name,dict"`
	Start     time.Time `parquet:"start_time,timestamp(microsecond)"`
	Collected int64     `parquet:"collection_time,timestamp(millisecond)"`
	NS        uint64    `parquet:"start_time_ns"`
	CPU       float32   `parquet:"cpu_usage"`
	Ancestors []string  `parquet:"ancestors,list,optional"`
	Caps      []string  `parquet:"capabilities"`
	Spaces    string    `parquet:"namespaces,json"`
	OK        bool      `parquet:"accessible"`
	Odd       string    `parquet:"odd"`
}

func parquetFileOf(t testing.TB, rows []parquetRow) []byte {
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[parquetRow](&buf, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(700))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestParquet(t *testing.T) {
	at := time.Date(2025, 6, 1, 12, 0, 0, 123456000, time.UTC)
	ppid := int32(1)
	list := make([]parquetRow, 5000)
	for i := range list {
		list[i] = parquetRow{PID: int64(i), Name: "n", Start: at, Collected: at.UnixMilli(), NS: 5, CPU: 1.5, Spaces: `{"m": 1}`, OK: true, Odd: "o", Caps: []string{"c"}}
		if i%2 == 0 {
			list[i].PPID, list[i].Ancestors = &ppid, []string{"a", "b"}
		}
	}
	rows, unknown, err := readAll(write(t, "a.parquet", parquetFileOf(t, list)), event.Lookup("processes"))
	if err != nil || len(rows) != len(list) || unknown["odd"] != int64(len(list)) {
		t.Fatalf("%d rows, unknown %v, %v", len(rows), unknown, err)
	}
	want := map[string]any{
		"table": "processes", "pid": int64(4998), "ppid": int64(1), "name": "n", "start_time": at, "collection_time": at.Truncate(time.Millisecond),
		"start_time_ns": int64(5), "cpu_usage": 1.5, "ancestors": []string{"a", "b"}, "capabilities": []string{"c"}, "namespaces": rawJSON(`{"m": 1}`), "accessible": true,
	}
	if !reflect.DeepEqual(rows[4998], want) {
		t.Errorf("row = %v, want %v", rows[4998], want)
	}
	list[4321].PID = 1 << 40
	_, _, err = readAll(write(t, "b.parquet", parquetFileOf(t, list)), event.Lookup("processes"))
	var at4322 *Error
	if !errors.As(err, &at4322) || at4322.Row != 4322 || at4322.Column != "pid" {
		t.Errorf("out of range pid: %v, want row 4322, column pid", err)
	}
}

func fuzz(f *testing.F, name string, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, _, err := readAll(write(t, name, data), event.Lookup("processes"))
		if err == nil && len(rows) > len(data) && name != "a.parquet" {
			t.Errorf("%d rows of %d bytes", len(rows), len(data))
		}
	})
}

func FuzzJSONL(f *testing.F) {
	fuzz(f, "a.jsonl", `{"pid":1,"namespaces":{"a":"\ud83d\ude00"}}`, `{"table":"scans","time":"2025-06-01"}`, "{}\n\n{}", `{"ancestors":["a"]}`,
		` [{"pid":1}, {"table":"scans"}]`, "\ufeff[]", "[{},", "[{}] 1", "[null]", "[[]]")
}

func FuzzCSV(f *testing.F) {
	fuzz(f, "a.csv", "pid,ancestors\n1,\"{a,\"\"b\"\"}\"\n", "name\n\"\"\n", "a,b\r\n1,2", "namespaces\n\"\"\"\\u0000\"\"\"")
}

func FuzzParquet(f *testing.F) {
	fuzz(f, "a.parquet", string(parquetFileOf(f, []parquetRow{{PID: 1, Ancestors: []string{"a"}, Spaces: "{}"}, {Spaces: "1"}})), "PAR1")
}

// One array of objects is read like as many lines, an object at a time.
func TestArray(t *testing.T) {
	table := event.Lookup("process_events")
	for text, want := range map[string]string{
		"[]":                                   "0",
		" \n\t[ ]\n":                           "0",
		"\ufeff[{\"pid\": 1},\n {\"pid\": 2}]": "2",
		`[{"pid": 1}, {"table": "scans"}]`:     "2",
		`[{"pid": 1}, {"pid": "x"}]`:           `: row 2: column pid: `,
		`[{"pid": 1}, {"table": "x"}]`:         `: row 2: unknown table "x"`,
		`[{"pid": 1}, null]`:                   ": row 2: want a JSON object, not null",
		`[{"pid": 1}, 2]`:                      ": row 2: want a JSON object: ",
		`[{"pid": 1}`:                          ": row 2: unexpected EOF",
		`[`:                                    ": row 1: unexpected EOF",
		`[{"pid": 1}] {"pid": 2}`:              ": row 2: more follows the array",
		`[{"name": "` + strings.Repeat("x", maxLine) + `"}]`: ": row 1: want a JSON object: an object longer than",
	} {
		path := filepath.Join(t.TempDir(), "a.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(context.Background(), path, table)
		if err != nil {
			t.Fatal(err)
		}
		rows, got := 0, ""
		for got == "" {
			b, err := r.Next()
			switch {
			case err == io.EOF:
				got = strconv.Itoa(rows)
			case err != nil:
				got = err.Error()
			default:
				rows += b.Rows
			}
		}
		if got != want && !(want[0] == ':' && strings.HasPrefix(got, path+want)) {
			t.Errorf("%.60s: %q, want %q", text, got, want)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Reading ends with its context, also within blank lines without end.
func TestCancel(t *testing.T) {
	blank := []byte("pid\n" + strings.Repeat("\n", 1<<20))
	for name, data := range map[string][]byte{
		"a.jsonl": blank[len("pid"):], "a.csv": blank, "a.json": append([]byte("["), blank[len("pid"):]...),
		"a.parquet": parquetFileOf(t, []parquetRow{{PID: 1}}),
	} {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := Open(ctx, write(t, name, data), event.Lookup("processes"))
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := r.Next(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want %v", name, err, context.Canceled)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
