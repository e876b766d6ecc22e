//go:build unix

package client

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/roles/term"
)

// cluster is a private PostgreSQL that listens on a Unix socket only.
type cluster struct {
	dir    string
	attr   *syscall.SysProcAttr
	tools  string // directory of initdb and pg_ctl
	client string // psql
}

// startPostgreSQL makes a cluster, or skips the test with the reason.
func startPostgreSQL(t *testing.T) *cluster {
	t.Helper()
	tools := findTools()
	client, err := exec.LookPath("psql")
	if tools == "" || err != nil {
		t.Skip("PostgreSQL (initdb, pg_ctl, psql) is not installed")
	}
	// Not t.TempDir: another user must be able to enter it, and the path of
	// the socket has a limit.
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := &cluster{dir: dir, tools: tools, client: client}
	if os.Geteuid() == 0 { // initdb refuses root
		c.attr = otherUser(t, dir)
	}
	data := filepath.Join(dir, "data")
	c.must(t, filepath.Join(tools, "initdb"), "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	options := fmt.Sprintf("-c listen_addresses='' -c unix_socket_directories='%s' -c fsync=off -c timezone=UTC", dir)
	c.must(t, filepath.Join(tools, "pg_ctl"), "-D", data, "-o", options, "-l", filepath.Join(dir, "log"), "-w", "start")
	t.Cleanup(func() { _, _ = c.run("", filepath.Join(tools, "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop") })
	return c
}

func findTools() string {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

// otherUser gives dir to postgres or nobody and returns how to become that.
func otherUser(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Skipf("can not give a directory to %s: %v", name, err)
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	t.Skip("initdb refuses root and there is no user postgres or nobody")
	return nil
}

func (c *cluster) run(stdin, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	cmd.Dir, cmd.SysProcAttr = c.dir, c.attr
	cmd.Env = append(os.Environ(), "PGHOST="+c.dir, "PGUSER=tester", "PGDATABASE=postgres", "PGCLIENTENCODING=UTF8", "LC_ALL=C.UTF-8", "PSQLRC=/dev/null")
	err := cmd.Run()
	if err != nil {
		err = errors.Join(err, errors.New(errOut.String()))
	}
	return out.String(), err
}

func (c *cluster) must(t *testing.T, name string, args ...string) {
	t.Helper()
	if _, err := c.run("", name, args...); err != nil {
		t.Fatalf("%s: %v", filepath.Base(name), err)
	}
}

// psql runs statements and returns what it prints.
func (c *cluster) psql(t *testing.T, statements string, args ...string) string {
	t.Helper()
	out, err := c.run(statements, c.client, append([]string{"-X", "-q", "-v", "ON_ERROR_STOP=1"}, args...)...)
	if err != nil {
		t.Fatalf("psql: %v\n%s", err, statements)
	}
	return out
}

func TestPostgreSQL(t *testing.T) {
	pg := startPostgreSQL(t)
	t.Run("schema", func(t *testing.T) {
		ddl, _, err := app(t, "schema", "--format", "postgres")
		if err != nil {
			t.Fatal(err)
		}
		pg.psql(t, ddl)
		got := pg.psql(t, "SELECT table_name || '.' || column_name || ' ' || is_nullable FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position", "-At")
		for _, table := range event.Tables() {
			for _, column := range table.Columns {
				nullable := "YES"
				if column.NotNull {
					nullable = "NO"
				}
				if want := table.Name + "." + column.Name + " " + nullable + "\n"; !strings.Contains(got, want) {
					t.Errorf("PostgreSQL lacks %s", want)
				}
			}
		}
	})
	statement := valuesOf(sample())
	t.Run("csv", func(t *testing.T) {
		got, want := printed(t, sample(), term.Output{}, "csv"), pg.psql(t, statement, "--csv")
		if got != want {
			t.Errorf("csv:\n%s\npsql:\n%s", got, want)
		}
	})
	t.Run("table", func(t *testing.T) {
		// psql ends with a blank line.
		got, want := printed(t, sample(), term.Output{}, "table")+"\n", pg.psql(t, statement)
		if got != want {
			t.Errorf("table:\n%s\npsql:\n%s", got, want)
		}
	})
	t.Run("query", func(t *testing.T) {
		file := write(t, "events.jsonl", "")
		for _, statement := range []string{
			`SELECT FROM (VALUES (1), (2)) AS t`, `SELECT FROM (VALUES (1)) AS t`, `SELECT FROM (VALUES (1)) AS t WHERE false`,
			`SELECT E'a\nlonger' AS x, 1 AS n, E'c\n\nlonger\n' AS y`, `SELECT E'\n' AS x, 'a' AS y`, `SELECT 'a' AS x, E'b\nc' AS y UNION ALL SELECT 'longer', E'longer\nd'`,
			`SELECT jsonb_pretty('{"a": [1, 2]}') AS doc, jsonb_pretty('[]') AS empty`,
		} {
			for format, args := range map[string][]string{"table": nil, "csv": {"--csv"}} {
				got, stderr, err := app(t, "query", "--input", file, "--format", format, statement)
				if format == "table" {
					got += "\n"
				}
				if want := pg.psql(t, statement, args...); err != nil || got != want {
					t.Errorf("%s as %s: %v %s\n%s\npsql:\n%s", statement, format, err, stderr, got, want)
				}
			}
		}
	})
	t.Run("one row", func(t *testing.T) {
		l := newListing("a text", "a longer name text")
		l.columns[1].Name, l.columns[1].Type = "a longer name", "text"
		l.add("x", nil)
		got, want := printed(t, l, term.Output{}, "table")+"\n", pg.psql(t, `SELECT 'x' AS a, NULL AS "a longer name"`)
		if got != want {
			t.Errorf("table:\n%s\npsql:\n%s", got, want)
		}
	})
}

// valuesOf writes the listing as a statement that gives its rows.
func valuesOf(l *listing) string {
	var b strings.Builder
	b.WriteString("SELECT * FROM (VALUES ")
	for i, v := range l.values {
		column := l.columns[i%len(l.columns)]
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%len(l.columns) == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteString(literal(v) + "::" + column.Type)
	}
	b.WriteString(")) AS t (")
	for i, c := range l.columns {
		b.WriteString(strings.Repeat(", ", min(i, 1)) + c.Name)
	}
	return b.String() + ")"
}

// literal writes a value in SQL without textCell, which is what is tested.
func literal(v any) string {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	switch v := v.(type) {
	case nil:
		return "NULL"
	case string:
		return quote(v)
	case time.Time:
		return quote(v.Format(time.RFC3339Nano))
	case []string:
		list := make([]string, len(v))
		for i, s := range v {
			list[i] = quote(s)
		}
		return "ARRAY[" + strings.Join(list, ", ") + "]"
	}
	return quote(fmt.Sprint(v))
}
