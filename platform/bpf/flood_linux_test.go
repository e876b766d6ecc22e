//go:build amd64 || arm64

package bpf

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// flooder is a source that is not read meanwhile, and the program that floods it.
type flooder struct {
	*Source
	program, tiny string
}

func newFlooder(t *testing.T, config Config) *flooder {
	t.Helper()
	f := &flooder{program: build(t, "calls", "-no-pie", "-Wno-unused-result"), tiny: build(t, "tiny", "-nostdlib")}
	f.Source = open(t, config)
	for _, limit := range f.Limits() {
		t.Skip(limit)
	}
	if err := errors.Join(f.Want(System, all), f.Want(Changed, all)); err != nil {
		t.Fatal(err)
	}
	return f
}

// flood lets a process of a user make a number of events, and then one of
// another sort; it returns its pid.
func (f *flooder) flood(t *testing.T, user, count int) int {
	t.Helper()
	cmd := exec.Command(f.program, "flood", strconv.Itoa(os.Getpid()), strconv.Itoa(count), strconv.Itoa(user))
	if raw, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("flood: %v: %s", err, raw)
	}
	return cmd.Process.Pid
}

// told are the events of a process.
type told struct {
	reads, memfds, exits int
	floods               []Event
}

// drain reads all that was sent, checks that it is what was not lost, and
// returns the events by process.
func (f *flooder) drain(t *testing.T) (map[int]*told, Stats) {
	t.Helper()
	all := map[int]*told{}
	take := func() {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		for err := error(nil); !errors.Is(err, ErrSynced); {
			var list []Event
			if list, err = f.Read(nil); err != nil && !errors.Is(err, ErrSynced) {
				t.Fatal(err)
			}
			for _, e := range list {
				by := all[int(e.PID)]
				if by == nil {
					by = &told{}
					all[int(e.PID)] = by
				}
				switch {
				case e.Kind == Exit:
					by.exits++
				case e.Kind != System:
				case e.What == ProcessVMRead:
					by.reads++
				case e.What == MemfdCreate:
					by.memfds++
				case e.What == Flood:
					by.floods = append(by.floods, e)
				}
			}
		}
	}
	// Others send too: the counts agree once they have read and sent nothing in between.
	for range 10000 {
		take()
		stats, err := f.Stats()
		if err != nil {
			t.Fatal(err)
		}
		agree := true
		for k := range stats.Sent {
			agree = agree && stats.Sent[k] == stats.Received[k]+stats.Lost[k] && stats.Held[k] <= stats.Lost[k]
		}
		if agree && stats.Malformed == 0 {
			return all, stats
		}
	}
	stats, err := f.Stats()
	t.Fatalf("%+v, %v: want Sent = Received + Lost", stats, err)
	return nil, stats
}

// quiet skips the test when others have run more processes meanwhile than the
// ring buffer has room for besides those of the test.
func quiet(t *testing.T, stats Stats, own int) {
	t.Helper()
	if n := int(stats.Sent[Fork]) - own; n > 500 {
		t.Skipf("others have run %d processes meanwhile", n)
	}
}

// floodOf returns what an event says of a flood.
func floodOf(e Event) (kind Kind, what uint32, held uint64, ofUser bool) {
	a := e.System.Args
	return Kind(a[0]), uint32(a[1]), a[2], a[3] != 0
}

// TestFlood: while nobody reads, a process that makes more events than the ring
// buffer holds takes room neither from processes that begin and end, nor from
// other processes, users and sorts of events; and it is named.
func TestFlood(t *testing.T) {
	const ring, calls = 16 << 20, 150_000
	f := newFlooder(t, Config{RingBytes: ring})
	one := f.flood(t, 4001, calls)
	var many []int
	for range 150 { // each within the budget of a process
		many = append(many, f.flood(t, 4002, 400))
	}
	other := f.flood(t, 4003, 1)
	var tiny []int
	for range 200 {
		cmd := exec.Command(f.tiny)
		var ended *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
			t.Fatal(err)
		}
		tiny = append(tiny, cmd.Process.Pid)
	}
	events, stats := f.drain(t)
	quiet(t, stats, 2+len(many)+len(tiny))
	if stats.Lost[Fork]+stats.Lost[Exec]+stats.Lost[Exit] != 0 || stats.Held[System] < calls/2 {
		t.Errorf("stats %+v, want no fork, exec or exit lost, and half of %d calls held back", stats, calls)
	}
	for _, pid := range tiny {
		if e := events[pid]; e == nil || e.exits != 1 {
			t.Fatalf("process %d: %+v, want its end", pid, e)
		}
	}
	e := events[one]
	if e == nil || e.reads < 10_000 || e.reads >= calls || e.memfds != 1 || len(e.floods) == 0 {
		t.Fatalf("who floods: %+v, want some reads of %d, its memfd, and that it floods", e, calls)
	}
	if kind, what, held, ofUser := floodOf(e.floods[0]); kind != System || what != ProcessVMRead || held == 0 || ofUser {
		t.Errorf("flood of %v %d, %d held back, of the user: %v", kind, what, held, ofUser)
	}
	named := false
	for _, pid := range many {
		if e := events[pid]; e != nil {
			for _, flood := range e.floods {
				kind, what, held, ofUser := floodOf(flood)
				named = named || kind == System && what == ProcessVMRead && held > 0 && ofUser
			}
		}
	}
	if !named {
		t.Error("nothing tells that a user floods by many processes")
	}
	if e := events[other]; e == nil || e.reads != 1 || e.memfds != 1 {
		t.Errorf("another user's process: %+v, want its read and its memfd", e)
	}
	t.Logf("%d sent, %d held back, %d without room; %d reads told of who floods",
		stats.Sent[System], stats.Held[System], stats.Lost[System]-stats.Held[System], e.reads)
}

