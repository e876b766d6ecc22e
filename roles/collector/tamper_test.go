//go:build linux

package collector

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"daemoneye/bus/event"
)

// mapDescriptor returns the descriptor of one of the maps of this process, by
// what fdinfo says of it.
func mapDescriptor(t *testing.T, lines ...string) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fdinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range open {
		info, err := os.ReadFile(filepath.Join("/proc/self/fdinfo", f.Name()))
		if err == nil && !slices.ContainsFunc(lines, func(line string) bool { return !bytes.Contains(info, []byte(line+"\n")) }) {
			fd, err := strconv.Atoi(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			return fd
		}
	}
	t.Fatalf("no map with %q", lines)
	return 0
}

// wantedMap is that which says what is told.
func wantedMap(t *testing.T) int {
	return mapDescriptor(t, "map_type:\t2", "key_size:\t4", "value_size:\t8", "max_entries:\t9")
}

// tampered waits for the row that says so, and for a gap of each of the tables
// that begins before.
func (a *testAgent) tampered(reason string, before time.Time, tables ...string) {
	a.t.Helper()
	a.await("sensor_tampered: "+reason, func() bool {
		return len(a.rows("kernel_events", 0, func(r row) bool {
			return r["event"] == eventSensorTampered && r["target_protected"] == true && r["target_pid"] == int64(os.Getpid()) &&
				bytes.Contains([]byte(fmt.Sprintf("%s", r["arguments"])), []byte(reason))
		})) > 0
	})
	for _, table := range tables {
		a.await("a gap of "+table, func() bool {
			return slices.ContainsFunc(a.batches, func(b *event.Batch) bool {
				for i := 0; i < b.Rows && b.Table.Name == "event_gaps"; i++ {
					if b.Column("table_name").Text(i) == table && b.Column("start_time").Int(i) <= before.UnixMicro() && b.Column("end_time").Int(i) > before.UnixMicro() {
						return true
					}
				}
				return false
			})
		})
	}
	a.await("a heartbeat that says so", func() bool {
		last := a.beats[len(a.beats)-1].Tampered
		return last.Count > 0 && !last.First.IsZero() && !last.Last.Before(last.First) && last.What != ""
	})
}

// TestTamperedMaps: a class that another process switches off in the map of what
// is wanted is told again, and that it was not is a row, a gap, and in the heartbeats.
func TestTamperedMaps(t *testing.T) {
	program := calls(t)
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour, NoHash: true})
	a.scan(1)
	before := time.Now()
	attack(t, program, "map-write", wantedMap(t))
	a.tampered("which network events are told", before, "network_events")
	a.tampered("which system events are told", before, "kernel_events")
	a.kernelEvent("memfd_create", attack(t, program, "memfd", 0))
}

// TestStolenEvents: events that another process reads from the ring buffer in the
// collector's place are missed.
func TestStolenEvents(t *testing.T) {
	program := calls(t)
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour, NoHash: true})
	a.scan(1)
	ring := mapDescriptor(t, "map_type:\t27")
	before := time.Now()
	start(t, exec.Command(program, "ring-read", strconv.Itoa(os.Getpid()), strconv.Itoa(ring)), true)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // events, until they are missed
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = exec.Command("true").Run()
			}
		}
	}()
	defer func() {
		close(stop)
		<-stopped
	}()
	a.tampered("from the ring buffer", before, "process_events", "network_events", "file_events", "kernel_events")
}
