package history

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
	"daemoneye/store"
)

// serveEnv names the store that the test binary serves as the peer of another
// test process, so that the memory measured is the engine's.
const serveEnv = "DAEMONEYE_TEST_SERVE_STORE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveEnv); dir != "" {
		if err := serveStore(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// peerRequest asks a process that answers line by line.
type peerRequest struct {
	SQL     string `json:"sql"`
	Workers int    `json:"workers"`
	Profile string `json:"profile,omitempty"`
}

// unlimited is a store's configuration in which nothing is deleted and
// nothing happens by itself.
func unlimited() store.Config {
	return store.Config{MaxAge: -1, MaxBytes: -1, MinFree: -1, RetainInterval: -1, SealInterval: -1, SealUnmatched: true}
}

// uniqueJob is the part of a command line that no other has.
var uniqueJob = regexp.MustCompile(`--job \d+ `)

// loadOwn appends all rows, and seals whenever a segment is full.
func loadOwn(_ *testing.T, dir string, rows int) (got loaded, err error) {
	ctx := context.Background()
	s, err := store.Open(dir, unlimited())
	if err != nil {
		return got, err
	}
	defer func() {
		if e := s.Close(); err == nil {
			err = e
		}
	}()
	deepest := 0
	seq := uint64(0)
	var spent, sealing time.Duration
	seal := func() error {
		begun := time.Now()
		_, err := s.SealAll(ctx)
		sealing += time.Since(begun)
		return err
	}
	err = generate(rows, func(b *event.Batch) error {
		seq++
		entity, ancestors, kind, line := b.Column("entity_id"), b.Column("ancestors"), b.Column("event"), b.Column("command_line")
		for i := range b.Rows {
			if n := int(ancestors.Offsets[i+1] - ancestors.Offsets[i]); n >= deepest && kind.Text(i) == "seen" {
				got.Deepest, deepest = strings.Clone(entity.Text(i)), n
			}
			if job := uniqueJob.FindString(line.Text(i)); job != "" && int(seq) <= 1+rows/2000 {
				got.Needle = strings.Clone(job)
			}
		}
		data := event.Encode(nil, b)
		begun := time.Now()
		_, err := s.Append(ctx, []store.Batch{{Collector: "c", Sequence: seq, Data: data}})
		spent += time.Since(begun)
		if err == nil && seq%65 == 0 {
			err = seal()
		}
		return err
	})
	if err == nil {
		err = seal()
	}
	got.Seconds, got.Sealing = (spent + sealing).Seconds(), sealing.Seconds()
	if err != nil {
		return got, err
	}
	stats, err := s.Stats()
	got.Bytes = stats.Segments["process_events"].Bytes
	return got, err
}

// serveStore answers a line on standard input, a peerRequest, with a line on
// standard output, a peerReply.
func serveStore(dir string) error {
	debug.SetGCPercent(50) // as the agent
	s, err := store.OpenReadOnly(dir, unlimited())
	if err != nil {
		return err
	}
	defer s.Close()
	in, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var req peerRequest
		if err := json.Unmarshal(in.Bytes(), &req); err != nil {
			return err
		}
		reply, err := serveOne(&View{Store: s}, &req)
		if err != nil {
			reply.Error = err.Error()
		}
		if err := out.Encode(reply); err != nil {
			return err
		}
	}
	return in.Err()
}

func serveOne(v *View, req *peerRequest) (reply peerReply, err error) {
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // proc_pid_clear_refs(5): VmHWM begins anew
		return reply, err
	}
	if reply, err = answerOnce(v, req); err != nil {
		return reply, err
	}
	if reply.Peak, err = peakOf(os.Getpid()); err != nil || req.Profile == "" {
		return reply, err
	}
	return reply, profile(v, req)
}

// profile repeats a query for a while and writes a CPU profile of that, and
// one of what the process has allocated so far.
func profile(v *View, req *peerRequest) error {
	cpu, err := os.Create(req.Profile + ".cpu.pprof")
	if err != nil {
		return err
	}
	defer cpu.Close()
	allocs, err := os.Create(req.Profile + ".allocs.pprof")
	if err != nil {
		return err
	}
	defer allocs.Close()
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	for end := cpuTime() + 3*time.Second; err == nil && cpuTime() < end; {
		_, err = answerOnce(v, req)
	}
	pprof.StopCPUProfile()
	return errors.Join(err, pprof.Lookup("allocs").WriteTo(allocs, 0))
}

func answerOnce(v *View, req *peerRequest) (reply peerReply, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), slow)
	defer cancel()
	begun, used := time.Now(), cpuTime()
	q, err := sql.Compile(req.SQL, sql.Config{})
	if err != nil {
		return reply, err
	}
	r := v.Reader()
	err = q.Run(ctx, r, sql.Options{Workers: req.Workers, TempDir: os.TempDir()}, func(rows *sql.Rows) error {
		for i := range rows.Len() {
			row := make([]*string, len(rows.Columns()))
			for k := range row {
				if cell, null := rows.AppendText(nil, i, k); !null {
					text := string(cell)
					row[k] = &text
				}
			}
			reply.Rows = append(reply.Rows, row)
		}
		return nil
	})
	reply.Millis, reply.CPU = time.Since(begun).Seconds()*1000, (cpuTime()-used).Seconds()*1000
	if d := r.Damaged(); err == nil && d != nil {
		err = fmt.Errorf("damaged: %v", d)
	}
	return reply, err
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakOf returns the most resident bytes that a process had.
func peakOf(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	found := highWater.FindSubmatch(status)
	if found == nil {
		return 0, fmt.Errorf("no VmHWM in the status of %d", pid)
	}
	kb, err := strconv.ParseInt(string(found[1]), 10, 64)
	return kb << 10, err
}

func openOwn(t *testing.T, dir string, workers int) (peer, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveEnv+"="+dir)
	p, err := startLines(cmd, workers)
	if err != nil {
		return nil, err
	}
	p.text = func(q *peerQuery) string { return q.text }
	if *peerProfile != "" && workers == 1 {
		if err := os.MkdirAll(*peerProfile, 0o755); err != nil {
			return nil, err
		}
		p.profile = func(q *peerQuery) string {
			return filepath.Join(*peerProfile, strings.ReplaceAll(q.name, " ", "-"))
		}
	}
	return p, nil
}
