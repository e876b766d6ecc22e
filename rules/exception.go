package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"daemoneye/rules/sql"
)

// Exceptions stand in exceptions/*.yaml of a source:
//
//	exceptions:
//	  - rule: exec-from-temp
//	    when: executable_path LIKE '/tmp/go-build%'
//	    reason: tests that the Go tool builds
//	    author: ann
//	    expires: 2026-12-31
//
// when is a condition on the row of the rule's table, or, for a rule that
// groups, joins and so on, on the row of its result.
const exceptionDir = "exceptions"

// Limits of exceptions.
const (
	maxExceptionFiles    = 200 // of one source
	maxExceptions        = 1000
	maxExceptionsOfARule = 100
)

// Exception is a condition under which matches of a rule raise no alert. It is
// shared and must not be changed.
type Exception struct {
	Rule    string // id
	When    string
	Reason  string
	Author  string
	Expires time.Time
	File    string
	Line    int
}

// String is what an alert says of it.
func (e *Exception) String() string { return e.Reason + " (" + e.Author + ")" }

// key tells the exceptions of a rule apart, over restarts too.
func (e *Exception) key() string {
	sum := sha256.Sum256([]byte(e.When))
	return hex.EncodeToString(sum[:8])
}

// Exceptions returns those of the rule, in force or expired, in the order of
// their files.
func (r *Rule) Exceptions() []*Exception { return r.exceptions }

// exception is one in force.
type exception struct {
	*Exception
	query *sql.Query // of a rule that streams: the condition over the rule's table
}

// loadExceptions reads exceptions/*.yaml of a source, after all rules.
func (l *loader) loadExceptions(s Source) {
	info, err := fs.Stat(s.FS, s.root())
	one := err == nil && !info.IsDir()
	l.yamlFiles(s, exceptionDir, maxExceptionFiles, func(file string, data []byte) {
		r := newYAMLReader(file, data)
		var list *yaml.Node
		r.object(r.document(), "the file", []string{"exceptions"}, map[string]func(*yaml.Node){
			"exceptions": func(n *yaml.Node) { list = n },
		})
		r.items(list, "exceptions", maxExceptions, func(n *yaml.Node) { l.exception(r, n, one) })
		if len(r.problems) > 0 {
			l.refuse(&Refusal{File: file, Problems: r.problems})
		}
	})
}

// exception reads one exception; one that is not good leaves the others in
// force. With one other rules than those that are loaded may exist.
func (l *loader) exception(r *yamlReader, n *yaml.Node, one bool) {
	e := &Exception{File: r.file, Line: n.Line}
	var id, when *yaml.Node
	before := len(r.problems)
	r.object(n, "an exception", []string{"rule", "when", "reason", "author", "expires"}, map[string]func(*yaml.Node){
		"rule":    func(n *yaml.Node) { id, e.Rule = n, r.text(n, "rule", 80) },
		"when":    func(n *yaml.Node) { when, e.When = n, r.text(n, "when", maxText) },
		"reason":  func(n *yaml.Node) { e.Reason = r.text(n, "reason", maxReason-maxTitle) },
		"author":  func(n *yaml.Node) { e.Author = r.text(n, "author", maxTitle) },
		"expires": func(n *yaml.Node) { e.Expires = r.end(n) },
	})
	if len(r.problems) > before {
		return
	}
	rule := l.set.Rule(e.Rule)
	if rule == nil {
		if !one && !l.knows(e.Rule) {
			r.fail(id, l.set.meant(e.Rule), "there is no rule %q", e.Rule)
		}
		return
	}
	switch _, err := rule.condition(e.When, l.cfg.SQL); {
	case len(rule.exceptions) == maxExceptionsOfARule:
		r.fail(n, "", "rule %s has more than %d exceptions", e.Rule, maxExceptionsOfARule)
	case err != nil:
		p := sqlProblem(r.file, "", 0, err)
		p.Line, p.Column = r.within(when, max(1, p.Line), max(1, p.Column))
		p.caret = caret(r.content, p.Line, p.Column)
		r.add(p)
	default:
		rule.exceptions = append(rule.exceptions, e)
	}
}

