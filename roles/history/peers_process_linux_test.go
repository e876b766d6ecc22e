package history

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// lines is a peer that runs as a process and answers a line of JSON with a
// line of JSON.
type lines struct {
	cmd     *exec.Cmd
	workers int
	in      io.WriteCloser
	out     *bufio.Reader
	text    func(*peerQuery) string
	profile func(*peerQuery) string // nil: none
	dead    error
}

func startLines(cmd *exec.Cmd, workers int) (*lines, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &lines{cmd: cmd, workers: workers, in: in, out: bufio.NewReaderSize(out, 1<<20)}, nil
}

func (l *lines) ask(ctx context.Context, q *peerQuery) (reply peerReply, err error) {
	if l.dead != nil {
		return reply, l.dead
	}
	req := peerRequest{SQL: l.text(q), Workers: l.workers}
	if l.profile != nil {
		req.Profile = l.profile(q)
	}
	line, err := json.Marshal(req)
	if err != nil {
		return reply, err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.cmd.Process.Kill() })
	defer stop()
	if _, err = l.in.Write(append(line, '\n')); err == nil {
		line, err = l.out.ReadBytes('\n')
	}
	if err != nil {
		l.dead = fmt.Errorf("the process ended at %q: %w", q.name, err)
		return reply, l.dead
	}
	return reply, json.Unmarshal(line, &reply)
}

func (l *lines) close() {
	_ = l.in.Close()
	_ = l.cmd.Wait()
}

const duckPackage = "@duckdb/node-api@1.5.6-r.1"

// loadDuck installs DuckDB; the rows are those of our segments.
func loadDuck(_ *testing.T, dir string, rows int) (got loaded, err error) {
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte("{}"), 0o644); err != nil {
		return got, err
	}
	cmd := exec.Command("npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", dir, duckPackage)
	cmd.Dir = dir
	done := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer done.Stop()
	if out, err := cmd.CombinedOutput(); err != nil {
		return got, fmt.Errorf("npm install %s: %w: %s", duckPackage, err, out)
	}
	got.Bytes, err = sizeOf(filepath.Join(filepath.Dir(dir), "daemoneye", "segments"))
	got.Version = duckPackage + ", our segments"
	return got, err
}

func openDuck(_ *testing.T, dir string, workers int) (peer, error) {
	script, err := os.ReadFile(filepath.Join("testdata", "duckdb.cjs"))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "duckdb.cjs"), script, 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command("node", "duckdb.cjs", filepath.Join(filepath.Dir(dir), "daemoneye", "segments", "process_events", "*.parquet"))
	cmd.Dir = dir
	p, err := startLines(cmd, workers)
	if err != nil {
		return nil, err
	}
	p.text = (*peerQuery).forDuck
	return duckPeer{p}, nil
}

// duckPeer adds the memory of the process.
type duckPeer struct{ *lines }

func (d duckPeer) ask(ctx context.Context, q *peerQuery) (peerReply, error) {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", d.cmd.Process.Pid), []byte("5"), 0); err != nil {
		return peerReply{}, err
	}
	reply, err := d.lines.ask(ctx, q)
	if err == nil {
		reply.Peak, err = peakOf(d.cmd.Process.Pid)
	}
	return reply, err
}
