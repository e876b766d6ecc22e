package collector

import (
	"errors"
	"sync"
	"time"

	"go.uber.org/zap/zapcore"

	"daemoneye/bus"
	"daemoneye/roles/log/core"
)

const (
	// repeatFirst is after how long an error that stays is said again, each
	// time doubled up to repeatMost.
	repeatFirst = time.Minute
	repeatMost  = time.Hour
	// maxSaid bounds the errors of one outage that are told apart.
	maxSaid = 16
)

// outage logs why the agent can not be reached: each reason once, and then, as
// long as nothing changes, at growing intervals. A refusal is said once: it
// takes a person to end it.
type outage struct {
	log *core.Logger

	mu       sync.Mutex
	said     map[string]bool
	attempts int
	next     time.Time     // when it is said again
	wait     time.Duration // and after how long once more
}

// failed notes an attempt that failed, at the time now.
func (o *outage) failed(err error, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.said == nil {
		o.said, o.wait = map[string]bool{}, repeatFirst
		o.next = now.Add(o.wait)
	}
	o.attempts++
	fields := []zapcore.Field{core.Err(err), core.Int("attempts", o.attempts)}
	var refused *bus.Error
	isRefusal := errors.As(err, &refused) && refused.Code == bus.CodeRefused
	kind := err.Error()
	if isRefusal {
		kind = refused.Code // its text names the pid
	}
	switch {
	case !o.said[kind] && len(o.said) < maxSaid:
		o.said[kind] = true
		if isRefusal {
			o.log.Warn("the agent refuses this collector", append(fields, core.String("hint",
				`it admits one collector, which has the token in the agent's data directory: stop the other one, name the agent's --data-dir, or let "daemoneye run" start both`))...)
			return
		}
		o.log.Info("connection to the agent", fields...)
	case !isRefusal && !now.Before(o.next):
		o.wait = min(2*o.wait, repeatMost)
		o.next = now.Add(o.wait)
		o.log.Info("still no connection to the agent", fields...)
	}
}

// ended notes that the agent is there again.
func (o *outage) ended() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.attempts > 1 {
		o.log.Info("connected to the agent", core.Int("attempts", o.attempts))
	}
	o.said, o.attempts = nil, 0
}
