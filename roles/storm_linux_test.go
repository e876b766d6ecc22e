//go:build linux && (amd64 || arm64)

package roles

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// stormPrograms is what makes a storm of processes: storm, which runs another
// program again and again, and tiny, which ends at once.
type stormPrograms struct{ storm, tiny string }

// buildStorm compiles them outside of /tmp, from where a program that starts is
// an alert by itself.
func buildStorm(t testing.TB) stormPrograms {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: only then is each event seen")
	}
	dir, err := os.MkdirTemp("/opt", "daemoneye-storm-")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	build := func(name string, flags ...string) string {
		out := filepath.Join(dir, name)
		raw, err := exec.Command("gcc", append([]string{"-O2", "-static", "-o", out, "../platform/bpf/testdata/" + name + ".c"}, flags...)...).CombinedOutput()
		if err != nil {
			t.Skipf("gcc: %v\n%s", err, raw)
		}
		return out
	}
	return stormPrograms{build("storm"), build("tiny", "-nostdlib")}
}

// storm is count processes of a program that have run, each with a number in
// its argument: number-NAME-0 and so on. No two storms have the same name.
type storm struct {
	name    string
	program string
	count   int
	took    time.Duration
}

// run makes one storm on each processor at once, named name-0 and so on, for a
// time, of most processes each.
func (p stormPrograms) run(t testing.TB, name, program string, last time.Duration, most int) []storm {
	t.Helper()
	storms := make([]storm, runtime.NumCPU())
	var all sync.WaitGroup
	for i := range storms {
		s := &storms[i]
		s.name, s.program = fmt.Sprintf("%s-%d", name, i), program
		all.Go(func() {
			var problem bytes.Buffer
			cmd := exec.Command(p.storm, strconv.Itoa(most), program, strconv.FormatFloat(last.Seconds(), 'f', 3, 64), s.name)
			cmd.Stderr = &problem
			begun := time.Now()
			out, err := cmd.Output()
			s.took = time.Since(begun)
			if err == nil {
				s.count, err = strconv.Atoi(strings.TrimSpace(string(out)))
			}
			if err != nil {
				t.Errorf("storm %s: %v %s", s.name, err, problem.String())
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return storms
}

// perSecond is how many processes all storms together made in a second.
func perSecond(storms []storm) (rate float64) {
	for _, s := range storms {
		rate += float64(s.count) / s.took.Seconds()
	}
	return rate
}

func total(storms []storm) (n int) {
	for _, s := range storms {
		n += s.count
	}
	return n
}

// line is the command line of the process with a number.
func (s *storm) line(number string) string {
	return fmt.Sprintf("%s number-%s-%s", s.program, s.name, number)
}

// stored is what the store has of a storm.
type stored struct {
	Forks, Execs, Exits int
	Lines               int // different command lines of Execs
	Least, Greatest     int // of their numbers
}

// storedOf asks the agent for what it has of a storm.
func (in *instance) storedOf(s *storm) (got stored) {
	in.t.Helper()
	number := func(row map[string]any, name string) int {
		n, _ := row[name].(float64)
		return int(n)
	}
	row := in.query(fmt.Sprintf(`SELECT count(*) FILTER (WHERE event = 'exec') AS execs, count(*) FILTER (WHERE event = 'exit') AS exits,
		count(DISTINCT command_line) FILTER (WHERE event = 'exec') AS lines,
		min(substring(command_line FROM '[0-9]+$')::int) AS least, max(substring(command_line FROM '[0-9]+$')::int) AS greatest
		FROM process_events WHERE event IN ('exec', 'exit') AND command_line LIKE '%s'`, s.line("%")))[0]
	got = stored{Execs: number(row, "execs"), Exits: number(row, "exits"), Lines: number(row, "lines"), Least: number(row, "least"), Greatest: number(row, "greatest")}
	row = in.query(fmt.Sprintf(`SELECT count(*) AS forks FROM process_events WHERE event = 'fork' AND parent_command_line LIKE '%% %s'`, s.name))[0]
	got.Forks = number(row, "forks")
	return got
}

// checkStored waits until fork, exec and exit of each process of the storms are
// stored, and wants each number in the arguments of exactly one exec.
func (in *instance) checkStored(storms []storm) {
	in.t.Helper()
	for i := range storms {
		s := &storms[i]
		want := stored{Forks: s.count, Execs: s.count, Exits: s.count, Lines: s.count, Greatest: s.count - 1}
		var got stored
		for deadline := time.Now().Add(patience); got != want && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			got = in.storedOf(s)
		}
		if got != want {
			in.t.Errorf("storm %s: stored %+v, want %+v", s.name, got, want)
		}
	}
}
