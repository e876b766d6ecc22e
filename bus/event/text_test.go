package event

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseText(t *testing.T) {
	at := time.Date(2025, 6, 1, 12, 0, 0, 500e6, time.UTC)
	for _, c := range []struct {
		column, in string
		want       any // nil: refused
	}{
		{"accessible", "t", true},
		{"accessible", "false", false},
		{"accessible", "maybe", nil},
		{"pid", " 7 ", int64(7)},
		{"pid", "2147483648", nil},
		{"pid", "7.0", nil},
		{"pid", "", nil},
		{"memory_usage", "-9223372036854775808", int64(-1 << 63)},
		{"memory_usage", "9223372036854775808", nil},
		{"cpu_usage", "1e3", 1000.0},
		{"cpu_usage", "0x10", nil},
		{"cpu_usage", "1_0", nil},
		{"start_time", "2025-06-01 12:00:00.5+00", at},
		{"start_time", "2025-06-01T14:00:00.5+02:00", at},
		{"start_time", "2025-06-01 12:00:00.5", at},
		{"start_time", "2025-06-31 12:00:00", nil},
		{"start_time", "0044-03-15 00:00:00+00 BC", time.Date(-43, 3, 15, 0, 0, 0, 0, time.UTC)},
		{"start_time", "-0043-03-15T00:00:00.000000Z", time.Date(-43, 3, 15, 0, 0, 0, 0, time.UTC)},
		{"start_time", "0001-02-29 00:00:00+00 BC", time.Date(0, 2, 29, 0, 0, 0, 0, time.UTC)},
		{"start_time", "0001-02-29 00:00:00+00", nil},
		{"start_time", "0000-01-01 00:00:00+00 BC", nil},
		{"start_time", "-0043-03-15 00:00:00+00 BC", nil},
		{"start_time", "12025-06-01 12:00:00.5+00", time.Date(12025, 6, 1, 12, 0, 0, 5e8, time.UTC)},
		{"start_time", "294247-01-10 04:00:54.775807+00", time.Date(294247, 1, 10, 4, 0, 54, 775807e3, time.UTC)},
		{"start_time", "294247-01-10 04:00:54.775808+00", nil},
		{"start_time", "4294969321-06-01 12:00:00", nil},
		{"start_time", "225-06-01 12:00:00", nil},
		{"namespaces", `{"a": 1}`, json.RawMessage(`{"a": 1}`)},
		{"namespaces", `"\u0000"`, nil},
		{"namespaces", `"\\u0000"`, json.RawMessage(`"\\u0000"`)},
		{"namespaces", `"\udc00"`, nil},
		{"namespaces", `"\ud83d\ude00"`, json.RawMessage(`"\ud83d\ude00"`)},
		{"namespaces", `{`, nil},
		{"ancestors", "{}", []string{}},
		{"ancestors", `{a, "b,\"}" ,c d}`, []string{"a", `b,"}`, "c d"}},
		{"ancestors", `{"NULL"}`, []string{"NULL"}},
		{"ancestors", "{NULL}", nil},
		{"ancestors", "{a,}", nil},
		{"ancestors", "{a", nil},
		{"ancestors", "a", nil},
		{"ancestors", "{{a}}", nil},
		{"ancestors", "{a}b}", nil},
		{"name", "a\x00b", `a\x00b`},
	} {
		b := NewBuilder(Lookup("processes"))
		err := b.Column(c.column).ParseText(c.in)
		b.EndRow()
		got := b.Batch().Column(c.column).Value(0)
		if (err != nil) != (c.want == nil) || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: ParseText(%q) = %v, %v, want %v", c.column, c.in, got, err, c.want)
		}
	}
}

func TestAppendJSONRowReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batch, want := drawBatch(t)
		b := NewBuilder(batch.Table)
		for i := range batch.Rows {
			var row map[string]json.RawMessage
			if err := json.Unmarshal(AppendJSONRow(nil, batch, i), &row); err != nil {
				t.Fatal(err)
			}
			for name, raw := range row {
				if err := b.Column(name).ParseJSON(raw); err != nil {
					t.Fatal(err)
				}
			}
			b.EndRow()
		}
		again := b.Batch()
		for i := range want {
			for j := range want[i] {
				if batch.Table.Columns[j].Type == JSONB {
					continue // its text is compacted
				}
				if got := again.Columns[j].Value(i); !reflect.DeepEqual(got, want[i][j]) {
					t.Errorf("row %d, %s = %v, want %v", i, batch.Table.Columns[j].Name, got, want[i][j])
				}
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(`{a,"b"}`)
	f.Add(`{"a": "\ud83d\ude00"}`)
	f.Add("2025-06-01 12:00:00+00")
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range Lookup("processes").Columns {
			b := NewBuilder(Lookup("processes"))
			if err := b.Column(c.Name).ParseText(s); err == nil {
				b.EndRow()
				if v := b.Batch().Column(c.Name); v == nil || v.IsNull(0) {
					t.Errorf("%s: ParseText(%q) set NULL", c.Name, s)
				}
			}
			_ = NewBuilder(Lookup("processes")).Column(c.Name).ParseJSON([]byte(s))
		}
	})
}
