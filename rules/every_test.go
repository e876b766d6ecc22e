package rules

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestEvery(t *testing.T) {
	set := mustLoad(t, files("a.sql", ruleText("a", "-- every: 10m\n", "SELECT count(*) AS n FROM process_events")))
	m := NewMatcher(set, MatcherConfig{})
	if _, err := m.RunHistory(context.Background(), memory{}, testStart); err != nil {
		t.Fatal(err)
	}
	m.Match(eventBatch(1), testStart)
	if wait, ok := m.Due(testStart.Add(time.Minute)); !ok || wait != 9*time.Minute {
		t.Errorf("Due = %v, %v, want 9m", wait, ok)
	}
	for _, tt := range []struct{ value, query, want string }{
		{"2 days", "SELECT count(*) AS n FROM process_events", "outside 1 second to 1 day"},
		{"often", "SELECT count(*) AS n FROM process_events", "is not a span of time"},
		{"10m", anyEvent, "every: the rule runs on every row"},
	} {
		set := Load(LoadConfig{}, files("a.sql", ruleText("a", "-- every: "+tt.value+"\n", tt.query)))
		if len(set.Refused) != 1 || !strings.Contains(set.Refused[0].Error(), tt.want) {
			t.Errorf("every: %s: %v, want %q", tt.value, set.Refused, tt.want)
		}
	}
}
