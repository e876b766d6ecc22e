package agent

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/roles/api"
	"daemoneye/rules"
)

// explain asks for an explanation and returns its rows.
func (r *running) explain(req api.QueryRequest) (column api.QueryColumn, lines []string, incomplete []string) {
	r.t.Helper()
	conn := r.dial()
	defer func() { _ = conn.Close() }()
	body, err := msgpack.Marshal(req)
	if err != nil {
		r.t.Fatal(err)
	}
	replies, err := conn.Request(r.t.Context(), api.Query, body)
	if err != nil {
		r.t.Fatal(err)
	}
	defer replies.Close()
	var header api.QueryHeader
	var rows api.QueryRows
	var done api.QueryDone
	for _, into := range []any{&header, &rows, &done} {
		reply, err := replies.Next(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		if err := msgpack.Unmarshal(reply, into); err != nil {
			r.t.Fatal(err)
		}
	}
	for _, c := range rows.Cells {
		lines = append(lines, string(c))
	}
	return header.Columns[0], lines, done.Incomplete
}

func TestExplain(t *testing.T) {
	r := newRunning(t)
	r.dial()
	p := newPublisher(t, r.config.Paths.Socket, r.token)
	now := time.Now()
	r.send(p, canaryAt(now.Add(-2*time.Hour), 1), canaryAt(now, 2), canaryAt(now, 3), gapOf("process_events", now.Add(-time.Minute), now))
	const text = "SELECT pid FROM process_events WHERE pid >= 2 AND time >= now() - interval '1 hour'"
	column, lines, incomplete := r.explain(api.QueryRequest{SQL: text, Explain: api.ExplainPlan})
	all := strings.Join(lines, "\n")
	if want := (api.QueryColumn{Name: "QUERY PLAN", Type: "text"}); column != want || !strings.Contains(all, "estimated: 2 rows") || strings.Contains(all, " rows, ") || len(incomplete) != 0 {
		t.Errorf("plan: column %v, incomplete %q:\n%s", column, incomplete, all)
	}
	if _, lines, incomplete := r.explain(api.QueryRequest{SQL: text, Explain: api.ExplainAnalyze}); !strings.HasPrefix(lines[0], "compute  (2 rows, ") || len(incomplete) != 1 {
		t.Errorf("analyzed, incomplete %q:\n%s", incomplete, strings.Join(lines, "\n"))
	}
	column, lines, _ = r.explain(api.QueryRequest{SQL: text, Explain: api.ExplainAnalyze, Tree: true})
	var tree struct {
		Step     string
		Rows     int64
		MS       *float64
		Children []json.RawMessage
	}
	if err := json.Unmarshal([]byte(lines[0]), &tree); err != nil || column.Type != "json" || tree.Step != "compute" || tree.Rows != 2 || tree.MS == nil || len(tree.Children) != 1 {
		t.Errorf("tree of type %s: %v, %+v", column.Type, err, tree)
	}

	// A rule is explained within its window.
	rule := "-- id: r\n-- title: T\n-- severity: low\n-- window: 30m\nSELECT count(*) AS n FROM process_events"
	_, lines, _ = r.explain(api.QueryRequest{SQL: rule, Rule: true, Explain: api.ExplainAnalyze})
	i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "scan process_events  (2 rows") })
	if i < 0 || !strings.HasPrefix(lines[0], "rule r: history: ") || !strings.Contains(strings.Join(lines, "\n"), "estimated: 2 rows") {
		t.Errorf("rule:\n%s", strings.Join(lines, "\n"))
	}
}

// A rule is run over the stored rows of the time asked for; what was lost of
// them is told.
func TestBacktest(t *testing.T) {
	r := newRunning(t)
	r.dial()
	p := newPublisher(t, r.config.Paths.Socket, r.token)
	now := time.Now()
	r.send(p, canaryAt(now.Add(-2*time.Hour), 1), canaryAt(now.Add(-time.Minute), 2), canaryAt(now, 3), gapOf("process_events", now.Add(-time.Minute), now))
	const rule = "-- id: r\n-- title: T\n-- severity: low\nSELECT pid FROM process_events WHERE pid >= "
	ask := func(b api.Backtest) (got rules.Backtest, incomplete []string) {
		column, cells, incomplete := r.explain(api.QueryRequest{SQL: rule + "1", Rule: true, Backtest: &b})
		if err := json.Unmarshal([]byte(cells[0]), &got); err != nil || column.Name != api.BacktestColumn {
			t.Fatalf("column %v: %v", column, err)
		}
		return got, incomplete
	}
	if got, incomplete := ask(api.Backtest{}); got.Rows != 3 || got.Matches != 3 || got.Alerts != 3 || len(incomplete) != 1 {
		t.Errorf("all: %+v, incomplete %q", got, incomplete)
	}
	if got, incomplete := ask(api.Backtest{From: now.Add(-3 * time.Hour), To: now.Add(-time.Hour)}); got.Rows != 1 || got.Matches != 1 || len(incomplete) != 0 {
		t.Errorf("before the gap: %+v, incomplete %q", got, incomplete)
	}
	if got, _ := ask(api.Backtest{From: now.Add(-time.Hour), Against: rule + "3"}); got.Matches != 2 || got.Against.Added.Matches != 1 || got.Against.Removed.Matches != 0 {
		t.Errorf("against another: %+v, %+v", got, got.Against)
	}
	if alerts, _, err := r.query("SELECT alert_id FROM alerts WHERE rule_id = 'r'"); err != nil || len(alerts) != 0 {
		t.Errorf("alerts %q were raised, %v", alerts, err)
	}
}
