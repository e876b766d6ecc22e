package sql

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// The ranges are those of every scan, wherever it stands, and no wider.
func TestTimeRanges(t *testing.T) {
	const all = "[-inf inf]"
	show := func(n int64) string {
		d := time.UnixMicro(n).Sub(testTime)
		switch {
		case d > 1000*time.Hour:
			return "inf"
		case d < -1000*time.Hour:
			return "-inf"
		}
		return d.String()
	}
	for _, c := range []struct{ text, table, want string }{
		{"SELECT 1 FROM process_events", "process_events", all},
		{"SELECT 1 FROM process_events", "scans", ""},
		{"SELECT 1 FROM process_events WHERE time >= now() - interval '1 hour' AND time < now()", "process_events", "[-1h0m0s 0s]"},
		{"SELECT 1 FROM process_events a JOIN process_events b USING (pid) WHERE a.time >= now() - interval '1 hour' AND b.time < now() - interval '2 hours' AND b.time >= now() - interval '3 hours'", "process_events", "[-3h0m0s -2h0m0s][-1h0m0s inf]"},
		{"SELECT 1 FROM process_events a JOIN process_samples b USING (pid) WHERE b.time >= now() - interval '1 hour'", "process_events", all},
		{"SELECT 1 FROM process_events a JOIN process_samples b USING (pid) WHERE b.time >= now() - interval '1 hour'", "process_samples", "[-1h0m0s inf]"},
		{"SELECT 1 FROM processes p WHERE EXISTS (SELECT 1 FROM process_events e WHERE e.pid = p.pid AND e.time >= now() - interval '1 hour')", "process_events", "[-1h0m0s inf]"},
		{"SELECT (SELECT max(pid) FROM process_events e WHERE e.time > p.start_time AND e.time <= now()) FROM processes p", "process_events", "[-inf 1µs]"},
		{"SELECT 1 FROM processes p, LATERAL (SELECT pid FROM process_events e WHERE e.time >= p.start_time LIMIT 1) x", "process_events", all},
		{"WITH w AS (SELECT pid FROM scans s JOIN process_events e ON s.time = e.time AND s.time >= now()) SELECT 1 FROM w UNION ALL SELECT 2 FROM scans WHERE time = now() - interval '1 hour'", "scans", "[-1h0m0s -59m59.999999s][0s inf]"},
		{"SELECT 1 FROM scans WHERE time > now() - interval '1 hour' AND processes > (SELECT avg(processes) FROM scans WHERE time > now() - interval '2 hours')", "scans", "[-1h59m59.999999s inf]"},
	} {
		q, err := Compile(c.text, Config{})
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		got := ""
		for _, r := range q.TimeRanges(c.table, testTime) {
			got += fmt.Sprintf("[%s %s]", show(r.From), show(r.To))
		}
		if got != c.want {
			t.Errorf("%s: %s of %s, want %s", c.text, got, c.table, c.want)
		}
		if _, err := q.Explain(context.Background(), &memory{}, Options{Now: testTime}, false); err != nil {
			t.Errorf("%s: explain: %v", c.text, err)
		}
	}
}
