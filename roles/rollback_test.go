//go:build unix

package roles

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const titledRule = "-- id: %s\n-- title: %s\n-- severity: low\nSELECT pid FROM process_events WHERE pid = -1\n"

// ruleDir is a directory of rules that say which version of it they are.
type ruleDir struct {
	t  *testing.T
	in *instance
	to string
}

func (d *ruleDir) write(version string, ids ...string) {
	d.t.Helper()
	old, err := filepath.Glob(filepath.Join(d.to, "*.sql"))
	if err != nil {
		d.t.Fatal(err)
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			d.t.Fatal(err)
		}
	}
	for _, id := range ids {
		if err := os.WriteFile(filepath.Join(d.to, id+".sql"), fmt.Appendf(nil, titledRule, id, version), 0o644); err != nil {
			d.t.Fatal(err)
		}
	}
}

// inForce returns the rules of the directory that the agent runs.
func (d *ruleDir) inForce() string {
	d.t.Helper()
	list := []string{}
	for _, row := range d.in.query("SELECT rule_id || ' ' || title || CASE WHEN enabled THEN '' ELSE ' off' END AS rule FROM rules WHERE file LIKE '" + d.to + "%' AND error IS NULL ORDER BY rule_id") {
		list = append(list, fmt.Sprint(row["rule"]))
	}
	return strings.Join(list, ", ")
}

func (d *ruleDir) do(want string, wantStatus int, args ...string) {
	d.t.Helper()
	if out, errOut, status := d.in.client(args...); status != wantStatus || !strings.Contains(out+errOut, want) {
		d.t.Errorf("%s: status %d, %s%s, want %d and %q", strings.Join(args, " "), status, out, errOut, wantStatus, want)
	}
}

func (d *ruleDir) want(rules string) {
	d.t.Helper()
	if got := d.inForce(); got != rules {
		d.t.Errorf("in force: %s, want %s", got, rules)
	}
}

// killAgent kills the agent and waits for the next one.
func (in *instance) killAgent() {
	in.t.Helper()
	h, ok := in.health()
	if !ok {
		in.t.Fatal("no health")
	}
	in.killOf(h)
}

// killOf is killAgent where the agent was asked for its health before.
func (in *instance) killOf(h health) {
	in.t.Helper()
	before := h.pid("daemoneye-agent")
	if err := h.signal("daemoneye-agent", syscall.SIGKILL); err != nil {
		in.t.Fatal(err)
	}
	in.eventually("the agent is back", func() bool {
		h, ok := in.health()
		now := h.pid("daemoneye-agent")
		return ok && now != 0 && now != before
	})
}

