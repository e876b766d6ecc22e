package ledger

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zeebo/blake3"
)

var crashRounds = flag.Int("crash.rounds", 200, "how often TestKilled kills")

// TestMain lets the test binary be the process that is killed, or that whose
// memory is measured.
func TestMain(m *testing.M) {
	var err error
	if dir := os.Getenv("LEDGER_TEST_APPEND"); dir != "" {
		err = appendForever(dir)
	} else if dir := os.Getenv("LEDGER_TEST_MEMORY"); dir != "" {
		n, _ := strconv.Atoi(os.Getenv("LEDGER_TEST_ENTRIES"))
		err = growInMemory(dir, n)
	} else {
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// appendForever appends from eight goroutines, and prints each sequence that
// was acknowledged.
func appendForever(dir string) error {
	c := quiet()
	c.CheckpointEntries = 100
	l, err := Open(dir, c)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				e := fact(w)
				e.Subject = fmt.Sprint(os.Getpid(), " ", w, " ", i)
				e.Payload = bytes.Repeat([]byte{0xc0}, rand.IntN(3000))
				n, err := l.Append(context.Background(), e)
				if err != nil {
					failed <- err
				}
				// One write, so that no line is torn.
				_, _ = os.Stdout.WriteString(fmt.Sprintf("%d %s\n", n, e.Subject))
			}
		}()
	}
	return <-failed
}

// kill -9 during appends: what was acknowledged is there, provable, and signed
// once the log is open again.
func TestKilled(t *testing.T) {
	t.Parallel()
	rounds := *crashRounds
	if testing.Short() {
		rounds = min(rounds, 15)
	}
	dir := filepath.Join(t.TempDir(), "ledger")
	acknowledged := map[uint64]string{}
	torn, kept := 0, uint64(0)
	for range rounds {
		got := killAppender(t, dir)
		for n, subject := range got {
			acknowledged[n] = subject
		}
		if _, err := os.Stat(filepath.Join(dir, checkpointFile)); errors.Is(err, os.ErrNotExist) && len(got) == 0 {
			continue // killed before there was a log
		}
		l, err := Open(dir, quiet())
		if err != nil {
			t.Fatal(err)
		}
		kept += l.Recovery().Entries
		if l.Recovery().Mended() {
			torn++
		}
		r := l.Reader()
		for n, subject := range got {
			e, err := r.Entry(n)
			if err != nil || e.Subject != subject {
				t.Fatalf("entry %d = %q, %v, want %q", n, e.Subject, err, subject)
			}
			p, err := r.ProveInclusion(n)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Verify(l.PublicKey()); err != nil {
				t.Fatal(err)
			}
		}
		closed(t, l)
		verified(t, dir, VerifyOptions{PublicKey: l.PublicKey()})
	}
	n := uint64(0)
	for e, err := range must(OpenReader(dir)).Range(0, 1<<40) {
		if want, ok := acknowledged[e.Sequence]; err != nil || ok && e.Subject != want {
			t.Fatalf("entry %d = %q, %v, want %q", e.Sequence, e.Subject, err, want)
		}
		n++
	}
	t.Logf("%d rounds: %d entries, %d of them acknowledged, %d taken in after the last checkpoint, %d times something was torn",
		rounds, n, len(acknowledged), kept, torn)
	if len(acknowledged) == 0 || kept == 0 {
		t.Error("no entry was acknowledged before a kill, or none was without a checkpoint")
	}
}

// killAppender runs appendForever, kills it, and returns what it acknowledged.
func killAppender(t *testing.T, dir string) map[uint64]string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LEDGER_TEST_APPEND="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	after := 1 + rand.IntN(200) // lines, most often while a commit is under way
	got := map[uint64]string{}
	lines := bufio.NewReader(out)
	for killed := false; ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			break
		}
		var n uint64
		number, subject, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if _, err := fmt.Sscan(number, &n); err != nil {
			t.Fatalf("appender said %q", line)
		}
		if got[n] = subject; len(got) == after && !killed {
			killed = true
			time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond) // anywhere in a commit
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // killed
	if stderr.Len() > 0 {
		t.Fatalf("appender: %s", stderr.String())
	}
	return got
}

