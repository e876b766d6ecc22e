package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"go.uber.org/zap"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/config"
	"daemoneye/roles/term"
)

// openingWait is how long the opening lines wait for the first scan.
const openingWait = 5 * time.Second

// announce prints the opening lines once the first scan is in, and what was
// held back for them.
func (a *agent) announce(ctx context.Context) {
	if a.cfg.Out == nil {
		return
	}
	if a.cfg.Restarts > 0 {
		if err := a.curtain.rise(func() error { return nil }); err != nil {
			a.log.Warn("print alerts", zap.Error(err))
		}
		return
	}
	progress := term.StartProgress(a.cfg.Out, "first scan of all processes", "processes", 0)
	defer progress.Stop()
	timer := time.NewTimer(openingWait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-a.registry.scanned:
	case <-timer.C:
	}
	progress.Stop()
	c := a.cfg.Config
	set := a.matcher.Set()
	op := opening{
		version: a.cfg.Version, host: a.host, invocation: a.cfg.Invocation, roles: a.roles(),
		rules: a.rulesStatus(set), refused: refusals(set), store: c.Paths.Store,
		retention: retention(c.Store.Retention.Age, c.Store.Retention.Bytes),
	}
	if err := a.store.Space(); err != nil {
		op.full = a.named(err).Error()
	}
	op.collector, _ = a.registry.get()
	if err := a.curtain.rise(func() error { return op.write(a.cfg.Out) }); err != nil {
		a.log.Warn("print opening lines", zap.Error(err))
	}
}

// retention says how long history is kept, for people.
func retention(age time.Duration, bytes int64) string {
	switch {
	case age > 0 && bytes > 0:
		return fmt.Sprintf("%s or %s", config.FormatDuration(age), config.FormatSize(bytes))
	case age > 0:
		return config.FormatDuration(age)
	case bytes > 0:
		return "up to " + config.FormatSize(bytes)
	}
	return "for ever"
}

// invocation is how a person runs the client for this instance.
func (a *agent) invocation() string {
	if a.cfg.Invocation == "" {
		return "daemoneye"
	}
	return a.cfg.Invocation
}

// startSinks subscribes the sinks to the bus. They run until ctx ends and then
// take what is still queued. The file holds the rules back while it is written,
// so that it has every alert; a terminal whose user has stopped it must not,
// and says how many alerts it did not show.
func (a *agent) startSinks(ctx context.Context, wg *sync.WaitGroup) error {
	start := func(topic string, class bus.Class, take func(body []byte, missed uint64)) error {
		sub, err := a.broker.Subscribe(topic, class)
		if err == nil {
			wg.Go(func() { drain(ctx, sub, take) })
		}
		return err
	}
	var errs []error
	if a.jsonl != nil {
		errs = append(errs, start(api.AlertsTopic+"+", bus.Wait, a.writeAlert))
	}
	if a.cfg.Out != nil {
		a.curtain = &curtain{w: a.cfg.Out}
		out := *a.cfg.Out
		out.Writer = a.curtain
		a.out = &out
		errs = append(errs, start(api.AlertsTopic+"+", bus.Shed, a.printAlert))
	}
	if a.cfg.Out != nil && a.cfg.Verbose {
		errs = append(errs, start(api.EventsTopic+"process_events", bus.Shed, a.printNew))
	}
	return errors.Join(errs...)
}

// unprinted is how many alerts had no room in the queue of standard output.
func (a *agent) unprinted() (n uint64) {
	for _, s := range a.broker.Stats().Subscriptions {
		if s.Peer.Role == "" && s.Class == bus.Shed && s.Pattern == api.AlertsTopic+"+" {
			n += s.Dropped
		}
	}
	return n
}

// drain gives each message to take, with the number of those missed before
// it. When ctx ends it takes what has come already and then closes.
func drain(ctx context.Context, sub *bus.Subscription, take func(body []byte, missed uint64)) {
	defer sub.Close()
	for {
		d, err := sub.Next(ctx)
		if err != nil {
			return
		}
		missed := d.Missed
		for body := range d.Messages() {
			take(body, missed)
			missed = 0
		}
	}
}

func (a *agent) writeAlert(body []byte, _ uint64) {
	var alert event.Alert
	err := msgpack.Unmarshal(body, &alert)
	if err == nil {
		err = a.jsonl.write(&alert)
	}
	if err != nil {
		a.log.Error("write alert", zap.String("alert", alert.ID), zap.Error(err))
	}
}

func (a *agent) printAlert(body []byte, missed uint64) {
	var alert event.Alert
	err := msgpack.Unmarshal(body, &alert)
	if err == nil && missed > 0 {
		_, err = fmt.Fprintf(a.out, "%d alerts were not shown; see %s alerts list\n", missed, a.cfg.Invocation)
	}
	if err == nil {
		err = term.Alert(a.out, &alert)
	}
	if err != nil {
		a.log.Debug("print alert", zap.String("alert", alert.ID), zap.Error(err))
	}
}

// printNew prints the processes that are new in a batch of process_events.
func (a *agent) printNew(body []byte, _ uint64) {
	b, err := event.Decode(body, nil)
	if err != nil {
		a.log.Error("decode events", zap.Error(err))
		return
	}
	kind := b.Column("event")
	for i := range b.Rows {
		if kind.Text(i) != "seen" && kind.Text(i) != "exec" {
			continue
		}
		if err := term.Event(a.out, b, i); err != nil {
			a.log.Debug("print event", zap.Error(err))
			return
		}
	}
}
