package rules

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"daemoneye/bus/event"
)

// detectRandom makes the rules and events of these benchmarks; they are the
// same in each run.
type detectRandom struct{ *rand.Rand }

func newDetectRandom(seed uint64) detectRandom { return detectRandom{rand.New(rand.NewPCG(seed, 7))} }

func pickOne[T any](r detectRandom, list []T) T { return list[r.IntN(len(list))] }

// word is one of n made-up words, pronounceable and 4 to 9 letters long.
func word(i int) string {
	const consonants, vowels = "bcdfgklmnprstvz", "aeiou"
	var b strings.Builder
	for i = i*7919 + 104729; i > 0; i /= 75 {
		b.WriteByte(consonants[i%15])
		b.WriteByte(vowels[i/15%5])
	}
	return b.String()
}

var (
	tools   = strings.Fields("bash sh dash curl wget python3 perl ruby nc ncat socat ssh scp rsync tar gzip base64 xxd openssl systemctl crontab at chmod chown useradd usermod passwd sudo su iptables nft tcpdump nmap dd cp mv rm cat grep sed awk find xargs kill pkill insmod modprobe mount docker kubectl git make gcc node java php")
	options = strings.Fields("-c -e -i -o -O -x -p --output --exec --config --force -rf +x 4444 http:// https:// /tmp/ /dev/shm/ /dev/tcp/ /etc/passwd /etc/shadow .ssh/authorized_keys base64 chmod nohup bash sh")
	parents = []string{"/usr/sbin/sshd", "/usr/sbin/nginx", "/usr/sbin/apache2", "/usr/bin/bash", "/usr/bin/dash", "/usr/lib/systemd/systemd", "/usr/sbin/cron", "/usr/bin/make", "/usr/bin/python3.11", "/usr/lib/postgresql/15/bin/postgres"}
)

// sigmaLike makes rules as converted Sigma rules are: suffixes of the path,
// parts of the command line, equal parents, and filters.
func sigmaLike(n int) Source {
	r := newDetectRandom(1)
	list := func(k int, one func() string) string {
		var parts []string
		for range k {
			parts = append(parts, quote(one()))
		}
		return strings.Join(parts, ", ")
	}
	tool := func() string {
		if r.IntN(3) == 0 {
			return "%/" + pickOne(r, tools)
		}
		return "%/" + word(r.IntN(3000))
	}
	part := func() string {
		if r.IntN(3) == 0 {
			return "%" + pickOne(r, options) + "%"
		}
		return "%" + pickOne(r, []string{"", " ", "--", "/"}) + word(r.IntN(4000)) + "%"
	}
	m := fstest.MapFS{}
	for i := range n {
		where := []string{"event = 'exec'"}
		switch i % 4 {
		case 0, 1:
			where = append(where, "executable_path LIKE ANY (ARRAY["+list(1+r.IntN(4), tool)+"])",
				"command_line ILIKE ALL (ARRAY["+list(1+r.IntN(3), part)+"])")
		case 2:
			where = append(where, "command_line ILIKE ALL (ARRAY["+list(2, part)+"])",
				"command_line ILIKE ANY (ARRAY["+list(2+r.IntN(4), part)+"])")
		default:
			where = append(where, "parent_executable_path = "+quote(pickOne(r, parents)), "executable_path LIKE "+quote(tool()),
				"command_line ILIKE "+quote(part()))
		}
		if r.IntN(2) == 0 {
			where = append(where, "NOT coalesce(parent_executable_path LIKE ANY (ARRAY["+list(1+r.IntN(3), tool)+"]), false)")
		}
		m[fmt.Sprintf("%04d.sql", i)] = &fstest.MapFile{Mode: 0o644, Data: []byte(ruleText(fmt.Sprintf("rule-%04d", i), "",
			"SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path\nFROM process_events\nWHERE "+strings.Join(where, "\n  AND ")))}
	}
	return Source{Name: "generated/", FS: m}
}

// execEvents makes batches of exec events of a busy machine: 400 executables,
// the first ones most often, with command lines of which three in four have
// been there before.
func execEvents(batches, rows int) []*event.Batch {
	r := newDetectRandom(2)
	var lines [][2]string
	b := event.NewBuilder(event.Lookup("process_events"))
	out := make([]*event.Batch, batches)
	for k := range out {
		for i := range rows {
			n := k*rows + i
			var exe, line string
			if len(lines) > 100 && r.IntN(4) > 0 {
				old := lines[int(float64(len(lines))*r.Float64()*r.Float64())]
				exe, line = old[0], old[1]
			} else {
				name := word(r.IntN(350))
				if r.IntN(2) == 0 {
					name = pickOne(r, tools)
				}
				exe = "/usr/bin/" + name
				args := []string{name}
				for range 1 + r.IntN(6) {
					args = append(args, pickOne(r, []string{"-" + string(rune('a'+r.IntN(26))), "--" + word(4000+r.IntN(2000)), "/srv/" + word(5000+r.IntN(500)) + "/" + word(r.IntN(9000)), fmt.Sprint(n)}))
				}
				line = strings.Join(args, " ")
				if len(lines) < 5000 {
					lines = append(lines, [2]string{exe, line})
				}
			}
			at := testStart.Add(time.Duration(n) * time.Millisecond)
			b.Column("time").Time(at)
			b.Column("event").Text("exec")
			b.Column("source").Text("ebpf")
			b.Column("entity_id").Text(fmt.Sprintf("%032x", n))
			b.Column("pid").Int(int64(n % 4_000_000))
			b.Column("user_name").Text(pickOne(r, []string{"root", "www-data", "build", "alice"}))
			b.Column("name").Text(exe[strings.LastIndexByte(exe, '/')+1:])
			b.Column("executable_path").Text(exe)
			b.Column("command_line").Text(line)
			b.Column("parent_executable_path").Text(pickOne(r, parents))
			b.Column("kernel_thread").Bool(false)
			b.Column("accessible").Bool(true)
			b.Column("collection_time").Time(at)
			b.EndRow()
		}
		out[k] = b.Batch()
	}
	return out
}

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
