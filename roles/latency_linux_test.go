//go:build linux && (amd64 || arm64)

package roles

import (
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
)

// BenchmarkLatency measures from the kernel's time stamp of an exec to the
// event with a subscriber of the agent's, to the alert that it raises with one,
// and until that alert is found in the store, which is asked until it is there.
// 200 programs start in a second, each tenth of which is an alert; by
// themselves, and beside a storm on all cores.
func BenchmarkLatency(b *testing.B) {
	p := buildStorm(b)
	for _, c := range []struct {
		name  string
		storm bool
	}{{"paced", false}, {"storm", true}} {
		b.Run(c.name, func(b *testing.B) {
			in := start(b, nil, "--rules", writeRule(b, "alarm.sql", alarmRule))
			var source any
			in.eventually("a collector", func() bool {
				rows := in.query("SELECT source FROM collectors")
				if len(rows) > 0 {
					source = rows[0]["source"]
				}
				return source != nil
			})
			if source != "ebpf" {
				b.Skip("no events but by scans")
			}
			settle(own{in})
			w := watch(b, in)
			var beside sync.WaitGroup
			if c.storm {
				beside.Go(func() { p.run(b, "beside", p.tiny, time.Duration(b.N)*pace, math.MaxInt32) })
			}
			pacer := time.NewTicker(pace)
			alarms := 0
			for i := range b.N {
				word := "quiet"
				if i%10 == 0 {
					word = "alarm"
					alarms++
				}
				_ = exec.Command(p.tiny, fmt.Sprintf("%s-%d", word, i)).Run() // its status is 7
				<-pacer.C
			}
			pacer.Stop()
			beside.Wait()
			w.wait(b, alarms)
			report(b, "event", w.events)
			report(b, "alert", w.alerts)
			report(b, "stored", w.stored)
			b.ReportMetric(0, "ns/op")
		})
	}
}

const pace = 5 * time.Millisecond

const alarmRule = `-- id: test-alarm
-- title: Alarm
-- description: A process of this benchmark.
-- severity: high
-- version: 1
-- dedup: entity_id
SELECT time, entity_id, pid, command_line FROM process_events WHERE event = 'exec' AND command_line LIKE '%/tiny alarm-%'
`

// watcher notes how late what a subscription brings is.
type watcher struct {
	mu                     sync.Mutex
	events, alerts, stored []time.Duration
	missed                 uint64
	ask                    chan asked
}

func watch(t testing.TB, in *instance) *watcher {
	w := &watcher{ask: make(chan asked)}
	conn, err := bus.Dial(t.Context(), filepath.Join(in.dir, "run", "agent.sock"), bus.DialConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var all, finder sync.WaitGroup
	t.Cleanup(func() {
		_ = conn.Close()
		all.Wait()
		close(w.ask)
		finder.Wait()
	})
	finder.Go(func() { w.find(t, conn) })
	follow := func(topic string, take func([]byte) error) {
		s, err := conn.Subscribe(t.Context(), topic, bus.Shed)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for {
				d, err := s.Next(t.Context())
				if err != nil {
					return
				}
				w.mu.Lock()
				w.missed += d.Missed
				w.mu.Unlock()
				for m := range d.Messages() {
					if err := take(m); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	follow(api.EventsTopic+"process_events", w.event)
	follow(api.AlertsTopic+"+", w.alert)
	return w
}

// event notes the execs of tiny.
func (w *watcher) event(data []byte) error {
	at := time.Now()
	b, err := event.Decode(data, nil)
	if err != nil {
		return err
	}
	times, kinds, names := b.Column("time"), b.Column("event"), b.Column("name")
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range b.Rows {
		if kinds.Text(i) == "exec" && names.Text(i) == "tiny" {
			w.events = append(w.events, at.Sub(time.UnixMicro(times.Int(i))))
		}
	}
	return nil
}

// alert notes an alarm.
func (w *watcher) alert(data []byte) error {
	at := time.Now()
	var a event.Alert
	if err := msgpack.Unmarshal(data, &a); err != nil {
		return err
	}
	if a.RuleID != "test-alarm" {
		return nil
	}
	var row struct{ Time time.Time }
	if err := json.Unmarshal(a.Row, &row); err != nil {
		return err
	}
	w.mu.Lock()
	w.alerts = append(w.alerts, at.Sub(row.Time))
	w.mu.Unlock()
	select {
	case w.ask <- asked{a.ID, row.Time}:
	default: // the one before is still asked for
	}
	return nil
}

// asked is an alert that is looked for in the store.
type asked struct {
	id   string
	time time.Time // of its event
}

// find asks for one alert after another until it is stored.
func (w *watcher) find(t testing.TB, conn *bus.Conn) {
	for a := range w.ask {
		for found := false; !found; {
			var err error
			if found, err = stores(t, conn, a.id); err != nil {
				return // it is at its end
			}
		}
		w.mu.Lock()
		w.stored = append(w.stored, time.Since(a.time))
		w.mu.Unlock()
	}
}

// stores asks whether an alert is in the store.
func stores(t testing.TB, conn *bus.Conn, id string) (bool, error) {
	body, err := msgpack.Marshal(&api.QueryRequest{SQL: fmt.Sprintf("SELECT 1 FROM alerts WHERE alert_id = '%s'", id)})
	if err != nil {
		return false, err
	}
	replies, err := conn.Request(t.Context(), api.Query, body)
	if err != nil {
		return false, err
	}
	defer replies.Close()
	var done api.QueryDone
	for {
		reply, err := replies.Next(t.Context())
		if err != nil { // the end: the reply before it was the QueryDone
			return done.Rows > 0, nil
		}
		done = api.QueryDone{}
		_ = msgpack.Unmarshal(reply, &done)
	}
}

// wait waits until all alerts have come, or no more do: a watcher that is too
// slow misses some, which is reported.
func (w *watcher) wait(b *testing.B, alarms int) {
	b.Helper()
	const idle = 5 * time.Second
	last, since := 0, time.Now()
	for {
		w.mu.Lock()
		n, missed := len(w.alerts), w.missed
		w.mu.Unlock()
		if n != last {
			last, since = n, time.Now()
		}
		if n == alarms || time.Since(since) > idle {
			b.ReportMetric(float64(alarms-n), "alerts-missing")
			b.ReportMetric(float64(missed), "messages-missed")
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// report gives the median and the 99th percentile in ms.
func report(b *testing.B, what string, list []time.Duration) {
	if len(list) == 0 {
		return
	}
	slices.Sort(list)
	at := func(p float64) float64 { return list[int(p*float64(len(list)-1))].Seconds() * 1000 }
	b.ReportMetric(at(0.5), what+"-p50-ms")
	b.ReportMetric(at(0.99), what+"-p99-ms")
}
