//go:build linux

package collector

import (
	"slices"
	"testing"
	"time"

	"daemoneye/roles/api"
)

// TestKernelChanges: what a process changes of itself is told as it happens,
// with the columns that differ, and a scan finds nothing more.
func TestKernelChanges(t *testing.T) {
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour, NoHash: true})
	a.scan(1)
	for _, test := range []struct {
		role, arg string
		changed   []string
		want      func(row) bool
	}{
		{"setuid", "1234", []string{"user_id", "effective_user_id", "capabilities", "permitted_capabilities"}, func(r row) bool {
			return r["user_id"] == int64(1234) && r["effective_user_id"] == int64(1234) && len(r["capabilities"].([]string)) == 0 && len(r["permitted_capabilities"].([]string)) == 0
		}},
		{"rename", "na\xffme", []string{"name"}, func(r row) bool { return r["name"] == `na\xffme` }},
	} {
		t.Run(test.role, func(t *testing.T) {
			p := start(t, self(t, test.role, test.arg), true)
			before := a.event(eventExec, p.Process.Pid, nil)
			p.tell(t, true)
			r := a.event(eventChanged, p.Process.Pid, nil)
			if got := r["changed_columns"].([]string); !slices.Equal(got, test.changed) {
				t.Errorf("changed %q, want %q", got, test.changed)
			}
			if !test.want(r) || r["source"] != api.SourceKernel || r["entity_id"] != before["entity_id"] || r["command_line"] != before["command_line"] ||
				r["executable_path"] != before["executable_path"] || r["cwd"] != before["cwd"] || r["cgroup"] != before["cgroup"] || r["parent_entity_id"] != before["parent_entity_id"] {
				t.Errorf("before %v\nafter %v", before, r)
			}
		})
	}
}

// TestKernelChangesAndScans: what was told is not found again by a scan.
func TestKernelChangesAndScans(t *testing.T) {
	a := newTestAgent(t)
	a.watch(Config{NoHash: true})
	a.scan(1)
	p := start(t, self(t, "setuid", "1234"), true)
	a.event(eventExec, p.Process.Pid, nil)
	p.tell(t, true)
	a.event(eventChanged, p.Process.Pid, nil)
	a.scan(2)
	if got := kinds(a.of(p.Process.Pid)); !slices.Equal(got, []string{eventFork, eventExec, eventChanged}) {
		t.Errorf("events %v, want fork, exec and changed", got)
	}
}

// TestKernelChangesNothing: a call after which nothing differs makes no row.
func TestKernelChangesNothing(t *testing.T) {
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour, NoHash: true})
	a.scan(1)
	p := start(t, self(t, "setuid", "0"), true)
	a.event(eventExec, p.Process.Pid, nil)
	p.tell(t, true)
	p.tell(t, false)
	p.tell(t, false)
	a.event(eventExit, p.Process.Pid, nil)
	if got := kinds(a.of(p.Process.Pid)); !slices.Equal(got, []string{eventFork, eventExec, eventExit}) {
		t.Errorf("events %v, want fork, exec and exit", got)
	}
}

// TestCapabilitySets: a scan tells the sets, and the ids of groups.
func TestCapabilitySets(t *testing.T) {
	a := newTestAgent(t)
	a.collect(Config{NoHash: true})
	p := start(t, self(t, "setuid", "0"), true)
	r := a.event(eventSeen, p.Process.Pid, nil)
	for _, column := range []string{"permitted_capabilities", "inheritable_capabilities", "ambient_capabilities", "bounding_capabilities"} {
		if r[column] == nil {
			t.Errorf("%s is NULL", column)
		}
	}
	if r["executable_group_id"] == nil {
		t.Error("executable_group_id is NULL")
	}
}
