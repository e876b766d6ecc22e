package rules

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	"daemoneye/bus/event"
)

// GrouperConfig adjusts a Grouper; its zero value is the default.
type GrouperConfig struct {
	Host     string // alerts carry it
	MaxOpen  int    // alerts that are open at once; 8,192
	MaxBytes int    // about what they may take together; 8 MiB
}

func (c GrouperConfig) withDefaults() GrouperConfig {
	if c.MaxOpen == 0 {
		c.MaxOpen = 8192
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 8 << 20
	}
	return c
}

// Grouper turns matches into alerts. Its methods may be called by several
// goroutines at once.
//
// A match opens an alert unless one is open for its key. The alert opened by a
// match at time t is open for matches with time < t + window, where window is
// that of the matching rule; t stays its time and first_seen. Matches with an
// earlier time than t, which arrived late, are counted into it too. So no two
// alerts of one key cover the same moment, and the counts of all alerts add
// up to the number of matches.
//
// The key is made of the rule's id and its dedup columns, by default
// entity_id; a rule whose rows have no entity_id takes the whole row.
//
// The number of alerts held is bounded. The one whose window ends first makes
// room; when that window had not ended, this is counted in Forced, and the
// next match of its key opens a new alert.
type Grouper struct {
	cfg GrouperConfig

	mu      sync.Mutex
	open    map[string]*openAlert
	byEnd   endHeap
	bytes   int
	latest  time.Time // of all matches
	evicted int64     // alerts that made room
	forced  int64     // those of them whose window had not ended
}

type openAlert struct {
	alert event.Alert
	end   time.Time // first_seen + window, when it was opened
	index int       // in endHeap
	size  int
}

// Completeness says whether a loss of events could have hidden more.
type Completeness struct {
	Complete bool
	Reasons  []string // why not
}

// Change is an alert that was opened, or into which matches were counted.
type Change struct {
	Alert event.Alert
	New   bool
}

// NewGrouper returns a Grouper with no open alert.
func NewGrouper(cfg GrouperConfig) *Grouper {
	return &Grouper{cfg: cfg.withDefaults(), open: map[string]*openAlert{}}
}

// Restore takes up stored alerts, in any order, so that matches are counted
// on as if there had been no restart. Of several alerts of one key the
// latest is taken. A rule that set no longer has is taken with the default window.
func (g *Grouper) Restore(alerts []event.Alert, set *Set) {
	g.mu.Lock()
	defer g.mu.Unlock()
	windows := make(map[string]time.Duration, len(set.Rules))
	for _, r := range set.Rules {
		windows[r.ID] = r.Window
	}
	for _, a := range alerts {
		if old := g.open[a.DedupKey]; old != nil {
			if !a.FirstSeen.After(old.alert.FirstSeen) {
				continue
			}
			g.remove(old)
		}
		window, ok := windows[a.RuleID]
		if !ok {
			window = defaultRange
		}
		if a.LastSeen.After(g.latest) {
			g.latest = a.LastSeen
		}
		g.insert(a, a.FirstSeen.Add(window))
	}
}

// Add counts matches, in their order, and returns each alert that was opened
// or changed once, as it is after all of them.
func (g *Grouper) Add(matches []Match, c Completeness) []Change {
	g.mu.Lock()
	defer g.mu.Unlock()
	var changes []Change
	index := map[string]int{} // alert id → position in changes
	for i := range matches {
		m := &matches[i]
		if m.Time.After(g.latest) {
			g.latest = m.Time
		}
		a := g.open[m.Key]
		isNew := a == nil || !m.Time.Before(a.alert.FirstSeen.Add(m.Rule.Window))
		if isNew {
			if a != nil {
				g.remove(a)
			}
			a = g.insert(g.newAlert(m, c), m.Time.Add(m.Rule.Window))
		} else {
			a.count(m, c)
		}
		at, ok := index[a.alert.ID]
		if !ok {
			at = len(changes)
			index[a.alert.ID] = at
			changes = append(changes, Change{New: isNew})
		}
		changes[at].Alert = a.alert
	}
	return changes
}

