package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/roles/api"
)

// Events stream in, 20,000 a second where the machine allows, while rules are
// changed and reloaded: one that is there before and after matches each event
// once.
func TestReloadUnderStream(t *testing.T) {
	r := newRunning(t)
	operator := r.dial()
	p := newPublisher(t, r.config.Paths.Socket, r.token)
	write := func(name, keys, query string) {
		text := "-- id: " + name + "\n-- title: T\n-- severity: low\n" + keys + query + "\n"
		if err := os.WriteFile(filepath.Join(r.config.Paths.RulesDirs[0], name+".sql"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	reload := func() {
		replies, err := operator.Request(t.Context(), api.RulesReload, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer replies.Close()
		if _, err := replies.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	write("canary", "-- window: 1h\n-- dedup: user_id\n", "SELECT pid FROM process_events WHERE name = 'canary'") // an alert for each batch
	reload()
	const rows, batches, reloads = 100, 200, 20
	var sent atomic.Int64 // batches
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for {
			b := event.NewBuilder(event.Lookup("process_events"))
			for range rows {
				b.Column("time").Time(time.Now())
				b.Column("event").Text("exec")
				b.Column("source").Text("ebpf")
				b.Column("entity_id").Text("e")
				b.Column("pid").Int(1)
				b.Column("user_id").Int(sent.Load())
				b.Column("name").Text("canary")
				b.Column("kernel_thread").Bool(false)
				b.Column("accessible").Bool(true)
				b.Column("collection_time").Time(time.Now())
				b.EndRow()
			}
			if _, err := p.Publish(t.Context(), api.EventsTopic+"process_events", event.Encode(nil, b.Batch())); err != nil {
				t.Error(err)
				return
			}
			sent.Add(1)
			select {
			case <-done:
				return
			case <-pace.C:
			}
		}
	}()
	reloaded := 0
	for (sent.Load() < batches || reloaded < reloads) && !t.Failed() {
		reloaded++
		write("changing", fmt.Sprintf("-- version: %d\n", reloaded), "SELECT pid FROM process_events WHERE name = 'nothing'")
		reload()
	}
	close(done)
	<-ended
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{fmt.Sprint(sent.Load()), fmt.Sprint(rows), fmt.Sprint(rows)}
	var got []string
	for deadline := time.Now().Add(time.Minute); !slices.Equal(got, want) && time.Now().Before(deadline); {
		var err error
		if got, _, err = r.query("SELECT count(*), min(count), max(count) FROM alerts WHERE rule_id = 'canary'"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !slices.Equal(got, want) {
		t.Errorf("alerts, and the least and most matches of one: %q, want %q", got, want)
	}
	t.Logf("%d batches of %d events, %d reloads", sent.Load(), rows, reloaded)
}