// What a crash can leave of the last commit is cut off, told, and no more than
// that.
func TestTornTail(t *testing.T) {
	origin := t.TempDir()
	newLog(t, origin, 250, quiet())
	l := open(t, origin, quiet())
	// Entries up to 520, none of them under a checkpoint, as after a kill.
	appendFacts(t, l, 270)
	settled(t, l)
	crashed := copyLog(t, origin)
	closed(t, l)
	whole, tail := read(t, crashed, bundlePath(1)), read(t, crashed, bundlePath(2))
	first := records(whole)
	for name, test := range map[string]struct {
		change func(dir string)
		size   uint64
		torn   bool
	}{
		"nothing":             {func(string) {}, 520, false},
		"half a record":       {func(d string) { write(t, d, bundlePath(2), tail[:len(tail)-3]) }, 519, true},
		"half a head":         {func(d string) { write(t, d, bundlePath(2), append(tail, 0, 0)) }, 520, true},
		"zeros":               {func(d string) { write(t, d, bundlePath(2), append(tail, make([]byte, 5000)...)) }, 520, true},
		"an empty bundle":     {func(d string) { write(t, d, bundlePath(2), nil) }, 512, false},
		"a bundle of zeros":   {func(d string) { write(t, d, bundlePath(2), make([]byte, 100)) }, 512, true},
		"a hole":              {func(d string) { write(t, d, bundlePath(1), zeroed(whole, first[5], first[8])) }, 261, true},
		"a bundle lost":       {func(d string) { _ = os.Remove(filepath.Join(d, bundlePath(1))) }, 256, true},
		"the last bit of all": {func(d string) { write(t, d, bundlePath(2), flipped(tail, len(tail)-1)) }, 519, true},
		"a tile torn": {func(d string) {
			write(t, d, tilePath(0, 0), read(t, d, tilePath(0, 0))[:250*HashSize+7])
		}, 520, false},
		"a tile lost": {func(d string) { _ = os.Remove(filepath.Join(d, tilePath(0, 1))) }, 520, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyLog(t, crashed)
			test.change(dir)
			var before []byte
			for i := uint64(0); i < 3; i++ {
				b, _ := os.ReadFile(filepath.Join(dir, bundlePath(i)))
				before = append(before, b...)
			}
			if test.torn != (mustFail(Verify(dir, VerifyOptions{})) != nil) {
				t.Errorf("Verify before it is mended does not tell: torn %v", test.torn)
			}
			l := open(t, dir, quiet())
			got := l.Recovery()
			if l.Size() != test.size || got.Checkpoint != 250 || got.Entries != test.size-250 || got.Mended() != test.torn {
				t.Errorf("size %d, recovered %+v, want %d entries, torn %v", l.Size(), got, test.size, test.torn)
			}
			if test.torn && (got.TornAt != test.size || got.Reason == nil || got.TornHash == Hash(blake3.Sum256(nil))) {
				t.Errorf("recovered %+v, want what was torn", got)
			}
			left := 0
			for i := uint64(0); i < 3; i++ {
				b, _ := os.ReadFile(filepath.Join(dir, bundlePath(i)))
				left += len(b)
			}
			if int64(len(before)-left) != got.Torn {
				t.Errorf("%d bytes are gone, Recovery says %d", len(before)-left, got.Torn)
			}
			appendFacts(t, l, 300)
			closed(t, l)
			if r := verified(t, dir, VerifyOptions{PublicKey: l.PublicKey()}); r.Entries != test.size+300 {
				t.Errorf("Verify = %+v", r)
			}
			again := open(t, dir, quiet())
			if again.Recovery().Mended() {
				t.Errorf("opened again: %+v", again.Recovery())
			}
		})
	}
}

