package event

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTablesAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, table := range Tables() {
		if seen[table.Name] {
			t.Errorf("table %s twice", table.Name)
		}
		seen[table.Name] = true
		if got := Lookup(table.Name); got != table {
			t.Errorf("Lookup(%q) = %v, want the table", table.Name, got)
		}
		if i := table.Index(table.Time); i < 0 || table.Columns[i].Type != Timestamptz || !table.Columns[i].NotNull {
			t.Errorf("%s: time column %q is not a timestamptz NOT NULL", table.Name, table.Time)
		}
		names := map[string]bool{}
		for _, c := range table.Columns {
			if names[c.Name] {
				t.Errorf("%s.%s twice", table.Name, c.Name)
			}
			names[c.Name] = true
			if !c.Type.valid() || c.Doc == "" || strings.ContainsAny(c.Doc, "\n") {
				t.Errorf("%s.%s: type %v, doc %q", table.Name, c.Name, c.Type, c.Doc)
			}
		}
	}
	if Lookup("pg_class") != nil || Lookup("processes").Index("cmdline") != -1 {
		t.Error("unknown table or column was found")
	}
}

func TestClean(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"größe\x1b[31m\n", "größe\x1b[31m\n"},
		{"a\x00b", `a\x00b`},
		{"a\xffb\xc3", `a\xffb\xc3`},
		{"\xed\xa0\x80", `\xed\xa0\x80`}, // a surrogate half
		{"\ufffd", "\ufffd"},             // the replacement character itself is valid
	} {
		if got := Clean(c.in); got != c.want {
			t.Errorf("Clean(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestBuilderLeavesUnsetColumnsNull(t *testing.T) {
	b := NewBuilder(Lookup("process_samples"))
	b.EndRow()
	b.Column("name").Text("a")
	b.Column("threads").Int(1 << 40) // outside integer: NULL
	b.EndRow()
	b.EndRow()
	batch := b.Batch()
	if batch.Rows != 3 {
		t.Fatalf("rows = %d, want 3", batch.Rows)
	}
	name := batch.Column("name")
	if got := []any{name.Value(0), name.Value(1), name.Value(2)}; !reflect.DeepEqual(got, []any{nil, "a", nil}) {
		t.Errorf("name = %v, want [nil a nil]", got)
	}
	if batch.Column("threads") != nil || batch.Column("pid") != nil {
		t.Error("a column that was never set is not nil")
	}
	if b.Rows() != 0 || b.Batch().Rows != 0 {
		t.Error("the builder is not empty after Batch")
	}
}

// drawBatch draws a batch of any table with any values.
func drawBatch(t *rapid.T) (*Batch, [][]any) {
	b := NewBuilder(rapid.SampledFrom(Tables()).Draw(t, "table"))
	rows := drawRows(t, b)
	return b.Batch(), rows
}

// drawRows adds rows with any values.
func drawRows(t *rapid.T, b *Builder) [][]any {
	table := b.Table()
	n := rapid.IntRange(0, 200).Draw(t, "rows")
	rows := make([][]any, n)
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "a", "ü", "/bin/sh"}), rapid.String())
	for i := range rows {
		rows[i] = make([]any, len(table.Columns))
		for j, c := range table.Columns {
			if rapid.IntRange(0, 3).Draw(t, "null") == 0 {
				continue
			}
			cb := b.Column(c.Name)
			switch c.Type {
			case Bool:
				v := rapid.Bool().Draw(t, "bool")
				rows[i][j] = v
				cb.Bool(v)
			case Int4:
				v := int64(rapid.Int32().Draw(t, "int4"))
				rows[i][j] = v
				cb.Int(v)
			case Int8:
				v := rapid.Int64().Draw(t, "int8")
				rows[i][j] = v
				cb.Int(v)
			case Float8:
				v := rapid.Float64().Draw(t, "float8")
				rows[i][j] = v
				cb.Float(v)
			case Timestamptz:
				v := rapid.Int64Range(-1<<50, 1<<53).Draw(t, "time")
				rows[i][j] = time.UnixMicro(v).UTC()
				cb.Micro(v)
			case TextArray:
				v := rapid.SliceOfN(text, 0, 5).Draw(t, "array")
				for k := range v {
					v[k] = Clean(v[k])
				}
				rows[i][j] = v
				cb.Texts(v)
			case JSONB:
				cb.JSON([]byte(`{"a": 1}`))
				rows[i][j] = cb.vec.Value(i)
			default:
				v := Clean(text.Draw(t, "text"))
				rows[i][j] = v
				cb.Text(v)
			}
		}
		b.EndRow()
	}
	return rows
}

