package agent

import (
	"bytes"
	"context"
	"slices"
	"time"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/rules"
)

const (
	// needsInterval is how soon the collector hears of a rule or a watcher.
	needsInterval = time.Second
	// maxNeeds bounds the events, and the paths, that are named of one table.
	maxNeeds = 1024
)

// collectorNeeds answers api.CollectorNeeds until the connection ends.
func (a *agent) collectorNeeds(ctx context.Context, c *bus.Call) error {
	ticker := time.NewTicker(needsInterval)
	defer ticker.Stop()
	var told []byte
	var at time.Time
	for {
		body, err := encode(needs(a.matcher.Set(), a.broker.Stats().Subscriptions))
		if err != nil {
			return err
		}
		if now := time.Now(); !bytes.Equal(body, told) || now.Sub(at) >= api.LeaseTime/3 {
			if err := c.Reply(ctx, body); err != nil {
				return err
			}
			told, at = body, now
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// needs is what the rules that are in force and the subscribers read of the
// tables of events.
func needs(set *rules.Set, subscribers []bus.SubscriptionStats) api.Needs {
	var n api.Needs
	for _, t := range event.Tables() {
		if t.Kind != event.Stream || t.Index("event") < 0 {
			continue
		}
		need, needed := needOf(set, t)
		for _, s := range subscribers {
			if p, err := bus.ParsePattern(s.Pattern); err == nil && p.Match(api.EventsTopic+t.Name) {
				need.Events, needed = nil, true // who filters what it gets
			}
		}
		if needed {
			n.Tables = append(n.Tables, need)
		}
	}
	return n
}

// needOf is what the rules read of one table.
func needOf(set *rules.Set, t *event.Table) (need api.Need, needed bool) {
	need.Table = t.Name
	all := false
	for _, r := range set.Rules {
		if !r.Enabled || !slices.Contains(r.Tables, t.Name) {
			continue
		}
		needed = true
		if events, ok := r.Query().Restricts(t.Name, "event"); ok && len(events.Prefixes) == 0 {
			need.Events = append(need.Events, events.Values...)
		} else {
			all = true
		}
		if t.Index("path") >= 0 {
			if paths, ok := r.Query().Restricts(t.Name, "path"); ok {
				need.Paths = slices.Concat(need.Paths, paths.Values, paths.Prefixes)
			}
		}
	}
	need.Events, need.Paths = unique(need.Events), unique(need.Paths)
	if all || len(need.Events) > maxNeeds {
		need.Events = nil
	}
	need.Paths = need.Paths[:min(len(need.Paths), maxNeeds)]
	return need, needed
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