// settled waits until the tiles and the checkpoint are written that follow after
// an append was answered.
func settled(t *testing.T, l *Log) {
	t.Helper()
	for range 2 { // the first may come before the checkpoint
		if err := l.do(t.Context(), func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
}

func mustFail(_ Report, err error) error { return err }

func zeroed(b []byte, from, to int) []byte {
	b = bytes.Clone(b)
	clear(b[from:to])
	return b
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// A log of which only the first steps were done is made anew.
func TestInterruptedBegin(t *testing.T) {
	origin := t.TempDir()
	newLog(t, origin, 1, quiet())
	for name, keep := range map[string][]string{
		"the lock": {lockFile}, "the key": {lockFile, keyFile}, "the entry": {lockFile, keyFile, bundlePath(0)},
		"the tile": {lockFile, keyFile, bundlePath(0), tilePath(0, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range keep {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, f)), 0o750); err != nil {
					t.Fatal(err)
				}
				write(t, dir, f, read(t, origin, f))
			}
			l := open(t, dir, quiet())
			appendFacts(t, l, 10)
			closed(t, l)
			verified(t, dir, VerifyOptions{PublicKey: l.PublicKey()})
		})
	}
}

// A disk that is full fails appends and loses nothing; when there is space
// again they succeed.
func TestDiskFull(t *testing.T) {
	disk := smallDisk(t, "4m")
	dir := filepath.Join(disk, "ledger")
	c := quiet()
	c.CheckpointEntries = 50
	l := open(t, dir, c)
	big := fact(1)
	big.Payload = make([]byte, 3000)
	var acknowledged []uint64
	fill := func() {
		for {
			n, err := l.Append(t.Context(), big)
			if err != nil {
				if !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("Append = %v, want ENOSPC", err)
				}
				number := l.Size() / bundleEntries
				b, _ := os.ReadFile(filepath.Join(dir, bundlePath(number)))
				if found, err := readRecords(b, number*bundleEntries, nil); err != nil || found.bad != nil {
					t.Errorf("a failed append has left: %v, %v", found.bad, err)
				}
				return
			}
			acknowledged = append(acknowledged, n)
		}
	}
	ballast := filepath.Join(disk, "ballast")
	for round := range 4 {
		if err := os.WriteFile(ballast, make([]byte, (4-round)*200<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		fill()
		fill()
		size := l.Size()
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			n, err := l.Append(t.Context(), fact(2))
			if err != nil || n != size {
				t.Fatalf("Append = %d, %v with space again, want %d", n, err, size)
			}
			size++
		}
	}
	for s := l.Stats(); s.Checkpoint == s.Size; s = l.Stats() {
		appendFacts(t, l, 1)
		settled(t, l)
	}
	brim, err := os.Create(ballast)
	for err == nil {
		_, err = brim.Write(make([]byte, 4096))
	}
	if _, err := l.Checkpoint(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Checkpoint = %v, want ENOSPC", err)
	}
	if s := l.Stats(); s.Failed < 8 || s.CheckpointError == "" {
		t.Errorf("Stats = %+v, want the failed entries and the checkpoint that was not written", s)
	}
	if err := errors.Join(brim.Close(), os.Remove(ballast)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Checkpoint(t.Context()); err != nil {
		t.Error(err)
	}
	if s := l.Stats(); s.CheckpointError != "" || s.Checkpoint != s.Size {
		t.Errorf("Stats = %+v after a checkpoint", s)
	}
	closed(t, l)
	verified(t, dir, VerifyOptions{PublicKey: l.PublicKey()})
	r := must(OpenReader(dir))
	for _, n := range acknowledged {
		if e, err := r.Entry(n); err != nil || len(e.Payload) != 3000 {
			t.Fatalf("entry %d is lost: %v", n, err)
		}
	}
	t.Logf("%d entries of 3,000 bytes in 4 MiB", len(acknowledged))
}