func checkRows(t *rapid.T, b *Batch, rows [][]any) {
	if b.Rows != len(rows) {
		t.Fatalf("rows = %d, want %d", b.Rows, len(rows))
	}
	for i := range rows {
		for j, want := range rows[i] {
			if got := b.Columns[j].Value(i); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s row %d column %s = %#v, want %#v", b.Table.Name, i, b.Table.Columns[j].Name, got, want)
			}
		}
	}
}

// A builder that has the memory of its last batch back makes the same of rows
// as a new one.
func TestReuse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := NewBuilder(rapid.SampledFrom(Tables()).Draw(t, "table"))
		for range 3 {
			rows := drawRows(t, b)
			batch := b.Batch()
			checkRows(t, batch, rows)
			for i, v := range batch.Columns {
				if v != nil && v.Nulls != nil && !slices.ContainsFunc(v.Nulls, func(word uint64) bool { return word != 0 }) {
					t.Fatalf("column %s has a list of NULLs and none of them", batch.Table.Columns[i].Name)
				}
			}
			again := NewBuilder(b.Table())
			for i := range rows {
				again.AddRow(batch, i)
			}
			if got, want := Encode(nil, batch), Encode(nil, again.Batch()); !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, of a new builder %d", len(got), len(want))
			}
			b.Reuse(batch)
		}
	})
}

func TestCodecRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, rows := drawBatch(t)
		checkRows(t, b, rows)
		data := Encode(nil, b)
		got, err := Decode(data, nil)
		if err != nil {
			t.Fatal(err)
		}
		checkRows(t, got, rows)
		if name, n, err := BatchTable(data); err != nil || name != b.Table.Name || n != len(rows) {
			t.Fatalf("BatchTable = %q, %d, %v, want %q, %d", name, n, err, b.Table.Name, len(rows))
		}
		copied := NewBuilder(b.Table)
		for i := range rows {
			copied.AddRow(got, i)
		}
		checkRows(t, copied.Batch(), rows)
		if _, err := Decode(append(data, 0), nil); err == nil {
			t.Fatal("a byte after the end was accepted")
		}
		if _, err := Decode(data[:len(data)-1], nil); err == nil {
			t.Fatal("a truncated batch was accepted")
		}
	})
}

func TestDecodeOnlyWanted(t *testing.T) {
	batch := exampleBatch(10)
	got, err := Decode(Encode(nil, batch), func(c string) bool { return c == "pid" || c == "ancestors" })
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range got.Table.Columns {
		if want := c.Name == "pid" || c.Name == "ancestors"; (got.Columns[i] != nil) != want {
			t.Errorf("column %s decoded: %t, want %t", c.Name, !want, want)
		}
	}
	if !reflect.DeepEqual(got.Column("ancestors").Texts(3), batch.Column("ancestors").Texts(3)) {
		t.Error("ancestors differ")
	}
}

