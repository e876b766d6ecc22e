package history

import (
	"bufio"
	"context"
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

	"github.com/jackc/pgx/v5"

	"daemoneye/bus/event"
)

// postgres is a private cluster.
type postgres struct {
	conn *pgx.Conn
	stop func()
}

// What a laptop of 16 GB would be given; parallel workers and the compiler as
// they come.
const postgresOptions = "-c listen_addresses= -c timezone=UTC -c fsync=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 -c max_wal_size=4GB" +
	" -c shared_buffers=2GB -c work_mem=256MB -c maintenance_work_mem=1GB -c effective_cache_size=8GB -c random_page_cost=1.1 -c effective_io_concurrency=200"

// postgresTool runs a program of PostgreSQL's in dir, not as root.
func postgresTool(dir, name string, args ...string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		path = filepath.Join("/usr/lib/postgresql/15/bin", name)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	if os.Geteuid() == 0 {
		uid, gid, err := postgresUser()
		if err != nil {
			return err
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

func postgresUser() (uid, gid int, err error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return 0, 0, err
		}
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid, nil
}

func loadPostgres(t *testing.T, dir string, rows int) (got loaded, err error) {
	if os.Geteuid() == 0 {
		uid, gid, err := postgresUser()
		if err != nil {
			return got, err
		}
		if err := os.Chown(dir, uid, gid); err != nil {
			return got, err
		}
	}
	if err := postgresTool(dir, "initdb", "-D", "data", "-U", "peer", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		return got, err
	}
	p, err := openPostgres(t, dir, 0)
	if err != nil {
		return got, err
	}
	defer p.close()
	conn := p.(*postgres).conn
	ctx := context.Background()
	begun := time.Now()
	// Without a log of the rows: the table is made in the same transaction.
	if _, err := conn.Exec(ctx, "BEGIN;"+string(event.AppendDDL(nil, []*event.Table{event.Lookup("process_events")}))); err != nil {
		return got, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return got, err
	}
	defer r.Close()
	written := make(chan error, 1)
	go func() { written <- writeRows(w, rows, postgresCell, '\t', '\n') }()
	_, err = conn.PgConn().CopyFrom(ctx, r, "COPY process_events FROM STDIN WITH (FREEZE)")
	_ = r.Close() // ends the writer, if the copy has failed
	if err := errors.Join(err, <-written); err != nil {
		return got, err
	}
	for _, text := range []string{"COMMIT", createIndexes(), "VACUUM (ANALYZE) process_events", "CHECKPOINT"} {
		if _, err := conn.Exec(ctx, text); err != nil {
			return got, err
		}
	}
	got.Seconds = time.Since(begun).Seconds()
	err = conn.QueryRow(ctx, "SELECT pg_total_relation_size('process_events'), 'PostgreSQL ' || current_setting('server_version') || ', of which the table itself ' || pg_table_size('process_events') / $1::bigint", rows).Scan(&got.Bytes, &got.Version)
	return got, err
}

func openPostgres(_ *testing.T, dir string, _ int) (peer, error) {
	options := postgresOptions + " -c unix_socket_directories=" + dir
	if err := postgresTool(dir, "pg_ctl", "-D", "data", "-w", "-o", options, "-l", "log", "start"); err != nil {
		return nil, err
	}
	p := &postgres{stop: func() { _ = postgresTool(dir, "pg_ctl", "-D", "data", "-m", "fast", "-w", "-t", "300", "stop") }}
	conn, err := pgx.Connect(context.Background(), "host="+dir+" user=peer dbname=postgres")
	if err != nil {
		p.stop()
		return nil, err
	}
	p.conn = conn
	return p, nil
}

func (p *postgres) close() {
	_ = p.conn.Close(context.Background())
	p.stop()
}

func (p *postgres) ask(_ context.Context, q *peerQuery) (reply peerReply, err error) {
	if _, err := p.conn.Exec(context.Background(), fmt.Sprintf("SET statement_timeout = %d", slow.Milliseconds())); err != nil {
		return reply, err
	}
	begun := time.Now()
	rows := p.conn.PgConn().Exec(context.Background(), q.text)
	for rows.NextResult() {
		r := rows.ResultReader()
		for r.NextRow() {
			row := make([]*string, len(r.Values()))
			for k, v := range r.Values() {
				if v != nil {
					text := string(v)
					row[k] = &text
				}
			}
			reply.Rows = append(reply.Rows, row)
		}
		_, _ = r.Close() // the error comes with Close of all results
	}
	err = rows.Close()
	reply.Millis = time.Since(begun).Seconds() * 1000
	return reply, err
}

// writeRows writes all rows as texts and closes w.
func writeRows(w *os.File, rows int, cell func(dst []byte, v *event.Vector, i int) []byte, separator, end byte) error {
	out := bufio.NewWriterSize(w, 1<<20)
	var line []byte
	err := generate(rows, func(b *event.Batch) error {
		for i := range b.Rows {
			line = line[:0]
			for k, v := range b.Columns {
				if k > 0 {
					line = append(line, separator)
				}
				line = cell(line, v, i)
			}
			if _, err := out.Write(append(line, end)); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, out.Flush(), w.Close())
}

// postgresCell writes a cell for COPY: the generator makes no byte that has to
// be escaped in a text, but in JSON there could be.
func postgresCell(dst []byte, v *event.Vector, i int) []byte {
	if v.IsNull(i) {
		return append(dst, `\N`...)
	}
	switch v.Type {
	case event.Text:
		return append(dst, v.Dict[v.Codes[i]]...)
	case event.Timestamptz:
		return time.UnixMicro(v.Ints[i]).UTC().AppendFormat(dst, "2006-01-02 15:04:05.000000Z07")
	case event.TextArray:
		dst = append(dst, '{')
		for k, s := range v.Texts(i) {
			if k > 0 {
				dst = append(dst, ',')
			}
			dst = append(append(append(dst, '"'), s...), '"')
		}
		return append(dst, '}')
	case event.JSONB:
		return append(dst, strings.ReplaceAll(v.Text(i), `\`, `\\`)...)
	}
	return v.AppendJSON(dst, i)
}
