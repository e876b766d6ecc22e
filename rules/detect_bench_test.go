package rules

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	sigmago "github.com/bradleyjkemp/sigma-go"
	"github.com/bradleyjkemp/sigma-go/evaluator"

	"daemoneye/bus/event"
	"daemoneye/rules/rulestest"
)

// sigmaLike are n rules as converted Sigma rules are.
func sigmaLike(n int) Source {
	m := fstest.MapFS{}
	for i, r := range rulestest.Rules(n) {
		m[fmt.Sprintf("%04d.sql", i)] = &fstest.MapFile{Mode: 0o644, Data: []byte(r.SQL())}
	}
	return Source{Name: "generated/", FS: m}
}

func execEvents(batches, rows int) []*event.Batch { return rulestest.Events(testStart, batches, rows) }

var ruleCounts = []int{10, 100, 1000, 2500}

// BenchmarkDetect matches batches of 1,000 events on one core.
func BenchmarkDetect(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	batches := execEvents(200, 1000)
	for _, n := range ruleCounts {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			m := NewMatcher(mustLoad(b, sigmaLike(n)), MatcherConfig{})
			rows, matches := 0, 0
			for b.Loop() {
				batch := batches[rows/1000%len(batches)]
				matches += len(m.Match(batch, testStart))
				rows += batch.Rows
			}
			candidates := int64(0)
			for _, st := range m.Stats() {
				candidates += st.Candidates
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(1000*float64(candidates)/float64(rows), "candidates/1000")
			b.ReportMetric(1000*float64(matches)/float64(rows), "matches/1000")
		})
	}
}

// BenchmarkDetectOne matches single events with 2,500 rules.
func BenchmarkDetectOne(b *testing.B) {
	batches := execEvents(20_000, 1)
	m := NewMatcher(mustLoad(b, sigmaLike(2500)), MatcherConfig{})
	var times []time.Duration
	i := 0
	for b.Loop() {
		start := time.Now()
		m.Match(batches[i%len(batches)], testStart)
		times = append(times, time.Since(start))
		i++
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2])/1e3, "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100])/1e3, "p99-µs")
}

// BenchmarkDetectSigmaGo gives the same 2,500 rules and the same events to
// sigma-go's evaluator, on one core: in each round one event, and to the matcher
// the batch that it is of. Both must say the same of it.
func BenchmarkDetectSigmaGo(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const n = 2500
	batches := execEvents(200, 1000)
	m := NewMatcher(mustLoad(b, sigmaLike(n)), MatcherConfig{})
	var theirs []*evaluator.RuleEvaluator
	for _, r := range rulestest.Rules(n) {
		rule, err := sigmago.ParseRule([]byte(r.Sigma()))
		if err != nil {
			b.Fatal(err)
		}
		theirs = append(theirs, evaluator.ForRule(rule))
	}
	for _, batch := range batches { // what repeats is known to the matcher
		m.Match(batch, testStart)
	}
	var ourTime, theirTime time.Duration
	events, rows, matches := 0, 0, 0
	for b.Loop() {
		batch, row := batches[events%len(batches)], events*7919%1000
		fields := map[string]string{}
		for field, column := range map[string]string{"Image": "executable_path", "CommandLine": "command_line", "ParentImage": "parent_executable_path"} {
			fields[field] = batch.Column(column).Text(row)
		}
		begun := time.Now()
		var want []string
		for _, rule := range theirs {
			result, err := rule.Matches(b.Context(), fields)
			if err != nil {
				b.Fatal(err)
			}
			if result.Match {
				want = append(want, rule.Title)
			}
		}
		theirTime += time.Since(begun)
		begun = time.Now()
		found := m.Match(batch, testStart)
		ourTime += time.Since(begun)
		var got []string
		for _, match := range found {
			if match.row == row {
				got = append(got, match.Rule.ID)
			}
		}
		if !slices.Equal(got, want) {
			b.Fatalf("of %v the matcher says %q, sigma-go %q", fields, got, want)
		}
		events, rows, matches = events+1, rows+batch.Rows, matches+len(want)
	}
	ours, others := float64(rows)/ourTime.Seconds(), float64(events)/theirTime.Seconds()
	b.ReportMetric(ours, "events/s")
	b.ReportMetric(others, "sigma-go-events/s")
	b.ReportMetric(ours/others, "ratio")
	b.ReportMetric(float64(matches), "matches-compared")
}

