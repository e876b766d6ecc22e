// Package duckdbtest lets tests read Parquet files with DuckDB.
package duckdbtest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// script prints the columns' types, then the rows of a query, as JSON.
const script = `
const { DuckDBInstance } = require('@duckdb/node-api');
(async () => {
  const db = await (await DuckDBInstance.create(':memory:')).connect();
  const [file, query] = process.argv.slice(2);
  const types = await db.runAndReadAll("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet('" + file + "'))");
  const rows = await db.runAndReadAll(query);
  process.stdout.write(JSON.stringify({ types: types.getRowsJson(), rows: rows.getRowsJson() }));
})().catch((e) => { console.error(String(e)); process.exit(1); });
`

// DuckDB is an installation in a temporary directory.
type DuckDB struct{ dir string }

// Install installs DuckDB from npm, and skips the test where that can not be
// done.
func Install(t testing.TB) *DuckDB {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("DuckDB comes from npm: %v", err)
		}
	}
	dir := t.TempDir()
	cmd := exec.Command("npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", dir, "@duckdb/node-api@1.5.6-r.1")
	cmd.Dir = dir
	done := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer done.Stop()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("npm install @duckdb/node-api: %v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "read.cjs"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return &DuckDB{dir}
}

// Result is the types of a file's columns, by name, and the rows of a query.
type Result struct {
	Types [][2]string `json:"types"`
	Rows  [][]*string `json:"rows"`
}

// Query describes a file and runs a query, whose cells are all of type VARCHAR.
func (d *DuckDB) Query(t testing.TB, file, query string) *Result {
	t.Helper()
	cmd := exec.Command("node", "read.cjs", file, query)
	cmd.Dir = d.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v: %s", err, stderr.String())
	}
	got := &Result{}
	if err := json.Unmarshal(out, got); err != nil {
		t.Fatal(err)
	}
	return got
}
