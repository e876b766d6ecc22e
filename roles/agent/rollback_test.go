package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/roles/api"
)

// ask makes a request that has one answer.
func ask[T any](r *running, name string, request any) (answer T, err error) {
	r.t.Helper()
	body, err := msgpack.Marshal(request)
	if err != nil {
		r.t.Fatal(err)
	}
	conn := r.dial()
	defer func() { _ = conn.Close() }()
	reply, err := conn.Call(r.t.Context(), name, body)
	if err == nil {
		err = msgpack.Unmarshal(reply, &answer)
	}
	return answer, err
}

// A set of which a rule is refused now, since a rule that came with the program
// meanwhile has its id, changes nothing. One with an id that the configuration
// switches off, and that the set lacks, does.
func TestRollbackOfRefusedRule(t *testing.T) {
	r := newRunning(t)
	r.dial()
	r.stop()
	dir := r.config.Paths.RulesDirs[0]
	extra := filepath.Join(dir, "extra.sql")
	reload := func() {
		t.Helper()
		if _, err := ask[api.ReloadReply](r, api.RulesReload, nil); err != nil {
			t.Fatal(err)
		}
	}
	change := func(text string) {
		t.Helper()
		if err := os.WriteFile(extra, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		reload()
	}
	r.start()
	change("-- id: reverse-shell\n-- title: Ours\n-- severity: low\nSELECT pid FROM process_events WHERE pid = 1\n")
	change("-- id: ours\n-- title: Ours\n-- severity: low\nSELECT pid FROM process_events WHERE pid = 1\n")
	r.stop()
	r.config.Rules.Builtin = true
	r.config.Rules.Disabled = []string{"ours"}
	r.start()
	before, _, err := r.query("SELECT count(*) FROM rules WHERE error IS NULL")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask[api.RollbackReply](r, api.RulesRollback, api.Rollback{Set: 2}); err == nil || !strings.Contains(err.Error(), `set 2 can not be put in force whole: `) || !strings.Contains(err.Error(), `id "reverse-shell" is taken by builtin:`) {
		t.Errorf("rollback: %v", err)
	}
	if h := r.health(); h.Rules.RolledBack != nil {
		t.Errorf("rolled back: %+v", h.Rules.RolledBack)
	}
	if after, _, err := r.query("SELECT count(*) FROM rules WHERE error IS NULL"); err != nil || after[0] != before[0] {
		t.Errorf("rules %s, %v, before it was tried %s", after, err, before)
	}
	if reply, err := ask[api.RollbackReply](r, api.RulesRollback, api.Rollback{Set: 1}); err != nil || !reply.Changed || reply.Changes.Removed.Count != 1 {
		t.Errorf("rollback: %+v, %v", reply, err)
	}
	if h := r.health(); h.Rules.RolledBack == nil || h.Rules.RolledBack.Set != 1 {
		t.Errorf("rolled back: %+v", h.Rules.RolledBack)
	}

	// It is said when a set can not be kept, and that it is kept at last.
	reload()
	sets := filepath.Join(r.config.Paths.Store, "rulesets")
	if err := os.Rename(sets, sets+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sets, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	problem := func() bool {
		return strings.Contains(strings.Join(r.health().Problems, "\n"), "the rules in force can not be rolled back to: ")
	}
	text := "-- id: ours\n-- title: Newer\n-- severity: low\nSELECT pid FROM process_events WHERE pid = 1\n"
	change(text)
	if !problem() {
		t.Errorf("problems %q", r.health().Problems)
	}
	if err := os.Remove(sets); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(sets+".away", sets); err != nil {
		t.Fatal(err)
	}
	reload()
	if h, err := ask[api.RuleHistory](r, api.RulesHistory, nil); err != nil || problem() || len(h.Sets) != 4 || h.InForce != 4 {
		t.Errorf("history %+v, %v, problems %q", h, err, r.health().Problems)
	}
}
