package segment

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"daemoneye/bus/event"
	"daemoneye/store/duckdbtest"
)

var duckTypes = map[event.Type]string{
	event.Bool: "BOOLEAN", event.Int4: "INTEGER", event.Int8: "BIGINT", event.Float8: "DOUBLE", event.Text: "VARCHAR",
	event.Timestamptz: "TIMESTAMP WITH TIME ZONE", event.JSONB: "JSON", event.TextArray: "VARCHAR[]",
}

// DuckDB reads a segment as it is: types, values, NULLs, arrays, JSON.
func TestDuckDB(t *testing.T) {
	duck := duckdbtest.Install(t)
	for name, batches := range map[string][]*event.Batch{
		"generated": sample(3000), "few": sample(1000)[:1], "all": {everything(200)}, "one row": {everything(1)}, "alerts": {alerts()},
	} {
		t.Run(name, func(t *testing.T) {
			data, _ := write(t, batches...)
			file := filepath.Join(t.TempDir(), "segment.parquet")
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			table := batches[0].Table
			var exprs []string
			for _, c := range table.Columns {
				e := c.Name
				switch c.Type {
				case event.Timestamptz:
					e = "epoch_us(" + e + ")"
				case event.TextArray:
					e = "to_json(" + e + ")"
				}
				exprs = append(exprs, "CAST("+e+" AS VARCHAR)")
			}
			got := duck.Query(t, file, "SELECT "+strings.Join(exprs, ", ")+" FROM read_parquet('"+file+"')")
			for i, c := range table.Columns {
				if want := [2]string{c.Name, duckTypes[c.Type]}; got.Types[i] != want {
					t.Errorf("column %d is %v, want %v", i, got.Types[i], want)
				}
			}
			texts := make([]string, len(got.Rows))
			for i, row := range got.Rows {
				texts[i] = duckRow(t, table, row)
			}
			if diff := firstDifference(texts, byTime(batches)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// duckRow makes a row of DuckDB's texts what AppendJSONRow makes of ours.
func duckRow(t *testing.T, table *event.Table, row []*string) string {
	b := event.NewBuilder(table)
	for i, c := range table.Columns {
		if row[i] == nil {
			continue
		}
		var err error
		column, text := b.Column(c.Name), *row[i]
		switch c.Type {
		case event.Timestamptz:
			var us int64
			us, err = strconv.ParseInt(text, 10, 64)
			column.Micro(us)
		case event.TextArray:
			err = column.ParseJSON([]byte(text))
		default:
			err = column.ParseText(text)
		}
		if err != nil {
			t.Fatalf("column %q: %v", c.Name, err)
		}
	}
	b.EndRow()
	return string(event.AppendJSONRow(nil, b.Batch(), 0))
}

// everything is rows of process_events with values, NULLs, and extremes of
// every type.
func everything(n int) *event.Batch {
	b := event.NewBuilder(event.Lookup("process_events"))
	texts := []string{"", "a", "größer", "日本", strings.Repeat("x", 300), "it's \"quoted\"\t"}
	for i := range n {
		for j, c := range b.Table().Columns {
			if (i+j)%5 == 4 {
				continue
			}
			column := b.Column(c.Name)
			switch c.Type {
			case event.Bool:
				column.Bool((i+j)%3 == 0)
			case event.Int4:
				column.Int([]int64{0, 1, -1, math.MinInt32, math.MaxInt32, int64(i * j)}[(i+j)%6])
			case event.Int8:
				column.Int([]int64{0, 1, -1, math.MinInt64, math.MaxInt64, int64(i * j)}[(i+j)%6])
			case event.Timestamptz:
				column.Micro(1_750_000_000_000_000 + int64(i*j*7919))
			case event.Float8:
				column.Float([]float64{0, 1.5, -1e300, math.Inf(1), math.Inf(-1), math.NaN()}[(i+j)%6])
			case event.JSONB:
				column.JSON([]byte([]string{`{"a": [1, "ü", null]}`, `[]`, `"s"`, `1.50`}[(i+j)%4]))
			case event.TextArray:
				column.Texts([][]string{{}, {""}, {"a", "b", "a"}, texts}[(i+j)%4])
			default:
				column.Text(texts[(i+j)%6] + []string{"", strconv.Itoa(i)}[j%2])
			}
		}
		b.EndRow()
	}
	return b.Batch()
}

func alerts() *event.Batch {
	b := event.NewBuilder(event.Lookup("alerts"))
	for i := range 40 {
		b.Column("last_seen").Micro(int64(i) * 1_000_000)
		b.Column("alert_id").Text(fmt.Sprint("id", i))
		b.Column("tags").Texts([]string{"attack.t1059", fmt.Sprint(i)})
		b.EndRow()
	}
	return b.Batch()
}
