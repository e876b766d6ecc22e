package client

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"daemoneye/bus/event"
	"daemoneye/roles/term"
)

func schemaCommand() *cli.Command {
	return &cli.Command{
		Name:      "schema",
		Usage:     "show the tables and columns that rules and queries see",
		ArgsUsage: "[TABLE]",
		Description: `   daemoneye schema
   daemoneye schema process_events
   daemoneye schema --format postgres | psql hunting

"postgres" prints CREATE TABLE statements with comments.`,
		Flags:  []cli.Flag{formatFlag("postgres")},
		Action: run(schema),
	}
}

func schema(c *call) error {
	name, err := format(c.Context, "postgres")
	if err != nil {
		return err
	}
	tables := event.Tables()
	if c.NArg() > 1 {
		return usage("", "schema takes one table or none")
	}
	if want := c.Args().First(); want != "" {
		t, err := lookupTable(want)
		if err != nil {
			return err
		}
		tables = []*event.Table{t}
	}
	switch {
	case name == "postgres":
		_, err := c.out.Write(event.AppendDDL(nil, tables))
		return err
	case name == "table" && len(tables) > 1:
		list := newListing("table text", "kind text", "columns integer", "description text")
		for _, t := range tables {
			list.add(t.Name, t.Kind.String(), len(t.Columns), t.Doc)
		}
		return list.print(newPrinter(c.out, name))
	}
	if name == "table" {
		return columnsOf(c.out, tables[0])
	}
	list := newListing("table text", "column text", "type text", "nullable boolean", "unit text", "description text")
	for _, t := range tables {
		for _, column := range t.Columns {
			var unit any
			if column.Unit != "" {
				unit = column.Unit
			}
			list.add(t.Name, column.Name, column.Type.String(), !column.NotNull, unit, column.Doc)
		}
	}
	return list.print(newPrinter(c.out, name))
}

// columnsOf prints the columns of a table for people: on a terminal each
// description goes on below itself.
func columnsOf(out *term.Output, t *event.Table) error {
	const least = 24
	var widths [2]int
	for _, c := range t.Columns {
		widths[0], widths[1] = max(widths[0], len(c.Name)), max(widths[1], len(columnType(c)))
	}
	room := max(out.Width-widths[0]-widths[1]-8, least)
	if !out.Terminal || out.Width <= 0 {
		room = 1 << 20
	}
	list := newListing("column rigid text", "type rigid text", "description text")
	for _, c := range t.Columns {
		doc := c.Doc
		if c.Unit != "" {
			doc = strings.TrimSuffix(doc, ".") + " (" + c.Unit + ")"
		}
		list.add(c.Name, columnType(c), strings.Join(term.Wrap(doc, room), "\n"))
	}
	fmt.Fprintf(out, "%s: %s\n\n", t.Name, t.Doc)
	return list.print(newResultPrinter(out, "table"))
}

// columnType is the type of a column as CREATE TABLE has it.
func columnType(c event.Column) string {
	if c.NotNull {
		return c.Type.String() + " not null"
	}
	return c.Type.String()
}

// lookupTable returns the table, or a usage error that names those there are.
func lookupTable(name string) (*event.Table, error) {
	if t := event.Lookup(name); t != nil {
		return t, nil
	}
	var names []string
	for _, t := range event.Tables() {
		names = append(names, t.Name)
	}
	return nil, usage("there are "+strings.Join(names, ", "), "there is no table %q", name)
}

// lookupStream returns the table whose rows can be watched as they come, or a
// usage error that names those that can.
func lookupStream(name string) (*event.Table, error) {
	t, err := lookupTable(name)
	if err != nil || t.Kind == event.Stream {
		return t, err
	}
	var names []string
	for _, t := range event.Tables() {
		if t.Kind == event.Stream {
			names = append(names, t.Name)
		}
	}
	hint := "these can be watched: " + strings.Join(names, ", ") + `; ask for the present state with "daemoneye query"`
	if name == "alerts" {
		hint = `write "watch alerts"`
	}
	return nil, usage(hint, "%s is the present state of something, not events that can be watched", name)
}
