// Package metrics says what health says as Prometheus reads it: the text
// exposition format, for a scrape by hand or node_exporter's textfile collector.
package metrics

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"

	"daemoneye/roles/api"
	"daemoneye/roles/term"
)

// Write writes all counts of h. Label values are as a terminal may receive them.
func Write(w io.Writer, h *api.HealthReply) error {
	var l list
	l.gauge("healthy", "Whether there is no problem.", truth(h.Healthy))
	l.gauge("problems", "Number of problems that health names.", float64(len(h.Problems)))
	l.gauge("info", "Always 1; the version is a label.", 1, "version", h.Version)
	l.time("start_time_seconds", "When the agent started.", h.Started)
	l.collector(h.Collector)
	l.store(&h.Store)
	l.rules(&h.Rules)
	l.ledger(&h.Ledger)
	l.bus(&h.Bus)
	for _, severity := range slices.Sorted(maps.Keys(h.Alerts)) {
		l.gauge("alerts_24h", "Alerts of the last 24 hours.", float64(h.Alerts[severity]), "severity", severity)
	}
	l.gauge("event_gaps_24h", "Event gaps that ended or became known in the last 24 hours.", float64(h.Gaps))
	for _, r := range h.Roles {
		if r.Error == "" {
			l.gauge("role_memory_bytes", "Resident memory of a role.", float64(r.Memory), "role", r.Role)
		}
	}
	for _, r := range h.Roles {
		if r.Error == "" {
			l.time("role_start_time_seconds", "When a role started.", r.Started, "role", r.Role)
		}
	}
	for _, f := range l {
		if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}
	return nil
}

func (l *list) collector(c *api.CollectorStatus) {
	if c == nil {
		l.gauge("collector_connected", "Whether the collector is connected.", 0)
		return
	}
	l.gauge("collector_connected", "Whether the collector is connected.", truth(c.Connected))
	l.gauge("collector_info", "Always 1; the source of events is a label.", 1, "source", c.Source)
	l.time("collector_registered_timestamp_seconds", "When the collector registered.", c.Registered)
	l.time("collector_last_seen_timestamp_seconds", "When the agent heard of the collector last.", c.LastSeen)
	l.gauge("collector_interval_seconds", "Time between two scans.", c.Interval.Seconds())
	l.counter("collector_scans_total", "Scans of all processes.", float64(c.Scans))
	l.gauge("collector_scan_duration_seconds", "Duration of the last scan.", c.LastScan.Seconds())
	l.time("collector_last_scan_timestamp_seconds", "When the agent heard of the last scan.", c.LastScanAt)
	l.gauge("collector_processes", "Processes that the last scan found.", float64(c.Processes))
	l.counter("collector_batches_total", "Batches that the collector made.", float64(c.Sequence))
	l.gauge("collector_queued_batches", "Batches that the agent has not acknowledged.", float64(c.Queued))
	l.counter("collector_dropped_rows_total", "Rows that were lost in the kernel or the collector.", float64(c.Dropped))
	l.counter("collector_found_processes_total", "Processes that only a scan told of.", float64(c.Found))
	l.counter("collector_late_events_total", "Events that could not be looked up any more.", float64(c.Late))
	l.counter("collector_held_events_total", "Events that were held back since a process or user made too many.", float64(c.Held.Rows))
	l.time("collector_held_first_timestamp_seconds", "When events were held back for the first time.", c.Held.First)
	l.time("collector_held_last_timestamp_seconds", "When events were held back for the last time.", c.Held.Last)
	l.counter("collector_tampered_total", "What another process has changed of what the programs in the kernel and their reader use.", float64(c.Tampered.Count))
	l.time("collector_tampered_first_timestamp_seconds", "When that was noticed for the first time.", c.Tampered.First)
	l.time("collector_tampered_last_timestamp_seconds", "When that was noticed for the last time.", c.Tampered.Last)
	l.gauge("collector_hash_queue", "Executables that wait to be hashed.", float64(c.HashQueue))
	for _, n := range []struct {
		reason string
		count  uint64
	}{{"late", c.Unread.Late}, {"refused", c.Unread.Refused}, {"dropped", c.Unread.Dropped}, {"stalled", c.Unread.Stalled}, {"large", c.Unread.Large}} {
		l.counter("collector_unread_total", "What was not read or hashed in time.", float64(n.count), "reason", n.reason)
	}
	l.time("collector_unread_first_timestamp_seconds", "When something was not read in time for the first time.", c.Unread.First)
	l.time("collector_unread_last_timestamp_seconds", "When something was not read in time for the last time.", c.Unread.Last)
}

