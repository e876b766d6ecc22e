package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// quiet is a configuration with which checkpoints come when they are asked for.
func quiet() Config {
	return Config{Origin: "example.com/log", CheckpointEntries: 1 << 30, CheckpointAfter: time.Hour}
}

func open(t testing.TB, dir string, c Config) *Log {
	t.Helper()
	l, err := Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func closed(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// fact is the entry that tests append as number i.
func fact(i int) Entry {
	return Entry{
		Actor: Actor{"daemoneye-agent", uint32(i), 998}, Action: "alert.raised",
		Subject: fmt.Sprintf("rule-%d", i%7), Correlation: fmt.Sprintf("c%d", i),
		Payload: []byte(fmt.Sprintf("\xa4%04d", i%10000)),
	}
}

func appendFacts(t testing.TB, l *Log, n int) {
	t.Helper()
	for n > 0 {
		batch := make([]Entry, min(n, 300))
		for i := range batch {
			batch[i] = fact(int(l.Size()) + i)
		}
		first, err := l.Append(t.Context(), batch...)
		if err != nil {
			t.Fatal(err)
		}
		if first != l.Size()-uint64(len(batch)) {
			t.Fatalf("Append = %d, want %d", first, l.Size()-uint64(len(batch)))
		}
		n -= len(batch)
	}
}

// newLog makes a log of size entries, the first of which is that of the key,
// and closes it.
func newLog(t testing.TB, dir string, size int, c Config) string {
	t.Helper()
	l := open(t, dir, c)
	appendFacts(t, l, size-1)
	closed(t, l)
	return l.PublicKey()
}

func verified(t testing.TB, dir string, o VerifyOptions) Report {
	t.Helper()
	r, err := Verify(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	l := open(t, dir, quiet())
	const n = 1000
	appendFacts(t, l, n)
	r := l.Reader()
	first, err := r.Entry(0)
	if err != nil {
		t.Fatal(err)
	}
	if first.Action != ActionKeyCreated || first.Subject != l.PublicKey() {
		t.Errorf("entry 0 = %+v, want the key %s", first, l.PublicKey())
	}
	i := 0
	for got, err := range r.Range(1, 1<<40) {
		if err != nil {
			t.Fatal(err)
		}
		i++
		want := fact(i)
		if got.Sequence != uint64(i) || got.Actor != want.Actor || got.Action != want.Action || got.Subject != want.Subject ||
			got.Correlation != want.Correlation || !bytes.Equal(got.Payload, want.Payload) || got.Time.IsZero() {
			t.Fatalf("entry %d = %+v, want %+v", i, got, want)
		}
	}
	if i != n {
		t.Errorf("Range yields %d entries, want %d", i, n)
	}
	for _, k := range []int{0, 1, 300, n + 1, 5000} {
		list, err := r.Last(k)
		if err != nil || len(list) != min(k, n+1) || len(list) > 0 && list[len(list)-1].Sequence != n {
			t.Errorf("Last(%d) = %d entries, %v", k, len(list), err)
		}
	}
	if _, err := r.Entry(n + 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Entry(%d) = %v, want ErrNotExist", n+1, err)
	}
	for e, err := range r.Range(255, 700) { // stops in the middle
		if err != nil || e.Sequence == 300 {
			break
		}
	}
	closed(t, l)
	if _, err := l.Append(t.Context(), fact(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("Append after Close = %v, want ErrClosed", err)
	}
	if _, err := l.Checkpoint(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Checkpoint after Close = %v, want ErrClosed", err)
	}
	report := verified(t, dir, VerifyOptions{PublicKey: l.PublicKey()})
	if report.Entries != n+1 || report.Unsigned != 0 || report.Checkpoint.Size != n+1 || report.Tiles != 5 || len(report.Keys) != 1 {
		t.Errorf("Verify = %+v", report)
	}
	again := open(t, dir, Config{})
	if got := again.Recovery(); got != (Recovery{Checkpoint: n + 1}) {
		t.Errorf("Recovery = %+v after a Close", got)
	}
	if again.Origin() != "example.com/log" || again.PublicKey() != l.PublicKey() || again.Size() != n+1 {
		t.Errorf("opened again: %q, %s, %d entries", again.Origin(), again.PublicKey(), again.Size())
	}
}

// At every size around the ends of bundles and tiles a log can be closed,
// opened and verified.
func TestSizes(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []int{1, 2, 255, 256, 257, 511, 512, 513, 1024} {
		l := open(t, dir, quiet())
		appendFacts(t, l, size-int(l.Size()))
		closed(t, l)
		if r := verified(t, dir, VerifyOptions{}); r.Entries != uint64(size) || r.Unsigned != 0 {
			t.Errorf("size %d: %+v", size, r)
		}
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	newLog(t, dir, 300, quiet())
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o640)
		switch {
		case d.IsDir():
			want = 0o750
		case d.Name() == keyFile:
			want = 0o600
		}
		if got := info.Mode().Perm(); got != want && os.PathSeparator == '/' {
			t.Errorf("%s has the mode %o, want %o", path, got, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAppendRefuses(t *testing.T) {
	l := open(t, t.TempDir(), quiet())
	own := fact(1)
	own.Action = ActionKeyRotated
	big := fact(1)
	big.Payload = make([]byte, MaxPayload)
	for name, entries := range map[string][]Entry{
		"none": nil, "its own action": {own}, "invalid": {fact(1), {}}, "too many": slices.Repeat([]Entry{fact(1)}, MaxBatch+1),
		"too large": slices.Repeat([]Entry{big}, MaxBatchBytes/MaxPayload+1),
	} {
		if _, err := l.Append(t.Context(), entries...); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: Append = %v, want ErrInvalid", name, err)
		}
	}
	if l.Size() != 1 {
		t.Errorf("the log has %d entries, want 1", l.Size())
	}
	if _, err := l.Append(t.Context(), slices.Repeat([]Entry{big}, MaxBatchBytes/MaxPayload-1)...); err != nil {
		t.Error(err)
	}
}

func TestManyAppendersShareCommits(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, quiet())
	const writers, each = 64, 50
	var wait sync.WaitGroup
	var mu sync.Mutex
	got := map[uint64]string{}
	for w := range writers {
		wait.Go(func() {
			for i := range each {
				e := fact(i)
				e.Subject = fmt.Sprint(w, " ", i)
				n, err := l.Append(t.Context(), e)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				got[n] = e.Subject
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if len(got) != writers*each {
		t.Errorf("%d sequences for %d appends", len(got), writers*each)
	}
	last := map[string]string{}
	for e, err := range l.Reader().Range(1, l.Size()) {
		if err != nil || got[e.Sequence] != e.Subject {
			t.Fatalf("entry %d is %q, %v, want %q", e.Sequence, e.Subject, err, got[e.Sequence])
		}
		w, _, _ := strings.Cut(e.Subject, " ")
		if len(e.Subject) < len(last[w]) || len(e.Subject) == len(last[w]) && e.Subject <= last[w] {
			t.Errorf("%q comes after %q", e.Subject, last[w])
		}
		last[w] = e.Subject
	}
	if s := l.Stats(); s.Commits >= writers*each || s.Size != writers*each+1 {
		t.Errorf("%d commits for %d appends by %d at once", s.Commits, writers*each, writers)
	}
	closed(t, l)
	verified(t, dir, VerifyOptions{})
}

// A context ends the waiting.
func TestAppendContext(t *testing.T) {
	l := open(t, t.TempDir(), quiet())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // both ways through select
		if _, err := l.Append(ctx, fact(1)); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, quiet())
	if _, err := Open(dir, quiet()); !errors.Is(err, ErrLocked) {
		t.Errorf("Open = %v, want ErrLocked", err)
	}
}

func TestOrigin(t *testing.T) {
	for _, origin := range []string{"a b", "a+b", "a\n", rotationHeader, strings.Repeat("a", 256)} {
		if _, err := Open(t.TempDir(), Config{Origin: origin}); err == nil {
			t.Errorf("Open with the origin %q: no error", origin)
		}
	}
	dir := t.TempDir()
	newLog(t, dir, 1, Config{})
	if _, err := Open(dir, quiet()); err == nil {
		t.Error("a log was opened under another origin")
	}
}

// The clock is set back: the entries' times stand still until it has caught up.
func TestClockSetBack(t *testing.T) {
	dir := t.TempDir()
	clock := time.UnixMilli(2_000_000)
	c := quiet()
	c.Now = func() time.Time { return clock }
	l := open(t, dir, c)
	times := []int64{2_000_000, 1_000_000, 2_000_001, 5}
	for _, ms := range times {
		clock = time.UnixMilli(ms)
		appendFacts(t, l, 1)
	}
	closed(t, l)
	l = open(t, dir, c) // and it remembers
	appendFacts(t, l, 1)
	list, err := l.Reader().Last(5)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, e := range list {
		got = append(got, e.Time.UnixMilli())
	}
	if want := []int64{2_000_000, 2_000_000, 2_000_001, 2_000_001, 2_000_001}; !slices.Equal(got, want) {
		t.Errorf("times = %v, want %v", got, want)
	}
	closed(t, l)
	verified(t, dir, VerifyOptions{})
}

// Checkpoints come after a number of entries, after a time, when asked for and
// at the end, each under what is on disk.
func TestCheckpoints(t *testing.T) {
	signed := make(chan Checkpoint, 100)
	c := quiet()
	c.OnCheckpoint = func(note []byte) {
		cp, err := unverified(note)
		if err != nil {
			t.Error(err)
		}
		signed <- cp
	}
	want := func(size uint64) {
		t.Helper()
		if got := <-signed; got.Size != size {
			t.Errorf("a checkpoint of %d entries, want %d", got.Size, size)
		}
	}
	dir := t.TempDir()
	c.CheckpointEntries = 10
	l := open(t, dir, c)
	want(1)
	appendFacts(t, l, 10)
	want(11)
	appendFacts(t, l, 3)
	if _, err := l.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(14)
	appendFacts(t, l, 1)
	closed(t, l)
	want(15)
	c.CheckpointAfter = time.Millisecond
	l = open(t, dir, c)
	appendFacts(t, l, 1)
	want(16)
	if got, err := OpenCheckpoint(must(l.Checkpoint(t.Context())), l.PublicKey()); err != nil || got.Size != 16 || got.Origin != l.Origin() {
		t.Errorf("Checkpoint = %+v, %v", got, err)
	}
	closed(t, l)
	if len(signed) > 0 {
		t.Errorf("%d more checkpoints", len(signed))
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Another process reads while the log is written.
func TestReaderBesideWriter(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, quiet())
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReader(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("OpenReader of nothing = %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 40 {
			appendFacts(t, l, 37)
			if _, err := l.Checkpoint(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		size, err := r.Size()
		if err != nil {
			t.Fatal(err)
		}
		n := uint64(0)
		for e, err := range r.Range(0, size) {
			if err != nil || e.Sequence != n {
				t.Fatalf("entry %d = %+v, %v", n, e, err)
			}
			n++
		}
		if n != size {
			t.Fatalf("Range yields %d of %d entries", n, size)
		}
		_, c, err := r.Checkpoint()
		if err != nil {
			t.Fatal(err)
		}
		p, err := r.ProveInclusion(c.Size - 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Verify(l.PublicKey()); err != nil {
			t.Fatal(err)
		}
		if report, err := Verify(dir, VerifyOptions{}); err != nil || !report.Live {
			t.Fatalf("Verify of a log in use = %+v, %v", report, err)
		}
	}
}
