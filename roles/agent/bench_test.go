package agent

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/config"
	"daemoneye/roles/handoff"
)

// busyHost makes n rows of process_events as a busy host has them: about 2,000
// executables, of which few are common, and command lines of which 60 % repeat.
func busyHost(n, seed int) *event.Batch {
	b := event.NewBuilder(event.Lookup("process_events"))
	for i := range n {
		x := seed*n + i
		exe := x * 2654435761 % 2000
		if x%4 != 0 {
			exe %= 40
		}
		path := fmt.Sprintf("/usr/lib/package-%d/bin/program-%d", exe%97, exe)
		argument := x % 500
		if x%5 < 2 {
			argument = x
		}
		at := time.Unix(1_790_000_000, int64(x)*1_000_000)
		b.Column("time").Time(at)
		b.Column("event").Text("seen")
		b.Column("source").Text("procfs")
		b.Column("entity_id").Text(fmt.Sprintf("%032x", x))
		b.Column("pid").Int(int64(1000 + x%30000))
		b.Column("ppid").Int(int64(1 + x%300))
		b.Column("name").Text(fmt.Sprintf("program-%d", exe))
		b.Column("executable_path").Text(path)
		b.Column("invoked_path").Text(path)
		b.Column("command_line").Text(fmt.Sprintf("%s --config /etc/package-%d.conf --job %d --output /var/lib/jobs/%d/result", path, exe, argument, argument))
		b.Column("cwd").Text("/var/lib/jobs")
		b.Column("start_time").Time(at)
		b.Column("start_time_ns").Int(at.UnixNano())
		b.Column("user_id").Int(int64(x % 20))
		b.Column("effective_user_id").Int(int64(x % 20))
		b.Column("group_id").Int(int64(x % 20))
		b.Column("effective_group_id").Int(int64(x % 20))
		b.Column("user_name").Text(fmt.Sprintf("user%d", x%20))
		b.Column("status").Text("sleeping")
		b.Column("memory_usage").Int(int64(x%5000) << 12)
		b.Column("threads").Int(int64(1 + x%8))
		b.Column("kernel_thread").Bool(false)
		b.Column("accessible").Bool(true)
		b.Column("file_exists").Bool(true)
		b.Column("parent_entity_id").Text(fmt.Sprintf("%032x", x%300))
		b.Column("parent_name").Text(fmt.Sprintf("parent-%d", x%30))
		b.Column("ancestors").Texts([]string{fmt.Sprintf("/usr/sbin/parent-%d", x%30), "/usr/lib/systemd/systemd"})
		b.Column("collection_time").Time(at)
		b.EndRow()
	}
	return b.Batch()
}

// testAgent runs an agent and returns how to connect to it as a collector.
func testAgent(tb testing.TB, builtin bool) (socket string, token bus.Token) {
	tb.Helper()
	cfg, err := config.Load(config.Options{Flags: map[string]string{"data_dir": tb.TempDir(), "rules.builtin": fmt.Sprint(builtin)}})
	if err != nil {
		tb.Fatal(err)
	}
	_, _ = rand.Read(token[:])
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{Config: cfg, Log: zap.NewNop(), Version: "test", Token: handoff.Token{Key: token[:]}})
	}()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("agent: %v", err)
		}
	})
	return cfg.Paths.Socket, token
}

// BenchmarkIngest sends batches of 1,000 rows through the socket into the
// store and waits until all are acknowledged.
func BenchmarkIngest(b *testing.B) {
	for _, builtin := range []bool{false, true} {
		name := "without-rules"
		if builtin {
			name = "with-builtin-rules"
		}
		b.Run(name, func(b *testing.B) {
			socket, token := testAgent(b, builtin)
			const rows = 1000
			batches := make([][]byte, 64)
			size := 0
			for i := range batches {
				batches[i] = event.Encode(nil, busyHost(rows, i))
				size += len(batches[i])
			}
			p := newPublisher(b, socket, token)
			b.ResetTimer()
			for i := range b.N {
				if _, err := p.Publish(b.Context(), api.EventsTopic+"process_events", batches[i%len(batches)]); err != nil {
					b.Fatal(err)
				}
			}
			if err := p.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(size)/float64(len(batches)*rows), "bytes/row")
		})
	}
}

// newPublisher connects to the agent as its collector and waits until it may.
func newPublisher(tb testing.TB, socket string, token bus.Token) *bus.Publisher {
	tb.Helper()
	p := bus.NewPublisher(bus.PublisherConfig{
		Collector: fmt.Sprintf("test-%d", time.Now().UnixNano()),
		Dial: func(ctx context.Context) (*bus.Conn, error) {
			return bus.Dial(ctx, socket, bus.DialConfig{Token: &token})
		},
		MinBackoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
	})
	tb.Cleanup(func() { _ = p.Close() })
	return p
}