func (l *list) store(s *api.StoreStatus) {
	l.gauge("store_failing", "Whether the store has an error.", truth(s.Error != ""))
	l.gauge("store_bytes", "Size of the store.", float64(s.Bytes))
	l.gauge("store_batches", "Batches in the store.", float64(s.Batches))
	l.gauge("store_rows", "Rows in the store.", float64(s.Rows))
	l.time("store_oldest_timestamp_seconds", "Time of the oldest row.", s.Oldest)
	l.time("store_newest_timestamp_seconds", "Time of the newest row.", s.Newest)
	l.gauge("store_processes", "Processes in the present state.", float64(s.Processes))
	l.counter("store_deleted_batches_total", "Batches that retention deleted.", float64(s.Deleted))
	l.gauge("store_segments", "Segment files.", float64(s.Segments))
	l.gauge("store_segment_rows", "Rows in segment files.", float64(s.SegmentRows))
	l.gauge("store_segment_bytes", "Size of the segment files.", float64(s.SegmentBytes))
	l.counter("store_sealed_rows_total", "Rows that were moved into segment files.", float64(s.Sealed))
	l.gauge("store_quarantined_segments", "Segment files that could not be read.", float64(s.Quarantined))
}

func (l *list) rules(r *api.RulesStatus) {
	l.gauge("rules_loaded", "Rules that are loaded.", float64(r.Loaded))
	l.gauge("rules_disabled", "Rules that are disabled.", float64(r.Disabled))
	l.gauge("rules_refused", "Rules that were refused.", float64(r.Refused))
	l.gauge("rules_failing", "Rules that failed or were slow in the last hour.", float64(len(r.Failing)))
	l.gauge("rules_kept", "Whether changed rule files are not in force.", truth(r.Kept))
	l.time("rules_loaded_timestamp_seconds", "When the rules were loaded.", r.LoadedAt)
	back := r.RolledBack
	if back == nil {
		back = &api.RolledBack{}
	}
	l.gauge("rules_rolled_back_set", "The earlier set of rules that was gone back to, 0: none.", float64(back.Set))
	l.time("rules_rolled_back_loaded_timestamp_seconds", "When that set was first in force.", back.Loaded)
	l.time("rules_rolled_back_timestamp_seconds", "Since when that set is in force again.", back.Since)
	l.counter("rules_evaluated_total", "Rows times rules that were evaluated.", float64(r.Evaluated))
	l.counter("rules_matched_total", "Matches of rules.", float64(r.Matched))
}

func (l *list) ledger(s *api.LedgerStatus) {
	l.gauge("ledger_entries", "Entries of the ledger on disk.", float64(s.Size))
	l.gauge("ledger_checkpoint_entries", "Entries under the newest checkpoint.", float64(s.Checkpoint))
	l.time("ledger_signed_timestamp_seconds", "When the newest checkpoint was signed.", s.SignedAt)
	l.counter("ledger_recorded_total", "Facts of the agent that were recorded.", float64(s.Recorded))
	l.gauge("ledger_waiting", "Facts of the agent that wait to be recorded.", float64(s.Waiting))
	l.counter("ledger_lost_total", "Facts of the agent that were not recorded.", float64(s.Lost))
}

func (l *list) bus(b *api.BusStatus) {
	l.gauge("bus_connections", "Connections to the agent.", float64(b.Connections))
	l.counter("bus_refused_total", "What peers asked for and may not.", float64(b.Refused))
	l.counter("bus_malformed_total", "Connections that ended by a malformed message.", float64(b.Malformed))
	l.counter("bus_messages_total", "Messages over the socket.", float64(b.In), "direction", "in")
	l.counter("bus_messages_total", "Messages over the socket.", float64(b.Out), "direction", "out")
	l.counter("bus_dropped_messages_total", "Messages that slow watchers did not get.", float64(b.Dropped))
}

// list is the metrics in their order.
type list []*dto.MetricFamily

func (l *list) gauge(name, help string, value float64, label ...string) {
	l.add(name, help, dto.MetricType_GAUGE, &dto.Metric{Gauge: &dto.Gauge{Value: &value}}, label)
}

func (l *list) counter(name, help string, value float64, label ...string) {
	l.add(name, help, dto.MetricType_COUNTER, &dto.Metric{Counter: &dto.Counter{Value: &value}}, label)
}

// time adds a time in Unix seconds, unless it is zero: then there is none.
func (l *list) time(name, help string, t time.Time, label ...string) {
	if !t.IsZero() {
		l.gauge(name, help, float64(t.UnixMicro())/1e6, label...)
	}
}

// add appends to the last family if that has the name.
func (l *list) add(name, help string, kind dto.MetricType, m *dto.Metric, label []string) {
	for i := 0; i+1 < len(label); i += 2 {
		m.Label = append(m.Label, &dto.LabelPair{Name: proto.String(label[i]), Value: proto.String(term.Escape(label[i+1]))})
	}
	name = "daemoneye_" + name
	if n := len(*l); n == 0 || (*l)[n-1].GetName() != name {
		*l = append(*l, &dto.MetricFamily{Name: &name, Help: &help, Type: &kind})
	}
	last := (*l)[len(*l)-1]
	last.Metric = append(last.Metric, m)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
