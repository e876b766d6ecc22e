//go:build linux && (amd64 || arm64)

package roles

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
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
	begun   time.Time
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
			s.begun = time.Now()
			out, err := cmd.Output()
			s.took = time.Since(s.begun)
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
	Twice               int // events of one kind more than processes that have one
	Lines               int // different command lines of Execs
	Least, Greatest     int // of their numbers
}

// all is what is stored of a storm of which nothing was lost.
func (s *storm) all() stored {
	return stored{Forks: s.count, Execs: s.count, Exits: s.count, Lines: s.count, Greatest: s.count - 1}
}

// during is a condition for events of the time of storms, so that a query need
// look at no others.
func during(storms []storm) string {
	const slack = time.Second // between the clocks of both
	from, to := storms[0].begun, storms[0].begun
	for _, s := range storms {
		if s.begun.Before(from) {
			from = s.begun
		}
		if end := s.begun.Add(s.took); end.After(to) {
			to = end
		}
	}
	return fmt.Sprintf("time BETWEEN '%s' AND '%s'", from.Add(-slack).UTC().Format(time.RFC3339Nano), to.Add(slack).UTC().Format(time.RFC3339Nano))
}

// stored asks the agent for what it has of storms that ran at one time, by their
// names.
func (in *instance) stored(storms []storm) map[string]stored {
	in.t.Helper()
	// A process has its parent's command line until its exec.
	rows := in.query(fmt.Sprintf(`SELECT event, CASE event WHEN 'fork' THEN substring(parent_command_line FROM '[^ ]+$') ELSE substring(command_line FROM ' number-(.*)-[0-9]+$') END AS storm,
			count(*) AS n, count(*) - count(DISTINCT entity_id) AS twice, count(DISTINCT command_line) AS lines,
			min(substring(command_line FROM '[0-9]+$')::int) AS least, max(substring(command_line FROM '[0-9]+$')::int) AS greatest
		FROM process_events
		WHERE (event IN ('exec', 'exit') AND command_line LIKE '%s number-%%' OR event = 'fork' AND parent_command_line LIKE '%%/storm %%') AND %s
		GROUP BY 1, 2`, storms[0].program, during(storms)))
	got := map[string]stored{}
	for _, row := range rows {
		number := func(name string) int { return int(row[name].(float64)) }
		name := row["storm"].(string)
		s := got[name]
		s.Twice += number("twice")
		switch row["event"] {
		case "fork":
			s.Forks = number("n")
		case "exit":
			s.Exits = number("n")
		case "exec":
			s.Execs, s.Lines, s.Least, s.Greatest = number("n"), number("lines"), number("least"), number("greatest")
		}
		got[name] = s
	}
	return got
}

// checkStored waits until fork, exec and exit of each process of the storms are
// stored, and wants each number in the arguments of exactly one exec.
func (in *instance) checkStored(storms []storm) {
	in.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		got := in.stored(storms)
		missing := slices.ContainsFunc(storms, func(s storm) bool { return got[s.name] != s.all() })
		if !missing {
			return
		}
		if time.Now().After(deadline) {
			for i := range storms {
				in.t.Errorf("storm %s: stored %+v, want %+v", storms[i].name, got[storms[i].name], storms[i].all())
			}
			return
		}
	}
}
