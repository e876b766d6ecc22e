//go:build unix

// Package conformance compares the engine with PostgreSQL: with its recorded
// answers in testdata (every go test), and with a live private cluster where
// initdb is installed. The answers are recorded anew by
//
//	go test ./rules/sql/conformance -run TestRecorded -record
//
// and random statements about random rows are asked of both by
//
//	go test ./rules/sql/conformance -run 'TestGenerated$' -queries 20000 -seed 1 -v
//
// which prints how to see one of them again, and with -log-errors what
// PostgreSQL refuses and which differences are permitted.
package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"daemoneye/bus/event"
)

// startCluster starts a PostgreSQL with the event view and data, reachable by
// a Unix socket only, and stops it at the end of the test.
func startCluster(t testing.TB, batches []*event.Batch) *pgx.Conn {
	t.Helper()
	bin := findBinaries(t)
	dir, err := os.MkdirTemp("", "pgconf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	attr := unprivileged(t, dir)
	run := func(name string, args ...string) {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.SysProcAttr, cmd.Dir = attr, dir
		cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	data := filepath.Join(dir, "data")
	run("initdb", "-D", data, "-U", "conformance", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	options := "-c listen_addresses= -c unix_socket_directories=" + dir + " -c fsync=off -c timezone=UTC -c autovacuum=off -c max_parallel_workers_per_gather=0 -c jit=off -c statement_timeout=60s"
	run("pg_ctl", "-D", data, "-w", "-o", options, "-l", filepath.Join(dir, "log"), "start")
	t.Cleanup(func() { run("pg_ctl", "-D", data, "-m", "immediate", "stop") })
	conn, err := pgx.Connect(context.Background(), "host="+dir+" user=conformance dbname=postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	if _, err := conn.Exec(context.Background(), string(event.AppendDDL(nil, event.Tables()))); err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		load(t, conn, b)
	}
	return conn
}

func findBinaries(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path)
		}
	}
	if found, _ := filepath.Glob("/usr/lib/postgresql/15/bin/initdb"); len(found) > 0 {
		return filepath.Dir(found[0])
	}
	t.Skip("initdb is not installed: install PostgreSQL 15 to compare with it")
	return ""
}

// unprivileged gives dir to another user when the test runs as root, since
// PostgreSQL does not start as root.
func unprivileged(t testing.TB, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			t.Skip("running as root, and there is no user to run PostgreSQL as")
		}
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func load(t testing.TB, conn *pgx.Conn, b *event.Batch) {
	t.Helper()
	loadRows(t, conn, b, func(i int) int { return i })
}

func loadReversed(t testing.TB, conn *pgx.Conn, b *event.Batch) {
	t.Helper()
	loadRows(t, conn, b, func(i int) int { return b.Rows - 1 - i })
}

func loadRows(t testing.TB, conn *pgx.Conn, b *event.Batch, order func(int) int) {
	t.Helper()
	var names []string
	for _, c := range b.Table.Columns {
		names = append(names, c.Name)
	}
	for i := range b.Rows {
		i := order(i)
		var vals []string
		for _, v := range b.Columns {
			vals = append(vals, literal(v, i))
		}
		sql := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", b.Table.Name, strings.Join(names, ","), strings.Join(vals, ","))
		if _, err := conn.Exec(context.Background(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func literal(v *event.Vector, i int) string {
	if v.IsNull(i) {
		return "NULL"
	}
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	switch v.Type {
	case event.Bool:
		return strconv.FormatBool(v.Bools[i])
	case event.Int4, event.Int8:
		return quote(strconv.FormatInt(v.Ints[i], 10))
	case event.Float8:
		return quote(strconv.FormatFloat(v.Floats[i], 'g', -1, 64))
	case event.Timestamptz:
		return fmt.Sprintf("'epoch'::timestamptz + interval '%d microseconds'", v.Ints[i])
	case event.TextArray:
		var list []string
		for _, s := range v.Texts(i) {
			list = append(list, quote(s))
		}
		return "ARRAY[" + strings.Join(list, ",") + "]::text[]"
	}
	return quote(v.Text(i))
}

// ask gives PostgreSQL's answer in the form of the recorded ones.
func ask(conn *pgx.Conn, types map[uint32]string, sql string) answer {
	results := conn.PgConn().Exec(context.Background(), sql)
	var a answer
	for results.NextResult() {
		r := results.ResultReader()
		var head []string
		for _, f := range r.FieldDescriptions() {
			head = append(head, f.Name+":"+types[f.DataTypeOID])
		}
		a.lines = append(a.lines, csvLine(head))
		for r.NextRow() {
			var cells []string
			for _, v := range r.Values() {
				if v == nil {
					cells = append(cells, `\N`)
				} else {
					cells = append(cells, string(v))
				}
			}
			a.lines, a.rows = append(a.lines, csvLine(cells)), append(a.rows, cells)
		}
		// The error, if any, comes with Close of all results.
		_, _ = r.Close()
	}
	if err := results.Close(); err != nil {
		if e, ok := err.(*pgconn.PgError); ok {
			return answer{err: e.Code, message: e.Message}
		}
		return answer{err: "XXXXX", message: err.Error()}
	}
	return a
}

func typeNames(t testing.TB, conn *pgx.Conn) map[uint32]string {
	t.Helper()
	out := make(map[uint32]string)
	rows, err := conn.Query(context.Background(), "SELECT oid, format_type(oid, NULL) FROM pg_type")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var oid uint32
		var name string
		if err := rows.Scan(&oid, &name); err != nil {
			t.Fatal(err)
		}
		out[oid] = name
	}
	return out
}

// answer is rows as lines of CSV after a line of names and types, or an error.
type answer struct {
	lines   []string
	rows    [][]string // the same without the first line, \N for NULL
	err     string     // SQLSTATE
	message string

	compiling bool // the error came before a row was read
}

// normalized sorts the rows of a query that does not order them.
func (a answer) normalized(sql string) string {
	if a.err != "" {
		return "ERROR " + a.err
	}
	lines := slices.Clone(a.lines)
	if !ordered(sql) && len(lines) > 1 {
		slices.Sort(lines[1:])
	}
	return strings.Join(lines, "\n")
}

// ordered reports whether the statement itself has an ORDER BY: one in brackets
// is a window's, an aggregate's or a subquery's.
func ordered(sql string) bool {
	depth := 0
	var outer strings.Builder
	for _, token := range tokens.FindAllString(sql, -1) {
		switch {
		case token == "(" || token == "[":
			depth++
		case token == ")" || token == "]":
			depth--
		case depth == 0:
			outer.WriteString(token)
		}
	}
	return strings.Contains(strings.ToUpper(outer.String()), "ORDER BY")
}

// csvLine quotes as psql --csv, but for a line that would be empty; line breaks are shown as \n and \r to keep a row on its line.
func csvLine(cells []string) string {
	out := make([]string, len(cells))
	for i, s := range cells {
		if strings.ContainsAny(s, ",\"\r\n") || s == `\.` {
			s = `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
		}
		out[i] = strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(s)
	}
	if len(out) == 1 && out[0] == "" {
		return `""` // an empty line ends a case
	}
	return strings.Join(out, ",")
}
