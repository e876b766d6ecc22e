package agent

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/bus"
	"daemoneye/roles/api"
	"daemoneye/rules"
	"daemoneye/rules/sql"
)

func TestNeeds(t *testing.T) {
	var set rules.Set
	for id, where := range map[string]string{
		"a": "event = 'exec' AND user_id = 0", "b": "event IN ('exit', 'exec')", "disabled": "pid = 1",
	} {
		text := "-- id: " + id + "\n-- title: T\n-- severity: low\n-- dedup: pid\nSELECT pid FROM process_events WHERE " + where + "\n"
		r, err := rules.Parse(id+".sql", []byte(text), sql.Config{})
		if err != nil {
			t.Fatal(err)
		}
		r.Enabled = id != "disabled"
		set.Rules = append(set.Rules, r)
	}
	want := api.Need{Table: "process_events", Events: []string{"exec", "exit"}}
	if got := needs(&set, nil); !reflect.DeepEqual(got.Tables, []api.Need{want}) {
		t.Errorf("needs %+v, want %+v", got.Tables, want)
	}
	set.Rules[0].Enabled, set.Rules[1].Enabled, set.Rules[2].Enabled = true, true, true
	want.Events = nil
	if got := needs(&set, nil); !reflect.DeepEqual(got.Tables, []api.Need{want}) {
		t.Errorf("with a rule of all events: %+v, want %+v", got.Tables, want)
	}
	watcher := []bus.SubscriptionStats{{Pattern: api.EventsTopic + "process_events"}}
	if got := needs(&rules.Set{}, watcher); !reflect.DeepEqual(got.Tables, []api.Need{want}) {
		t.Errorf("of a watcher: %+v, want %+v", got.Tables, want)
	}
	if got := needs(&rules.Set{}, nil); len(got.Tables) != 0 {
		t.Errorf("of nobody: %+v, want nothing", got.Tables)
	}
}

// The agent tells a collector what is needed at once, when a watcher comes, and
// when it goes.
func TestCollectorHearsOfNeeds(t *testing.T) {
	r := newRunning(t)
	r.dial()
	r.stop()
	rule := strings.Replace(testRule, "WHERE", "WHERE event = 'exec' AND", 1)
	if err := os.WriteFile(filepath.Join(r.config.Paths.RulesDirs[0], "canary.sql"), []byte(rule), 0o644); err != nil {
		t.Fatal(err)
	}
	r.start()
	operator := r.dial()
	conn, err := bus.Dial(t.Context(), r.config.Paths.Socket, bus.DialConfig{Token: &r.token})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	replies, err := conn.Request(t.Context(), api.CollectorNeeds, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer replies.Close()
	watched := func() bool {
		t.Helper()
		body, err := replies.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var n api.Needs
		if err := msgpack.Unmarshal(body, &n); err != nil {
			t.Fatal(err)
		}
		for _, need := range n.Tables {
			if need.Table == "process_events" && need.Events == nil {
				return true
			}
		}
		return false
	}
	before := watched()
	sub, err := operator.Subscribe(t.Context(), api.EventsTopic+"process_events", bus.Shed)
	if err != nil {
		t.Fatal(err)
	}
	during := watched()
	sub.Close()
	if after := watched(); before || !during || after {
		t.Errorf("process_events is needed: %v, while it is watched %v, then %v", before, during, after)
	}
}

// Of files it is told which are named: a directory where the begin of paths is
// given, and not the root.
func TestNeedsOfFiles(t *testing.T) {
	for where, want := range map[string]api.Need{
		"path LIKE '/etc/cron%' AND event = 'create'":                                                {Events: []string{"create"}, Paths: []string{"/etc"}},
		"path LIKE '/etc/cron.d/%' OR path = '/etc/crontab'":                                         {Paths: []string{"/etc/cron.d", "/etc/crontab"}, Reads: []string{"/etc/crontab"}},
		"event = 'read' AND path IN ('/etc/shadow', '/b')":                                           {Events: []string{"read"}, Reads: []string{"/b", "/etc/shadow"}},
		"event IN ('read', 'write') AND starts_with(path, '/srv/x/y')":                               {Events: []string{"read", "write"}, Paths: []string{"/srv/x"}},
		"event = 'write' AND (path ILIKE ANY (ARRAY['/srv/a/%', '/b']) OR target_path ILIKE '/c/%')": {Events: []string{"write"}, Paths: []string{"/b", "/c", "/srv/a"}},
		"path LIKE '/%' AND event = 'write'":                                                         {Events: []string{"write"}},
		"event = 'write' AND path ~ '^/etc/'":                                                        {Events: []string{"write"}},
		"event = 'delete' AND user_id = 0 AND executable_path = '/bin/x'":                            {Events: []string{"delete"}},
	} {
		text := "-- id: x\n-- title: T\n-- severity: low\n-- dedup: pid\nSELECT pid FROM file_events WHERE " + where + "\n"
		r, err := rules.Parse("x.sql", []byte(text), sql.Config{})
		if err != nil {
			t.Fatal(err)
		}
		r.Enabled = true
		want.Table = "file_events"
		if got := needs(&rules.Set{Rules: []*rules.Rule{r}}, nil); len(got.Tables) != 1 || !reflect.DeepEqual(got.Tables[0], want) {
			t.Errorf("%s: %+v, want %+v", where, got.Tables, want)
		}
	}
}
