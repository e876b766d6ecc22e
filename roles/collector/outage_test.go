package collector

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"daemoneye/bus"
	"daemoneye/roles/log/core"
)

func TestOutageIsSaidOnceThenRarely(t *testing.T) {
	recorded, logs := observer.New(zapcore.DebugLevel)
	o := &outage{log: core.NewLogger(recorded)}
	now := time.Unix(0, 0)
	down, refused := errors.New("connection refused"), &bus.Error{Code: bus.CodeRefused, Message: "pid 7 has no valid collector token"}
	day := func(errs ...error) (info, warn int) {
		before := logs.Len()
		for i := range 24 * 60 * 60 / 5 {
			o.failed(errs[i%len(errs)], now)
			now = now.Add(5 * time.Second)
		}
		for _, l := range logs.All()[before:] {
			switch l.Level {
			case zapcore.InfoLevel:
				info++
			case zapcore.WarnLevel:
				warn++
			}
		}
		return info, warn
	}
	// After 0, 1, 3, 7, 15, 31 and 63 minutes, then every hour.
	if info, warn := day(down); info != 7+22 || warn != 0 {
		t.Errorf("a day without agent: %d infos and %d warnings, want 29 and 0", info, warn)
	}
	o.ended()
	if info, warn := day(fmt.Errorf("dial: %w", refused)); info != 0 || warn != 1 {
		t.Errorf("a day of refusals: %d infos and %d warnings, want one warning", info, warn)
	}
	o.ended()
	if info, warn := day(down, refused, errors.New("no token")); info > 32 || warn != 1 {
		t.Errorf("a day of changing errors: %d infos and %d warnings, want no more than 32, and 1", info, warn)
	}
	before := logs.Len()
	o.ended()
	o.failed(down, now)
	if n := logs.Len() - before; n != 2 {
		t.Errorf("%d lines when the agent was there and went again, want 2", n)
	}
}
