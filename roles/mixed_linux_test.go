//go:build linux && (amd64 || arm64)

package roles

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"daemoneye/platform/bpf"
)

var mixedTime = flag.Duration("mixed", 0, "how long TestMixedLoad lasts; it is left out without")

// kills is how often TestMixedLoad kills the agent.
const kills = 5

// TestMixedLoad makes storms of processes, connections and files for a time, and
// kills the agent five times in the middle of a storm; the collector stands still
// during one, so that the kernel's ring buffer is full. In the end the records
// that a reader beside the collector received and those that the kernel counted
// as lost are those sent; no event is stored twice; and where the number of a
// storm's process is missing, a row of event_gaps tells of that time.
func TestMixedLoad(t *testing.T) {
	if *mixedTime == 0 {
		t.Skip("it takes long: -mixed 10m")
	}
	p := buildStorm(t)
	source, received := readBeside(t)
	in := start(t, nil)
	begun := time.Now()
	var bursts [][]storm
	count, killed := 0, 0
	for i := 0; killed < kills || time.Since(begun) < *mixedTime; i++ {
		var beside sync.WaitGroup
		beside.Go(func() { connections(t) })
		beside.Go(func() { files(t) })
		if time.Since(begun) >= time.Duration(killed+1)**mixedTime/(kills+1) {
			killed++
			beside.Go(func() {
				time.Sleep(300 * time.Millisecond)
				killAgent(in)
			})
		}
		if i == 1 {
			beside.Go(func() { stopCollector(in, time.Second) })
		}
		storms := p.run(t, fmt.Sprintf("mixed-%d", i), p.tiny, time.Second, 20000)
		bursts, count = append(bursts, storms), count+total(storms)
		beside.Wait()
		time.Sleep(max(time.Second, *mixedTime/120))
	}
	t.Logf("%d processes in %d bursts", count, len(bursts))
	in.caughtUp(p)
	for _, storms := range bursts {
		got := in.stored(storms)
		for i := range storms {
			in.checkOnce(&storms[i], got[storms[i].name])
		}
	}
	for _, gap := range in.query("SELECT hop, reason, count(*) AS n, sum(lost)::bigint AS lost FROM event_gaps GROUP BY hop, reason") {
		t.Logf("gaps: %v", gap)
	}
	in.eventually("sent = received + lost", func() bool {
		stats, err := source.Stats()
		if err != nil {
			t.Fatal(err)
		}
		for k := range stats.Sent {
			if stats.Sent[k] != stats.Received[k]+stats.Lost[k] {
				return false
			}
		}
		return stats.Malformed == 0
	})
	stats, err := source.Stats()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records sent, %d received, %d lost", bpf.Total(stats.Sent), bpf.Total(stats.Received), bpf.Total(stats.Lost))
	received()
	if status := in.stop(os.Interrupt); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

// readBeside reads another source, until stop is called.
func readBeside(t *testing.T) (source *bpf.Source, stop func()) {
	t.Helper()
	s, err := bpf.Open(bpf.Config{})
	if err != nil {
		t.Skip(err)
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		var list []bpf.Event
		for err := error(nil); err == nil; {
			list, err = s.Read(list[:0])
		}
	})
	stop = sync.OnceFunc(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		reader.Wait()
	})
	t.Cleanup(stop)
	return s, stop
}

// killAgent kills the agent and waits until another one serves.
func killAgent(in *instance) {
	h, ok := in.health()
	if !ok {
		in.t.Error("no health before the agent is killed")
		return
	}
	old := h.pid("daemoneye-agent")
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		in.t.Errorf("kill the agent: %v", err)
	}
	in.eventually("the agent runs again", func() bool {
		h, ok := in.health()
		return ok && h.pid("daemoneye-agent") != old && h.pid("procmond") != 0
	})
}

// stopCollector lets the collector stand still for a time.
func stopCollector(in *instance, last time.Duration) {
	h, ok := in.health()
	if !ok {
		in.t.Error("no health before the collector is stopped")
		return
	}
	pid := h.pid("procmond")
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		in.t.Errorf("stop the collector: %v", err)
	}
	time.Sleep(last)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		in.t.Errorf("let the collector go on: %v", err)
	}
}

// caughtUp waits until what happened so far is stored: until a process is that
// began after it. Queries go on at a low priority, which on a busy machine takes
// its time.
func (in *instance) caughtUp(p stormPrograms) {
	in.t.Helper()
	begun := time.Now()
	for n := 0; ; n++ {
		_ = exec.Command(p.tiny, fmt.Sprintf("mark-%d", n)).Run() // its status is 7
		rows := in.query(fmt.Sprintf("SELECT 1 FROM process_events WHERE event = 'exit' AND command_line LIKE '%s mark-%%' AND time > '%s'",
			p.tiny, begun.UTC().Add(-time.Second).Format(time.RFC3339Nano)))
		if len(rows) > 0 {
			return
		}
		if time.Since(begun) > 10*patience {
			in.t.Fatal("never: all is stored")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// connections makes some that end at once.
func connections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return
	}
	defer l.Close()
	var server sync.WaitGroup
	server.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	})
	for range 100 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
			break
		}
		_ = c.Close()
	}
	_ = l.Close()
	server.Wait()
}

// files makes, renames and removes some.
func files(t *testing.T) {
	dir := t.TempDir()
	for i := range 100 {
		from, to := filepath.Join(dir, fmt.Sprintf("a%d", i)), filepath.Join(dir, fmt.Sprintf("b%d", i))
		if err := errors.Join(os.WriteFile(from, []byte("text"), 0o600), os.Rename(from, to), os.Remove(to)); err != nil {
			t.Error(err)
		}
	}
}

// checkOnce wants no event of a storm twice, and a gap in the time of each
// process that is missing.
func (in *instance) checkOnce(s *storm, got stored) {
	in.t.Helper()
	if got.Twice != 0 || got.Execs != got.Lines {
		in.t.Errorf("storm %s: stored %+v: some of it twice", s.name, got)
	}
	if got == s.all() {
		return
	}
	in.t.Logf("storm %s: %d of %d processes are stored", s.name, got.Lines, s.count)
	// The numbers on both sides of each hole, and when they ran.
	holes := in.query(fmt.Sprintf(`SELECT before, number, since, time FROM (
		SELECT number, time, lag(number, 1, -1) OVER w AS before, lag(time) OVER w AS since FROM (
			SELECT substring(command_line FROM '[0-9]+$')::int AS number, time FROM process_events WHERE event = 'exec' AND command_line LIKE '%s' AND %s
		) x WINDOW w AS (ORDER BY number)) y WHERE number > before + 1`, s.line("%"), during([]storm{*s})))
	if got.Greatest < s.count-1 {
		holes = append(holes, map[string]any{"before": got.Greatest, "number": s.count})
	}
	for _, hole := range holes {
		from, to := "-infinity", "infinity"
		if x, ok := hole["since"].(string); ok {
			from = x
		}
		if x, ok := hole["time"].(string); ok {
			to = x
		}
		covered := in.query(fmt.Sprintf("SELECT 1 FROM event_gaps WHERE table_name = 'process_events' AND start_time <= '%s' AND end_time >= '%s'", to, from))
		if len(covered) == 0 {
			in.t.Errorf("storm %s: the numbers between %v and %v are missing, from %s to %s, and no gap tells of it", s.name, hole["before"], hole["number"], from, to)
		}
	}
}
