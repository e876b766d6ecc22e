package rules

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// ReplayConfig adjusts Replay; its zero value is the default.
type ReplayConfig struct {
	Grouper GrouperConfig
	Matcher MatcherConfig
	MaxHeld int // bytes of encoded events held for History and Scan rules; 256 MiB
}

// ReplayResult is what has come of a Replay.
type ReplayResult struct {
	Rows     int64
	Alerts   []event.Alert // by time, then by id
	Excluded int64         // matches that met an exception
	Stats    []Stats
}

// Replay matches recorded batches as if they arrived now, with no clock but
// the times in them: the same batches give the same alerts with the same ids.
// now() is the greatest time seen up to the end of the batch at hand. History
// and Scan rules are evaluated once, at the end, over all rows. An error of
// the iterator or of ctx ends the replay.
func Replay(ctx context.Context, set *Set, batches iter.Seq2[*event.Batch, error], cfg ReplayConfig) (*ReplayResult, error) {
	if cfg.MaxHeld == 0 {
		cfg.MaxHeld = 256 << 20
	}
	if cfg.Matcher.BatchTimeout == 0 {
		cfg.Matcher.BatchTimeout = -1 // no clock
	}
	if cfg.Matcher.Share == 0 {
		cfg.Matcher.Share = -1
	}
	m := NewMatcher(set, cfg.Matcher)
	g := NewGrouper(cfg.Grouper)
	held := holdFor(m.plan.Load(), cfg.MaxHeld)
	alerts := map[string]event.Alert{}
	result := &ReplayResult{}
	now := time.UnixMicro(0).UTC()
	add := func(list []Match) {
		for _, c := range g.Add(list, Completeness{Complete: true}) {
			alerts[c.Alert.ID] = c.Alert
		}
	}
	for b, err := range batches {
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, greatest, ok := b.TimeRange(); ok {
			if t := time.UnixMicro(greatest).UTC(); t.After(now) {
				now = t
			}
		}
		result.Rows += int64(b.Rows)
		add(m.Match(b, now))
		if err := held.add(b); err != nil {
			return nil, err
		}
	}
	list, err := m.runAll(ctx, held, now)
	if err != nil {
		return nil, err
	}
	add(list)
	for _, a := range alerts {
		if a.Excluded != "" {
			result.Excluded += a.Count
			continue
		}
		result.Alerts = append(result.Alerts, a)
	}
	slices.SortFunc(result.Alerts, func(a, b event.Alert) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
	})
	result.Stats = m.Stats()
	return result, nil
}

// WriteJSON writes the alerts as JSON, one a line.
func (r *ReplayResult) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for i := range r.Alerts {
		if err := e.Encode(&r.Alerts[i]); err != nil {
			return fmt.Errorf("write alert: %w", err)
		}
	}
	return nil
}

// runAll runs every History and Scan rule once over all of src.
func (m *Matcher) runAll(ctx context.Context, src sql.Source, now time.Time) ([]Match, error) {
	m.expire(now)
	p := m.plan.Load()
	var found []Match
	for _, c := range slices.Concat(p.history, p.scan) {
		list := m.run(ctx, c, src, now)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c.count(list)
		found = append(found, list...)
	}
	return found, nil
}

// held is a Source of batches kept in memory, encoded, since that is many
// times smaller.
type held struct {
	tables map[string]bool // kept at all
	data   map[string][][]byte
	bytes  int
	limit  int
}

// holdFor returns an empty Source for the tables of the plan's History and
// Scan rules.
func holdFor(p *plan, limit int) *held {
	h := &held{tables: map[string]bool{}, data: map[string][][]byte{}, limit: limit}
	for _, c := range slices.Concat(p.history, p.scan) {
		for _, name := range c.rule.Tables {
			h.tables[name] = true
		}
	}
	return h
}

func (h *held) add(b *event.Batch) error {
	if !h.tables[b.Table.Name] || b.Rows == 0 {
		return nil
	}
	data := event.Encode(nil, b)
	if h.bytes += len(data); h.bytes > h.limit {
		return fmt.Errorf("rules that read the history of %s need more than %d MiB of events in memory", b.Table.Name, h.limit>>20)
	}
	h.data[b.Table.Name] = append(h.data[b.Table.Name], data)
	return nil
}

// Scan yields the batches held of the table, in their order.
func (h *held) Scan(ctx context.Context, r sql.ScanRequest, yield func(*event.Batch) error) error {
	want := func(column string) bool { return slices.Contains(r.Columns, column) }
	for _, data := range h.data[r.Table.Name] {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := event.Decode(data, want)
		if err != nil {
			return err
		}
		if err := yield(b); err != nil {
			return err
		}
	}
	return nil
}