// knows reports whether a rule that was not loaded exists: it was refused, or
// is built in.
func (l *loader) knows(id string) bool {
	if slices.ContainsFunc(l.set.Refused, func(r *Refusal) bool { return r.Header.ID == id }) {
		return true
	}
	if l.builtin == nil {
		l.builtin = Load(LoadConfig{}, Builtin())
	}
	return l.builtin.Rule(id) != nil
}

// condition compiles a condition on the rows that the rule judges.
func (r *Rule) condition(when string, cfg sql.Config) (*sql.Query, error) {
	if !r.query.Streams() {
		q, err := sql.CompileOver(r.SQL, when, cfg)
		if err == nil && slices.ContainsFunc(q.Tables(), func(name string) bool { return !slices.Contains(r.Tables, name) }) {
			err = errors.New("an exception reads no other table than its rule")
		}
		return q, err
	}
	q, err := sql.CompileWhere(r.Table(), when, cfg)
	if err == nil && !q.Streams() {
		err = errors.New("an exception of this rule is a condition on one row: it has no subquery")
	}
	return q, err
}

// except puts the exceptions in force that have not ended.
func (r *Rule) except(now time.Time, cfg sql.Config) error {
	r.active, r.marked = nil, nil
	var conditions []string
	for _, e := range r.exceptions {
		if ended(e.Expires, now) {
			continue
		}
		active := exception{Exception: e}
		if r.query.Streams() {
			var err error
			if active.query, err = r.condition(e.When, cfg); err != nil {
				return err
			}
		}
		r.active = append(r.active, active)
		conditions = append(conditions, e.When)
	}
	if len(conditions) == 0 || r.query.Streams() {
		return nil
	}
	var err error
	r.marked, err = sql.CompileMarked(r.SQL, conditions, cfg)
	return err
}

// Excepted returns another version of a rule of the set with that rule's
// exceptions, and, for people, which of them do not fit it.
func (s *Set) Excepted(r *Rule, now time.Time, cfg sql.Config) (_ *Rule, unfit []string) {
	known := s.Rule(r.ID)
	if known == nil {
		return r, nil
	}
	out := *r
	out.exceptions = nil
	for _, e := range known.exceptions {
		if _, err := r.condition(e.When, cfg); err != nil {
			unfit = append(unfit, fmt.Sprintf("the exception at %s:%d does not fit this version of %s: %s", e.File, e.Line, r.ID, sqlProblem(e.File, "", 0, err).Message))
			continue
		}
		out.exceptions = append(out.exceptions, e)
	}
	if err := out.except(now, cfg); err != nil { // each by itself was compiled
		return r, append(unfit, fmt.Sprintf("the exceptions of %s together: %v", r.ID, err))
	}
	return &out, unfit
}

// lists are the names of those that the rule and its exceptions read.
func (r *Rule) lists() []string {
	list := r.query.Lists()
	for _, e := range r.active {
		if e.query != nil {
			list = append(slices.Clip(list), e.query.Lists()...)
		}
	}
	if r.marked != nil {
		list = append(slices.Clip(list), r.marked.Lists()...)
	}
	return list
}

// excluded returns for each of the rows the exception that it meets, or nil. An
// exception that fails excludes none of them.
func (p *pass) excluded(rows []int) []*Exception {
	if len(p.rule.active) == 0 || len(rows) == 0 {
		return nil
	}
	picked := make([]int32, len(rows))
	position := make(map[int]int, len(rows))
	for i, row := range rows {
		picked[i], position[row] = int32(row), i
	}
	out := make([]*Exception, len(rows))
	matching := sql.NewMatching(p.whole, p.now)
	for _, e := range p.rule.active {
		met, _, err := e.query.MatchRows(matching, picked)
		if err != nil {
			p.fail(fmt.Errorf("its exception at %s:%d: %w", e.File, e.Line, err), 0, p.now)
			continue
		}
		for _, row := range met {
			if i := position[row]; out[i] == nil {
				out[i] = e.Exception
			}
		}
	}
	return out
}

// exclude makes m a match that raises no alert.
func (m *Match) exclude(e *Exception) {
	m.Excluded = e
	m.Key = m.Rule.ID + " excluded=" + e.key()
}

// count counts matches.
func (s *state) count(list []Match) {
	for i := range list {
		if list[i].Excluded != nil {
			s.excluded.Add(1)
		} else {
			s.matched.Add(1)
		}
	}
}