// exampleBatch makes n rows of process_events like those of a busy host.
func exampleBatch(n int) *Batch {
	b := NewBuilder(Lookup("process_events"))
	exe := []string{"/usr/bin/dash", "/usr/bin/git", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1", "/usr/sbin/sshd"}
	for i := range n {
		at := time.Unix(1_790_000_000, 0).Add(time.Duration(i) * time.Millisecond)
		b.Column("time").Time(at)
		b.Column("event").Text("seen")
		b.Column("source").Text("procfs")
		b.Column("entity_id").Text(strings.Repeat("0123456789abcdef", 2)[:24] + string(rune('a'+i%26)) + string(rune('a'+i/26%26)))
		b.Column("pid").Int(int64(1000 + i))
		b.Column("ppid").Int(1)
		b.Column("name").Text(exe[i%4][strings.LastIndexByte(exe[i%4], '/')+1:])
		b.Column("executable_path").Text(exe[i%4])
		b.Column("command_line").Text(exe[i%4] + " --file /srv/data/" + string(rune('a'+i%26)))
		b.Column("start_time").Time(at)
		b.Column("user_id").Int(int64(i % 3))
		b.Column("memory_usage").Int(int64(i) << 12)
		b.Column("cpu_usage").Float(float64(i) / 3)
		b.Column("kernel_thread").Bool(false)
		b.Column("accessible").Bool(true)
		b.Column("ancestors").Texts([]string{"/usr/bin/bash", "/usr/sbin/sshd", "/usr/lib/systemd/systemd"})
		b.Column("collection_time").Time(at)
		b.EndRow()
	}
	return b.Batch()
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(nil, exampleBatch(3)))
	f.Add(Encode(nil, exampleBatch(0)))
	f.Add([]byte{0x94, 1, 0xa5, 's', 'c', 'a', 'n', 's', 0xcd, 0xff, 0xff, 0x90})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Decode(data, nil)
		if err != nil {
			return
		}
		// Whatever was accepted must be readable and survive a round trip.
		c, err := Decode(Encode(nil, b), nil)
		if err != nil {
			t.Fatalf("decode of the encoded batch: %v", err)
		}
		for j, v := range b.Columns {
			for i := range b.Rows {
				if got, want := c.Columns[j].Value(i), v.Value(i); !reflect.DeepEqual(got, want) && !isNaN(want) {
					t.Fatalf("row %d column %d = %v, want %v", i, j, got, want)
				}
			}
		}
	})
}

func isNaN(v any) bool {
	f, ok := v.(float64)
	return ok && f != f
}

func TestAlertFillsEveryRequiredColumn(t *testing.T) {
	b := NewBuilder(Lookup("alerts"))
	a := Alert{ID: "1", RuleID: "r", Severity: "high", Title: "t", DedupKey: "k", Count: 1, Table: "processes", Row: []byte(`{}`), Host: "h"}
	a.AppendTo(b)
	batch := b.Batch()
	for i, c := range batch.Table.Columns {
		if c.NotNull && batch.Columns[i].IsNull(0) {
			t.Errorf("alerts.%s is NULL", c.Name)
		}
	}
}

// The DDL is checked against a real PostgreSQL in the client's schema test;
// here, that each column stands in it once with its comment.
func TestDDL(t *testing.T) {
	ddl := string(AppendDDL(nil, Tables()))
	for _, table := range Tables() {
		for _, c := range table.Columns {
			if n := strings.Count(ddl, "COMMENT ON COLUMN "+table.Name+"."+c.Name+" IS '"); n != 1 {
				t.Errorf("%s.%s has %d comments, want 1", table.Name, c.Name, n)
			}
		}
	}
	if !strings.Contains(ddl, "the parent''s") {
		t.Error("quotes are not doubled")
	}
}

func BenchmarkEncode(b *testing.B) {
	batch := exampleBatch(1000)
	var data []byte
	for b.Loop() {
		data = Encode(data[:0], batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/row")
	b.ReportMetric(float64(len(data))/1000, "bytes/row")
}

func BenchmarkDecode(b *testing.B) {
	data := Encode(nil, exampleBatch(1000))
	for b.Loop() {
		if _, err := Decode(data, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/row")
}
