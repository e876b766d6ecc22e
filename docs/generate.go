//go:build ignore

// Writes the pages and files that are made from the code: run by go generate.
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"os"

	"daemoneye/bus/event"
	"daemoneye/roles/config"
	"daemoneye/rules/sql"
)

func main() {
	for path, write := range map[string]func(io.Writer) error{
		"docs/sql.md":      sql.WriteDoc,
		"docs/tables.md":   writeTables,
		"dist/config.yaml": config.WriteExample,
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			log.Fatalf("%s: %v", path, err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

func writeTables(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprint(&b, "# Tables\n\nWhat rules and queries see. Made from the code by `just generate`; `daemoneye schema` prints the same,\n"+
		"`daemoneye schema --format postgres` as statements for a PostgreSQL. Times are in UTC.\n"+
		"A *stream* table gets rows as things happen; a *state* table shows how things are now.\n")
	for _, t := range event.Tables() {
		fmt.Fprintf(&b, "\n## %s\n\nOne row: %s. A %s table, by `%s`.\n\n| column | type | |\n|---|---|---|\n", t.Name, t.Doc, t.Kind, t.Time)
		for _, c := range t.Columns {
			doc := c.Doc
			if c.Unit != "" {
				doc += " (" + c.Unit + ")"
			}
			if c.NotNull {
				doc += "; never NULL"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.Name, c.Type, doc)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