// BenchmarkDetectReload reads, compiles and puts in force 2,500 rules again and
// again, one of them changed, while 20,000 events/s come in batches of 100. The
// pause of a reload is the longest time that a batch which came meanwhile
// waited for its verdict; beside it is the longest in a second without reloads.
func BenchmarkDetectReload(b *testing.B) {
	const rows, every = 100, 5 * time.Millisecond
	batches := execEvents(1000, rows)
	sources := [2]Source{sigmaLike(2500), sigmaLike(2500)}
	const all = "SELECT pid FROM process_events WHERE event = 'exec'"
	for i, s := range sources {
		files := s.FS.(fstest.MapFS)
		files["all.sql"] = &fstest.MapFile{Mode: 0o644, Data: []byte(ruleText("all", "", all))}
		files["changed.sql"] = &fstest.MapFile{Mode: 0o644, Data: []byte(ruleText("changed", fmt.Sprintf("-- version: %d\n", i), anyEvent))}
	}
	m := NewMatcher(mustLoad(b, sources[1]), MatcherConfig{})
	type span struct{ from, to time.Time }
	var verdicts []span // from when a batch was due
	ctx, stop := context.WithCancel(b.Context())
	var stream sync.WaitGroup
	matched := 0
	stream.Go(func() {
		for due := time.Now(); ctx.Err() == nil; due = due.Add(every) {
			time.Sleep(time.Until(due))
			for _, match := range m.Match(batches[len(verdicts)%len(batches)], testStart) {
				if match.Rule.ID == "all" {
					matched++
				}
			}
			verdicts = append(verdicts, span{due, time.Now()})
		}
	})
	quiet := span{time.Now(), time.Now().Add(time.Second)}
	time.Sleep(time.Second)
	var reloads []span
	for b.Loop() {
		begun := time.Now()
		m.Reload(mustLoad(b, sources[len(reloads)%2]))
		reloads = append(reloads, span{begun, time.Now()})
	}
	stop()
	stream.Wait()
	if want := len(verdicts) * rows; matched != want {
		b.Errorf("%d matches of %d events, of which each matches once", matched, want)
	}
	pause := func(during span) (longest time.Duration) {
		for _, v := range verdicts {
			if !v.to.Before(during.from) && !v.from.After(during.to) {
				longest = max(longest, v.to.Sub(v.from))
			}
		}
		return longest
	}
	var pauses []time.Duration
	for _, r := range reloads {
		pauses = append(pauses, pause(r))
	}
	slices.Sort(pauses)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	b.ReportMetric(ms(pauses[len(pauses)/2]), "pause-p50-ms")
	b.ReportMetric(ms(pauses[len(pauses)*99/100]), "pause-p99-ms")
	b.ReportMetric(ms(pauses[len(pauses)-1]), "pause-max-ms")
	b.ReportMetric(ms(pause(quiet)), "without-max-ms")
}

// BenchmarkDetectLoad reads, checks and compiles 2,500 rules and makes their matcher.
func BenchmarkDetectLoad(b *testing.B) {
	source := sigmaLike(2500)
	var m *Matcher
	for b.Loop() {
		m = NewMatcher(mustLoad(b, source), MatcherConfig{})
	}
	x := m.plan.Load().tables[event.Lookup("process_events")].index
	b.ReportMetric(float64(x.size())/1e6, "index-MB")
	for _, batch := range execEvents(200, 1000) {
		m.Match(batch, testStart)
	}
	b.ReportMetric(float64(x.size())/1e6, "index-with-texts-MB")
}

// BenchmarkDetectIndex makes the matcher of 2,500 rules that are loaded.
func BenchmarkDetectIndex(b *testing.B) {
	set := mustLoad(b, sigmaLike(2500))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var m *Matcher
	for b.Loop() {
		m = NewMatcher(set, MatcherConfig{})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "heap-MB")
	runtime.KeepAlive(m)
}
