package agent

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/config"
	"daemoneye/roles/handoff"
	"daemoneye/rules/rulestest"
)

// BenchmarkDetectStored sends single events through the socket to an agent with
// 2,500 rules, of which one matches, and waits until the alert is stored.
func BenchmarkDetectStored(b *testing.B) {
	dir := b.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for _, r := range rulestest.Rules(2499) {
		write(r.ID+".sql", r.SQL())
	}
	write("canary.sql", testRule)
	cfg, err := config.Load(config.Options{Flags: map[string]string{"data_dir": filepath.Join(dir, "data"), "rules.builtin": "false", "rules.dirs": dir}})
	if err != nil {
		b.Fatal(err)
	}
	token := bus.NewToken()
	a := newAgent(Config{Config: cfg, Log: zap.NewNop(), Version: "test", Token: handoff.Token{Key: token[:]}})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := a.open(ctx); err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- a.serve(ctx) }()
	p := newPublisher(b, cfg.Paths.Socket, token)
	send := func(batch *event.Batch) {
		if _, err := p.Publish(b.Context(), api.EventsTopic+"process_events", event.Encode(nil, batch)); err != nil {
			b.Fatal(err)
		}
	}
	send(canaryAt(time.Now(), 0))
	if err := p.Flush(b.Context()); err != nil { // it is connected
		b.Fatal(err)
	}
	var times []time.Duration
	for b.Loop() {
		position := a.store.MatchedPosition()
		for begun := time.Now(); time.Since(begun) < 10*time.Millisecond; { // events do not come at once
			position = a.store.MatchedPosition()
			time.Sleep(time.Millisecond)
		}
		batch := canaryAt(time.Now(), int64(1+len(times)))
		begun := time.Now()
		send(batch)
		for a.store.MatchedPosition() == position { // it is stored together with the alert
			time.Sleep(20 * time.Microsecond)
		}
		times = append(times, time.Since(begun))
	}
	b.StopTimer()
	cancel()
	if err := <-served; err != nil {
		b.Fatal(err)
	}
	alerts := 0
	if err := a.store.OpenAlerts(b.Context(), time.Now().Add(-time.Hour), func(event.Alert) error { alerts++; return nil }); err != nil || alerts != len(times)+1 {
		b.Errorf("%d alerts are stored, %v, want %d", alerts, err, len(times)+1)
	}
	if err := a.close(); err != nil {
		b.Fatal(err)
	}
	slices.Sort(times)
	for name, at := range map[string]int{"p50-ms": len(times) / 2, "p99-ms": len(times) * 99 / 100, "max-ms": len(times) - 1} {
		b.ReportMetric(float64(times[at].Microseconds())/1e3, name)
	}
}
