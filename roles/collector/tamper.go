package collector

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"daemoneye/platform/bpf"
	"daemoneye/roles/log/core"
)

// sensor is a source whose programs and ring buffer another process can open.
type sensor interface {
	Check() ([]bpf.Tampering, error)
	HasMap(id uint32) bool
}

// checkSensor tells what another process has changed since the last look, and
// that events may be missing since. It is put back by then; a source that lacks a
// program ends.
func (c *collector) checkSensor(ctx context.Context, now time.Time) error {
	if c.live == nil || c.live.sensor == nil {
		return nil
	}
	before := c.live.looked
	c.live.looked = now
	list, err := c.live.sensor.Check()
	if errors.Is(err, bpf.ErrDetached) {
		if before.Before(c.kernel.checked) {
			c.kernel.checked = before
		}
		return c.sensorStopped(ctx, err)
	}
	if err != nil {
		c.log.Warn("check the programs in the kernel", core.Err(err))
	}
	for _, t := range list {
		c.log.Warn("tampered with", core.String("what", t.What))
		for kind := bpf.Fork; kind <= bpf.System; kind++ {
			if t.Concerns(kind) {
				c.losses.blind(tableOf(kind), t.What, t.Since, now)
			}
		}
		c.agent.tamperedWith(t.What, now)
		if err := c.tellOfSensor(eventSensorTampered, t.What); err != nil {
			return err
		}
	}
	return c.reportLosses(now)
}

// tamperedWith is what the next heartbeats say of it.
func (a *agentLink) tamperedWith(what string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tampered.Count++; a.tampered.Count == 1 {
		a.tampered.First = now
	}
	a.tampered.Last, a.tampered.What = now, what
	a.due()
}

// opensMap reports whether a bpf(2) opens one of our maps by its id, which who can
// open it can then change.
func (l *live) opensMap(c *bpf.Call) bool {
	const mapGetFDByID = 14
	return l.sensor != nil && c.Args[0] == mapGetFDByID && len(c.Bytes) >= 4 && l.sensor.HasMap(binary.LittleEndian.Uint32(c.Bytes))
}
