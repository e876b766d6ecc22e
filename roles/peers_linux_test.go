//go:build linux && (amd64 || arm64)

package roles

import (
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// What TestStormPeers is told by flags; without -storm it makes one short storm
// before DaemonEye alone.
var (
	stormTime   = flag.Duration("storm", 0, "how long each storm of TestStormPeers lasts")
	stormRounds = flag.Int("rounds", 3, "rounds of TestStormPeers: in each, every monitor sees every storm once")
)

// measured is what a monitor did with the storms of one program, by round.
type measured struct {
	rates []float64
	of    int // processes, in all rounds
	told
}

// TestStormPeers makes storms of processes on all cores, watched by nothing, by
// DaemonEye, and by auditd, bpftrace and forkstat if they are there. Of
// DaemonEye it wants that nothing is lost and each process has its own argument;
// with -storm it prints how much each slows the storm.
func TestStormPeers(t *testing.T) {
	p := buildStorm(t)
	if *stormTime == 0 {
		r, err := startOwn(t, p)
		if err != nil {
			t.Skip(err)
		}
		r.finish(r.cpu(), p.run(t, "short", p.tiny, time.Minute, 2000))
		return
	}
	programs := []string{"/bin/true", p.tiny}
	list := monitors()
	results := map[string][]measured{}
	for round := range *stormRounds {
		for i := 0; i < len(list); i++ {
			m := list[i]
			if results[m.name] == nil {
				results[m.name] = make([]measured, len(programs))
			}
			for k, program := range programs {
				if err := watched(t, p, m, fmt.Sprintf("%d-%d-%d", round, i, k), program, &results[m.name][k]); err != nil {
					fmt.Printf("%s is left out: %v\n", m.name, err)
					list = slices.Delete(list, i, i+1)
					i--
					break
				}
			}
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("\nstorms of %v, %d rounds, %d cores, load average %s\n", *stormTime, *stormRounds, runtime.NumCPU(), strings.TrimSpace(string(load)))
	for k, program := range []string{"/bin/true", "a tiny static program"} {
		fmt.Printf("\n%s\n", stormTable(program, list, results, k))
	}
}

// watched makes one storm before a monitor that is started for it.
func watched(t *testing.T, p stormPrograms, m monitor, name, program string, to *measured) error {
	var failed error
	t.Run(m.name, func(t *testing.T) {
		r, err := m.start(t, p)
		if err != nil {
			failed = err
			return
		}
		before := r.cpu()
		storms := p.run(t, name, program, *stormTime, math.MaxInt32)
		got := r.finish(before, storms)
		to.rates, to.of = append(to.rates, perSecond(storms)), to.of+total(storms)
		to.seen, to.lost = to.seen+got.seen, strings.TrimPrefix(to.lost+" "+got.lost, " ")
		if to.used == nil {
			to.used = map[string]time.Duration{}
		}
		for name, d := range got.used {
			to.used[name] += d
		}
	})
	return failed
}

// stormTable compares the monitors. A storm is slowed by as many percent as it
// makes fewer processes a second than the one of the same round without any.
func stormTable(program string, list []monitor, results map[string][]measured, k int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | slowed by | processes/s | µs of CPU for a process | arguments seen | lost, by its own count |\n|---|---|---|---|---|---|\n", program)
	base := results[list[0].name][k].rates
	for _, m := range list {
		r := results[m.name][k]
		if m.name == "none" {
			fmt.Fprintf(&b, "| no monitor | | %.0f | | | |\n", median(r.rates))
			continue
		}
		var slowed []float64
		for i := range r.rates {
			slowed = append(slowed, 100*(1-r.rates[i]/base[i]))
		}
		fmt.Fprintf(&b, "| %s | %.0f %% | %.0f | %s | %.2f %% | %s |\n", m.name, median(slowed), median(r.rates), perProcess(r.used, r.of), 100*float64(r.seen)/float64(r.of), r.lost)
	}
	return b.String()
}

// perProcess says what each of a monitor's parts used for one process.
func perProcess(used map[string]time.Duration, n int) string {
	var names []string
	for name := range used {
		names = append(names, name)
	}
	slices.Sort(names)
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %.1f", name, float64(used[name].Nanoseconds())/1000/float64(n)))
	}
	return strings.Join(parts, ", ")
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	n := len(list)
	if n == 0 {
		return math.NaN()
	}
	return (list[(n-1)/2] + list[n/2]) / 2
}
