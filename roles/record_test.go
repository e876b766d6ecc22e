//go:build unix

package roles

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
)

// recording starts "daemoneye record" beside an instance.
func (in *instance) recording(args ...string) *instance {
	in.t.Helper()
	r := launchCommand(in.t, in.dir, nil, append([]string{"record", "--data-dir", in.dir}, args...)...)
	r.waitInLog("; Ctrl-C ends")
	return r
}

// What is recorded while it happens is replayed, and is the fixture of a rule.
func TestRecord(t *testing.T) {
	dir := writeRule(t, "canary.sql", testRule)
	file := filepath.Join(dir, "events.jsonl")
	in := start(t, nil, "--interval", "100ms", "--rules", dir)
	r := in.recording("-o", file, "--where", "command_line LIKE '/opt/canary-%' AND event IN ('seen', 'exec')", "--limit", "1")
	sleeper(t, "/opt/canary-1")
	if status := r.wait(); status != 0 {
		t.Fatalf("record: status %d", status)
	}
	for _, want := range []string{"--where does not fit ", "events.jsonl: 1 row in ", ": process_events 1\n"} {
		if !strings.Contains(r.logged(), want) {
			t.Errorf("record does not say %q", want)
		}
	}
	if data, err := os.ReadFile(file); err != nil || strings.Contains(string(data), "null") {
		t.Errorf("the recording has NULLs: %s, %v", data, err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file: %v, %v, want one for its owner alone", info, err)
	}
	if out, errOut, status := in.client("replay", "--rules", filepath.Join(dir, "canary.sql"), file); status != 0 || strings.Count(out, `"rule_id":"test-canary"`) != 1 {
		t.Errorf("replay: status %d, %s%s, want an alert", status, out, errOut)
	}
	test := "cases:\n  - name: recorded\n    file: events.jsonl\n    expect: [{command_line: /opt/canary-1 3600}]\n"
	if err := os.WriteFile(filepath.Join(dir, "canary.test.yaml"), []byte(test), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, errOut, status := in.client("rules", "test", dir); status != 0 || !strings.Contains(out, "ok        test-canary: 1 case") {
		t.Errorf("rules test: status %d, %s%s", status, out, errOut)
	}

	// What is there stays, unless it is to be overwritten.
	if _, errOut, status := in.client("record", "-o", file, "--duration", "1ms"); status != 1 || !strings.Contains(errOut, "is there already") {
		t.Errorf("over a file: status %d, %s", status, errOut)
	}
	if _, errOut, status := in.client("record", "-o", file, "--duration", "1ms", "--force"); status != 0 || !strings.Contains(errOut, "recording for 1 ms") {
		t.Errorf("over a file by force: status %d, %s", status, errOut)
	}

	// Ctrl-C ends a recording of all tables; another one ends with the agent.
	all, gone := filepath.Join(dir, "all.jsonl.gz"), filepath.Join(dir, "gone.jsonl")
	r = in.recording("-o", all)
	if status := r.stop(os.Interrupt); status != 0 {
		t.Errorf("after Ctrl-C: status %d", status)
	}
	r = in.recording("-o", gone)
	in.stop(syscall.SIGTERM)
	if status := r.wait(); status != 1 || !strings.Contains(r.logged(), "daemoneye: the agent ") {
		t.Errorf("after the agent's end: status %d", status)
	}
	for _, name := range []string{all, gone} {
		if _, err := os.Stat(name); err != nil {
			t.Errorf("what was recorded is not there: %v", err)
		}
	}
}

// A recording that is too slow counts what it misses, says so and has the rest.
func TestRecordMisses(t *testing.T) {
	dir := t.TempDir()
	in := role(t, filepath.Join(dir, "data"), "agent")
	in.waitInLog("agent serves")
	file := filepath.Join(dir, "slow.jsonl")
	r := in.recording("-o", file, "--table", "process_events", "--where", "name = 'last'", "--limit", "1")
	if err := r.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Signal(syscall.SIGCONT) })
	key, err := os.ReadFile(filepath.Join(in.dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	var token bus.Token
	if _, err := hex.Decode(token[:], []byte(strings.TrimSpace(string(key)))); err != nil {
		t.Fatal(err)
	}
	p := bus.NewPublisher(bus.PublisherConfig{
		Collector: "test", MinBackoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
		Dial: func(ctx context.Context) (*bus.Conn, error) {
			return bus.Dial(ctx, filepath.Join(in.dir, "run", "agent.sock"), bus.DialConfig{Token: &token})
		},
	})
	t.Cleanup(func() { _ = p.Close() })
	const batches = 100 // of half a MiB, which is more than waits anywhere
	for i := range batches {
		b := event.NewBuilder(event.Lookup("process_events"))
		name := "filler"
		if i == batches-1 {
			name = "last"
		}
		b.Column("time").Time(time.Now())
		b.Column("event").Text("exec")
		b.Column("source").Text("test")
		b.Column("entity_id").Text(fmt.Sprintf("e%d", i))
		b.Column("pid").Int(int64(i))
		b.Column("name").Text(name)
		b.Column("command_line").Text(noise(512<<10, i))
		b.Column("kernel_thread").Bool(false)
		b.Column("accessible").Bool(true)
		b.Column("collection_time").Time(time.Now())
		b.EndRow()
		if _, err := p.Publish(t.Context(), api.EventsTopic+"process_events", event.Encode(nil, b.Batch())); err != nil {
			t.Fatal(err)
		}
	}
	in.eventually("all is stored", func() bool { return len(in.query("SELECT 1 FROM process_events WHERE name = 'last'")) == 1 })
	if err := r.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if status := r.wait(); status != 1 || !strings.Contains(r.logged(), "batches of events were missed") {
		t.Errorf("status %d, want 1 and how many were missed", status)
	}
	if data, err := os.ReadFile(file); err != nil || strings.Count(string(data), "\n") != 1 || !strings.Contains(string(data), `{"table": "process_events", "time": `) {
		t.Errorf("the recording has %.100q, %v, want the last row", data, err)
	}
}

// noise is a text of n bytes that can not be made shorter.
func noise(n, seed int) string {
	b := make([]byte, n)
	x := uint64(seed) + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = 'a' + byte(x%26)
	}
	return string(b)
}
