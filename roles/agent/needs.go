package agent

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/rules"
	"daemoneye/rules/sql"
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

// toldTables are the tables of what happens, which a collector tells.
func toldTables() []*event.Table {
	return slices.DeleteFunc(slices.Clone(event.Tables()), func(t *event.Table) bool { return t.Kind != event.Stream || t.Index("event") < 0 })
}

// needsKernel reports whether only the kernel's programs tell of the table.
func needsKernel(t *event.Table) bool { return t.Name != "process_events" }

// untold says, for people, which of the tables nobody tells of at present.
func (a *agent) untold(tables []string) (list []string) {
	c, _ := a.registry.get()
	if c == nil || !c.Connected || c.Source == api.SourceKernel {
		return nil
	}
	for _, t := range toldTables() {
		if needsKernel(t) && slices.Contains(tables, t.Name) {
			list = append(list, fmt.Sprintf("nothing comes into %s now: that takes eBPF, and the collector observes with %s (daemoneye health says why)", t.Name, c.Source))
		}
	}
	return list
}

// needs is what the rules that are in force and the subscribers read of the
// tables of events.
func needs(set *rules.Set, subscribers []bus.SubscriptionStats) api.Needs {
	var n api.Needs
	for _, t := range toldTables() {
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
func needOf(set *rules.Set, t *event.Table) (_ api.Need, needed bool) {
	need := need{api.Need{Table: t.Name}}
	all := false
	for _, r := range set.Rules {
		if !r.Enabled || !slices.Contains(r.Tables, t.Name) {
			continue
		}
		needed = true
		events, restricted := r.Query().Restricts(t.Name, "event")
		if restricted = restricted && len(events.Prefixes) == 0; restricted {
			need.Events = append(need.Events, events.Values...)
		} else {
			all = true
		}
		if t.Index("path") < 0 {
			continue
		}
		paths := []string{"path"}
		if t.Index("target_path") >= 0 {
			paths = append(paths, "target_path")
		}
		reads := !restricted || slices.Contains(events.Values, "read")
		changes := !restricted || slices.ContainsFunc(events.Values, func(e string) bool { return e != "read" })
		need.watch(r.Query().Names(t.Name, paths...), changes, reads)
	}
	need.Events, need.Paths, need.Reads = unique(need.Events), unique(need.Paths), unique(need.Reads)
	if all || len(need.Events) > maxNeeds {
		need.Events = nil
	}
	need.Paths, need.Reads = need.Paths[:min(len(need.Paths), maxNeeds)], need.Reads[:min(len(need.Reads), maxNeeds)]
	return need.Need, needed
}

// need is an api.Need that is being gathered.
type need struct{ api.Need }

// watch adds what a rule says of path. Of a text with which paths begin the
// directory is what is watched, but not the root: that would be everything.
func (n *need) watch(paths sql.Restriction, changes, reads bool) {
	if changes {
		n.Paths = append(n.Paths, paths.Values...)
		for _, p := range paths.Prefixes {
			if dir := p[:strings.LastIndexByte(p, '/')+1]; len(dir) > 1 {
				n.Paths = append(n.Paths, strings.TrimSuffix(dir, "/"))
			}
		}
	}
	if reads {
		n.Reads = append(n.Reads, paths.Values...)
	}
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
