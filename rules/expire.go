package rules

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// Expired is something that has stopped counting.
type Expired struct {
	File string
	Line int
	Time time.Time
	Text string // what it is
}

func (e *Expired) String() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.What()) }

// What is String without the place.
func (e *Expired) What() string {
	return fmt.Sprintf("%s: it expired at %s and does not count any more", e.Text, e.Time.UTC().Format(time.RFC3339))
}

// Expired returns what has stopped counting by now, the latest first.
func (s *Set) Expired(now time.Time) []Expired {
	var list []Expired
	s.eachEnd(func(end time.Time, what func() Expired) {
		if ended(end, now) {
			list = append(list, what())
		}
	})
	slices.SortStableFunc(list, func(a, b Expired) int { return b.Time.Compare(a.Time) })
	return list
}

// eachEnd visits everything that ends; what is made only where it is asked for,
// since lists may be long.
func (s *Set) eachEnd(visit func(end time.Time, what func() Expired)) {
	for _, l := range s.Lists {
		for _, v := range l.Values {
			if !v.Expires.IsZero() {
				visit(v.Expires, func() Expired {
					return Expired{l.File, v.Line, v.Expires, fmt.Sprintf("value %q of list %s", event.CutText(v.Text, maxShown), l.Name)}
				})
			}
		}
	}
	for _, r := range s.Rules {
		for _, e := range r.exceptions {
			visit(e.Expires, func() Expired {
				return Expired{e.File, e.Line, e.Expires, "exception of rule " + r.ID + ": " + event.CutText(e.Reason, maxShown)}
			})
		}
	}
}

// maxShown is how many bytes of a value or a reason are told.
const maxShown = 100

// expired returns what of the rule has stopped counting, at most maxReasons.
func (r *Rule) expired(s *Set) (list []string) {
	mine := &Set{Rules: []*Rule{r}}
	for _, name := range r.lists() {
		if l := s.List(name); l != nil && !slices.Contains(mine.Lists, l) {
			mine.Lists = append(mine.Lists, l)
		}
	}
	for _, e := range mine.Expired(time.Now()) {
		if len(list) < maxReasons {
			list = append(list, e.String())
		}
	}
	return list
}

// setNext notes when something ends next.
func (s *Set) setNext() {
	s.next = time.Time{}
	s.eachEnd(func(end time.Time, _ func() Expired) {
		if !ended(end, s.now) && (s.next.IsZero() || end.Before(s.next)) {
			s.next = end
		}
	})
}

// retry is after which time what could not be compiled is tried again.
const retry = time.Minute

// At returns the set as it is at a later time, without what has expired by
// then; the set itself if nothing has. No file is read. A rule that can not be
// compiled in time stays as it is for a minute.
func (s *Set) At(now time.Time) *Set {
	if !ended(s.next, now) {
		return s
	}
	out := *s
	out.now = now
	out.cfg.SQL.Lists = maps.Clone(s.cfg.SQL.Lists)
	shorter := map[string]bool{}
	for name, list := range s.SQLLists(now) {
		shorter[name] = list.Len() < s.cfg.SQL.Lists[name].Len()
		out.cfg.SQL.Lists[name] = list
	}
	out.Rules = slices.Clone(s.Rules)
	failed := false
	for i, r := range out.Rules {
		if len(r.exceptions) == 0 && !slices.ContainsFunc(r.lists(), func(name string) bool { return shorter[name] }) {
			continue
		}
		changed := *r
		query, err := sql.Compile(r.SQL, out.cfg.SQL)
		if err == nil {
			changed.query = query
			err = changed.except(now, out.cfg.SQL)
		}
		if err != nil {
			failed = true
			continue
		}
		out.Rules[i] = &changed
	}
	out.setNext()
	if failed {
		out.now, out.cfg.SQL.Lists = s.now, s.cfg.SQL.Lists // so that it is seen again what is shorter
		out.next = now.Add(retry)
	}
	return &out
}

// expire puts the set in force without what has expired by now. Nothing waits
// for a Reload: after that it is tried again.
func (m *Matcher) expire(now time.Time) {
	if !ended(m.Set().next, now) || !m.reload.TryLock() {
		return
	}
	defer m.reload.Unlock()
	m.put(m.Set().At(now))
}