// A set of rules that was in force comes back whole and stays, whatever becomes
// of the files and the agent, until it is ended.
func TestRollback(t *testing.T) {
	t.Setenv("DAEMONEYE_RULES__RELOAD", "0s")
	dir := writeRule(t, "one.sql", fmt.Sprintf(titledRule, "one", "A"))
	d := &ruleDir{t, start(t, nil, "--rules", dir), dir}
	d.do("no set of rules before the one in force is kept", 1, "rules", "rollback")
	d.write("B", "one", "two")
	d.do("0 refused", 0, "rules", "reload")
	d.do("0 refused", 0, "rules", "reload") // changes nothing
	d.write("C", "three", "two")
	d.do("0 refused", 0, "rules", "reload")
	d.do("3 | t        | ", 0, "rules", "history")
	d.do("+three, -one, ~two", 0, "rules", "history")
	d.do("reload by uid ", 0, "rules", "history")
	d.do(`"number": 1`, 0, "rules", "history", "--format", "json")
	if out, _, _ := d.in.client("rules", "history", "--format", "json"); strings.Contains(out, `"first": null`) {
		t.Errorf("a list of nothing is null:\n%s", out)
	}

	// One back, and one more.
	d.do("set 2 of ", 0, "rules", "rollback")
	d.want("one B, two B")
	d.do("+three, -one, ~two", 0, "rules", "rollback", "3")
	d.want("three C, two C")
	d.do("set 3 is in force already", 0, "rules", "rollback", "3")
	d.do("set 2 of ", 0, "rules", "rollback")
	d.do("set 1 of ", 0, "rules", "rollback")
	d.do("no set of rules before", 1, "rules", "rollback")
	d.do("there is no such set", 1, "rules", "rollback", "77")
	d.do("is not the number of a set", 2, "rules", "rollback", "zero")
	d.do("set 2 of ", 0, "rules", "rollback", "2")

	// Changed files are not read on SIGHUP, nor after a restart.
	d.write("D", "four")
	if err := d.in.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.in.waitInLog("rules stay rolled back")
	d.want("one B, two B")
	d.do("one is disabled", 0, "rules", "disable", "one")
	d.in.killAgent()
	d.want("one B off, two B")
	d.do("rolled back to set 2 ", 0, "rules", "list")
	d.do("rolled back to set 2 ", 0, "rules", "history")
	if out, _, _ := d.in.client("health"); !strings.Contains(out, "rolled back to set 2 ") {
		t.Errorf("health does not say so:\n%s", out)
	}
	d.do("one is enabled", 0, "rules", "enable", "one")

	// A file that is refused does not end it.
	d.write("D", "four")
	if err := os.WriteFile(filepath.Join(dir, "bad.sql"), []byte("-- id: bad\nSELECT"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.do("nothing changes", 1, "rules", "rollback", "--end")
	d.want("one B, two B")
	d.write("D", "four")
	d.do("0 refused", 0, "rules", "rollback", "--end")
	d.want("four D")
	if out, errOut, _ := d.in.client("rules", "list"); strings.Contains(out+errOut, "rolled back") {
		t.Errorf("it is ended, and rules list says:\n%s%s", out, errOut)
	}
	d.in.killAgent()
	d.want("four D")

	// What the agent has left says the same.
	d.do("set 1 of ", 0, "rules", "rollback", "1")
	d.in.stop(syscall.SIGTERM)
	d.do("rolled back to set 1 ", 0, "rules", "list", "--format", "csv")
	d.do("one,low,t", 0, "rules", "list", "--format", "csv")
	d.do("rolled back to set 1 ", 0, "rules", "history")
}

// A damaged set, or none where one was rolled back to, takes no rule away.
func TestLostRollback(t *testing.T) {
	t.Setenv("DAEMONEYE_RULES__RELOAD", "0s")
	dir := writeRule(t, "one.sql", fmt.Sprintf(titledRule, "one", "A"))
	d := &ruleDir{t, start(t, nil, "--rules", dir), dir}
	d.write("B", "one")
	d.do("0 refused", 0, "rules", "reload")
	d.do("set 1 of ", 0, "rules", "rollback")
	set := filepath.Join(d.in.dir, "store", "rulesets", "00000001.set")
	if err := os.WriteFile(set, []byte("no set"), 0o640); err != nil {
		t.Fatal(err)
	}
	d.in.killAgent()
	d.want("one B")
	d.in.eventually("health tells", func() bool {
		h, ok := d.in.health()
		return ok && strings.Contains(strings.Join(h.Problems, "\n"), "set 1 is damaged")
	})
	d.do("set 1 is damaged", 0, "rules", "history")
	d.do("0 refused", 0, "rules", "rollback", "--end")
	if h, _ := d.in.health(); strings.Contains(strings.Join(h.Problems, "\n"), "damaged") {
		t.Errorf("it is ended, and the problem stays: %q", h.Problems)
	}
}

// Whenever the agent is killed, a whole set is in force afterwards.
func TestKilledRollback(t *testing.T) {
	t.Setenv("DAEMONEYE_RULES__RELOAD", "0s")
	var ids []string
	for i := range 40 {
		ids = append(ids, fmt.Sprintf("r-%02d", i))
	}
	dir := writeRule(t, "r-00.sql", fmt.Sprintf(titledRule, "r-00", "first"))
	d := &ruleDir{t, start(t, nil, "--rules", dir), dir}
	whole := map[string]bool{}
	for _, version := range []string{"A", "B"} {
		d.write(version, ids...)
		d.do("0 refused", 0, "rules", "reload")
		whole[d.inForce()] = true
	}
	if len(whole) != 2 {
		t.Fatalf("sets %v, want two", whole)
	}
	for round := range 6 {
		h, ok := d.in.health()
		if !ok {
			t.Fatal("no health")
		}
		busy := make(chan struct{})
		go func() { // until the agent goes away
			defer close(busy)
			for _, args := range [][]string{{"rollback", "2"}, {"reload"}, {"rollback", "2"}, {"reload"}, {"rollback", "2"}, {"reload"}} {
				if exec.Command("daemoneye", append(append([]string{"rules"}, args...), "--data-dir", d.in.dir)...).Run() != nil {
					return
				}
			}
		}()
		time.Sleep(rand.N(200 * time.Millisecond)) // at any moment
		d.in.killOf(h)
		<-busy
		if got := d.inForce(); !whole[got] {
			t.Fatalf("round %d: in force are %s", round, got)
		}
		if left, err := filepath.Glob(filepath.Join(d.in.dir, "store", "rulesets", "*")); err != nil || len(left) != 3 {
			t.Errorf("round %d: sets %q, %v", round, left, err)
		}
	}
}