func (a *openAlert) count(m *Match, c Completeness) {
	a.alert.Count++
	if m.Time.After(a.alert.LastSeen) {
		a.alert.LastSeen = m.Time
	}
	if !c.Complete {
		a.alert.Complete = false
		// The slice may be in the hands of a caller: never append in place.
		reasons := slices.Clone(a.alert.IncompleteReasons)
		for _, r := range c.Reasons {
			r = event.CutText(r, maxReason)
			if !slices.Contains(reasons, r) && len(reasons) < maxReasons {
				reasons = append(reasons, r)
			}
		}
		a.alert.IncompleteReasons = reasons
	}
}

// maxReasons bounds the incomplete_reasons of an alert that stays open long,
// and maxReason the bytes of one.
const (
	maxReasons = 16
	maxReason  = 512
)

func (g *Grouper) newAlert(m *Match, c Completeness) event.Alert {
	r := m.Rule
	a := event.Alert{
		Time: m.Time, RuleID: r.ID, RuleVersion: r.Version, Severity: r.Severity, Title: r.Title,
		Description: r.Description, Tags: r.Tags, DedupKey: strings.Clone(m.Key), Count: 1,
		FirstSeen: m.Time, LastSeen: m.Time, Table: r.Table(), Row: m.Row(), Process: m.Process(),
		EntityID: strings.Clone(m.EntityID), PID: m.PID, Host: g.cfg.Host, Complete: c.Complete,
	}
	if m.Excluded != nil {
		a.Excluded = m.Excluded.String()
	}
	if !c.Complete {
		for _, reason := range c.Reasons[:min(len(c.Reasons), maxReasons)] {
			a.IncompleteReasons = append(a.IncompleteReasons, event.CutText(reason, maxReason))
		}
	}
	a.ID = alertID(&a, g.evicted)
	return a
}

// alertID makes an id in the form of RFC 9562's UUIDv7: milliseconds of the
// alert's time, then the part of a millisecond (its method 3), then a digest
// of what makes the alert unique in place of random bits. The same events so
// give the same ids. evicted sets an alert apart from one of the same key and
// time that had to make room.
func alertID(a *event.Alert, evicted int64) string {
	us := a.Time.UnixMicro()
	h := sha256.New()
	for _, s := range []string{a.Host, a.RuleID, a.DedupKey} {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(us)))
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(evicted)))
	sum := h.Sum(nil)

	var id [16]byte
	ms, rest := max(0, us)/1000, max(0, us)%1000
	binary.BigEndian.PutUint64(id[:8], uint64(ms)<<16|0x7000|uint64(rest*4096/1000))
	copy(id[8:], sum)
	id[8] = id[8]&0x3f | 0x80
	text := hex.EncodeToString(id[:])
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

func (g *Grouper) insert(a event.Alert, end time.Time) *openAlert {
	o := &openAlert{alert: a, end: end, size: 512 + len(a.DedupKey) + len(a.Row) + len(a.Process)}
	g.open[a.DedupKey] = o
	heap.Push(&g.byEnd, o)
	g.bytes += o.size
	for len(g.open) > 1 && (len(g.open) > g.cfg.MaxOpen || g.bytes > g.cfg.MaxBytes) {
		first := g.byEnd[0]
		if first == o { // its window ends first, but it is what is being counted
			first = g.byEnd[g.byEnd.second()]
		}
		g.evicted++
		if first.end.After(g.latest) {
			g.forced++
		}
		g.remove(first)
	}
	return o
}

func (g *Grouper) remove(o *openAlert) {
	delete(g.open, o.alert.DedupKey)
	heap.Remove(&g.byEnd, o.index)
	g.bytes -= o.size
}

// Open returns the number of alerts held, and how many had to make room
// before their window ended.
func (g *Grouper) Open() (held int, forced int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.open), g.forced
}

// endHeap orders open alerts by the end of their window.
type endHeap []*openAlert

func (h endHeap) Len() int           { return len(h) }
func (h endHeap) Less(i, j int) bool { return h[i].end.Before(h[j].end) }
func (h endHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *endHeap) Push(x any) {
	o := x.(*openAlert)
	o.index = len(*h)
	*h = append(*h, o)
}

func (h *endHeap) Pop() any {
	old := *h
	o := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return o
}

// second returns the index of the least element but the first of a heap of
// two or more.
func (h endHeap) second() int {
	if len(h) > 2 && h.Less(2, 1) {
		return 2
	}
	return 1
}
