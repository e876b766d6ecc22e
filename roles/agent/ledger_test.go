package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/zap"

	"daemoneye/roles/api"
	"daemoneye/roles/fact"
	"daemoneye/rules"
)

// What finds the queue full is counted, and entered as a gap after what waited.
func TestRecorderFull(t *testing.T) {
	r := newRecorder(zap.NewNop(), filepath.Join(t.TempDir(), "pending"))
	for i := range recordQueue + 100 {
		r.record(fact.RuleFailed, fmt.Sprint("rule", i), "", nil)
	}
	var status api.LedgerStatus
	if r.status(&status); status.Waiting != recordQueue || status.Lost != 100 {
		t.Errorf("%d wait and %d are lost, want %d and 100", status.Waiting, status.Lost, recordQueue)
	}
	var all []api.LedgerEntry
	for list := r.batch(); len(list) > 0; list = r.batch() {
		if len(list) > api.MaxLedgerEntries {
			t.Fatalf("a batch of %d entries, the limit is %d", len(list), api.MaxLedgerEntries)
		}
		all = append(all, list...)
		r.done(list, api.LedgerAnswer{})
	}
	if len(all) != recordQueue+1 {
		t.Fatalf("%d entries come, want %d", len(all), recordQueue+1)
	}
	last := all[recordQueue]
	text, err := fact.JSON(last.Payload)
	var gap struct{ Lost int }
	if err = errors.Join(err, json.Unmarshal(text, &gap)); err != nil || last.Action != fact.LedgerGap || gap.Lost != 100 {
		t.Errorf("the last entry is %s %s, %v; want a gap of 100", last.Action, text, err)
	}
	if r.status(&status); status.Waiting != 0 || status.Recorded != recordQueue+1 || r.bytes != 0 {
		t.Errorf("%d wait with %d bytes and %d are recorded", status.Waiting, r.bytes, status.Recorded)
	}
}

// Exceptions and lists are entered when they come, change and go.
func TestRecordSilences(t *testing.T) {
	a := &agent{recorder: newRecorder(zap.NewNop(), filepath.Join(t.TempDir(), "pending"))}
	dir := t.TempDir()
	load := func(exceptions, list string) *rules.Set {
		for name, text := range map[string]string{
			"a.sql":             "-- id: one\n-- title: One\n-- severity: low\nSELECT pid FROM process_events WHERE name = 'one' AND cwd = ANY(list('some'))",
			"exceptions/a.yaml": exceptions, "lists/a.yaml": list,
		} {
			file := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		set := rules.Load(rules.LoadConfig{}, rules.Dir(dir))
		if len(set.Refused) > 0 {
			t.Fatal(set.Refused)
		}
		return set
	}
	exception := func(when string) string {
		return "exceptions:\n  - rule: one\n    when: " + when + "\n    reason: a test\n    author: me\n    expires: 2099-12-31\n"
	}
	list := func(value string) string { return "name: some\ntype: text\nvalues:\n  - " + value + "\n" }
	first := load(exception("pid = 1"), list("/a"))
	for i, c := range []struct {
		after, before *rules.Set
		want          []string
	}{
		{first, &rules.Set{}, []string{"exception.loaded one", "list.loaded some"}},
		{load(exception("pid = 1"), list("/a")), first, nil},
		{load(exception("pid = 2"), list("/b")), first, []string{"exception.loaded one", "exception.removed one", "list.loaded some"}},
		{&rules.Set{}, first, []string{"exception.removed one", "list.removed some"}},
	} {
		a.recordSilences(c.after, c.before)
		var got []string
		list := a.recorder.batch()
		for _, e := range list {
			got = append(got, e.Action+" "+e.Subject)
		}
		a.recorder.done(list, api.LedgerAnswer{})
		if !slices.Equal(got, c.want) {
			t.Errorf("step %d: %q, want %q", i, got, c.want)
		}
	}
}

// What waits when the agent ends comes first in the next, and its file goes
// once it is entered.
func TestRecorderRestores(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pending")
	r := newRecorder(zap.NewNop(), file)
	r.record(fact.RoleStop, Name, "", nil)
	r.record(fact.EventGap, "scans", "", nil)
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	next := newRecorder(zap.NewNop(), file)
	next.record(fact.RoleStart, Name, "", nil)
	next.restore()
	list := next.batch()
	if len(list) != 3 || list[0].Action != fact.RoleStop || list[1].Subject != "scans" || list[2].Action != fact.RoleStart {
		t.Fatalf("after a restart there are %+v", list)
	}
	next.done(list[:2:2], api.LedgerAnswer{})
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of what waited is still there: %v", err)
	}
	if err := os.WriteFile(file, []byte("\xddgarbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := newRecorder(zap.NewNop(), file)
	damaged.restore()
	if list := damaged.batch(); len(list) != 1 || list[0].Action != fact.LedgerGap {
		t.Errorf("a damaged file gives %+v, want a gap", list)
	}
}
