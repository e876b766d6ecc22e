package agent

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap"

	"daemoneye/bus/event"
	"daemoneye/store"
)

// Gaps that wait when the agent ends are stored first: nobody sends them again.
func TestQueuedGapsAreStoredAtTheEnd(t *testing.T) {
	s, err := store.Open(t.TempDir(), store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	in := &ingester{store: s, detect: &detector{queue: make(chan stored, 8)}, log: zap.NewNop(), own: make(chan *event.Batch, 8)}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range cap(in.own) {
		in.gap("process_events", "c", "collector", "test", time.Now(), time.Now(), 1)
	}
	in.run(ended)
	if stats, err := s.Stats(); err != nil || stats.Rows["event_gaps"] != 8 {
		t.Errorf("%d gaps are stored, %v, want 8", stats.Rows["event_gaps"], err)
	}
}
