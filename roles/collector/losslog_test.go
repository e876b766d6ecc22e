package collector

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"daemoneye/bus"
	"daemoneye/roles/api"
	"daemoneye/roles/log/core"
)

// A loss that goes on is one gap a second, and a line in the log now and then.
func TestLongLossIsSaidAtIntervals(t *testing.T) {
	recorded, logs := observer.New(zapcore.WarnLevel)
	log := core.NewLogger(recorded)
	c := &collector{log: log}
	dial := func(context.Context) (*bus.Conn, error) { return nil, errors.New("no agent") }
	c.agent = newAgentLink(Config{ID: "x", Dial: dial, Log: log}, &c.losses, nil, api.SourceProc, nil)
	defer func() {
		c.agent.cancel()
		_ = c.agent.publisher.Close()
	}()
	now := time.Now()
	for second := range 61 {
		at := now.Add(time.Duration(second) * reportEvery)
		c.losses.note("process_events", "test", 1, at, at)
		if err := c.reportLosses(at); err != nil {
			t.Fatal(err)
		}
	}
	if gaps, lines := c.agent.publisher.Stats().Published, logs.FilterMessageSnippet("events were lost").Len(); gaps != 61 || lines != 2 {
		t.Errorf("%d gaps and %d lines in 61 s, want 61 and 2", gaps, lines)
	}
}