// TestFatExecs: who executes programs with long arguments and variables, while
// nobody reads, does not make others' execs lost, nor have their texts cut as long as
// there is room.
func TestFatExecs(t *testing.T) {
	const ring = 16 << 20
	fat, tiny := build(t, "fat"), build(t, "tiny", "-nostdlib")
	s := open(t, Config{RingBytes: ring})
	flood := exec.Command(fat, "500", tiny, "100000")
	if raw, err := flood.CombinedOutput(); err != nil {
		t.Fatalf("flood: %v: %s", err, raw)
	}
	long := strings.Repeat("z", 8000)
	other := exec.Command(tiny, long)
	var ended *exec.ExitError
	if err := other.Run(); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	stats, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	quiet(t, stats, 502)
	if Total(stats.Lost) != 0 {
		t.Errorf("%+v, want nothing lost", stats)
	}
	r := record(t, s)
	whole, brief := 0, 0
	for _, e := range r.until(t, exitOf(other.Process.Pid)) {
		switch {
		case e.Kind != Exec:
		case int(e.PPID) == flood.Process.Pid && e.Flags&EnvironCut == 0:
			whole++
		case int(e.PPID) == flood.Process.Pid:
			if n := len(e.Process.Cmdline); n != 1024 || e.Flags&ArgsCut == 0 {
				t.Fatalf("flags %#x with %d bytes of arguments, want 1024 and that they are cut", e.Flags, n)
			}
			brief++
		case int(e.PID) == other.Process.Pid && e.Process.Cmdline != tiny+"\x00"+long:
			t.Errorf("another process's arguments are %d bytes", len(e.Process.Cmdline))
		}
	}
	if whole < 100 || brief < 200 || whole+brief != 500 {
		t.Errorf("%d execs are told whole and %d briefly, want 500 and both", whole, brief)
	}
	t.Logf("%d execs told whole, %d briefly", whole, brief)
}

// TestReaderBehind: while the reader is behind, who makes many events is held back
// though the ring buffer is empty; else he is not.
func TestReaderBehind(t *testing.T) {
	const calls = 5000
	f := newFlooder(t, Config{RingBytes: 16 << 20})
	if err := f.Behind(true); err != nil {
		t.Fatal(err)
	}
	pid := f.flood(t, 4001, calls)
	events, stats := f.drain(t)
	if e := events[pid]; stats.Held[System] == 0 || e.reads == 0 || e.reads >= calls || e.memfds != 1 || len(e.floods) == 0 {
		t.Errorf("behind: %+v, %d held back", e, stats.Held[System])
	}
	if err := f.Behind(false); err != nil {
		t.Fatal(err)
	}
	before := stats.Held[System]
	pid = f.flood(t, 4001, calls)
	events, stats = f.drain(t)
	if e := events[pid]; stats.Held[System] != before || e.reads != calls || len(e.floods) != 0 {
		t.Errorf("not behind: %+v, %d more held back", e, stats.Held[System]-before)
	}
}

// BenchmarkFlood is a system call that is told: by itself, with a source that is
// read, and with one that holds it back.
//
//	go test -run '^$' -bench Flood -count 5 ./platform/bpf
func BenchmarkFlood(b *testing.B) {
	other := exec.Command("sleep", "3600")
	if err := other.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	})
	loop := func(b *testing.B) {
		for b.Loop() {
			// A successful call that transfers nothing.
			if _, err := unix.ProcessVMReadv(other.Process.Pid, nil, nil, 0); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("alone", loop)
	for _, behind := range []bool{false, true} {
		name := "told"
		if behind {
			name = "held"
		}
		b.Run(name, func(b *testing.B) {
			s := open(b, Config{})
			if err := errors.Join(s.Want(System, all), s.Behind(behind)); err != nil {
				b.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				var list []Event
				for err := error(nil); err == nil; {
					list, err = s.Read(list[:0])
				}
			}()
			loop(b)
			b.StopTimer()
			stats, err := s.Stats()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(stats.Held[System])/float64(stats.Sent[System]), "held")
			_ = s.Close()
			<-done
		})
	}
}
