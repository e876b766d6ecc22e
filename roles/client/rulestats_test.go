package client

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"daemoneye/bus/event"
	"daemoneye/rules"
	builtin "daemoneye/rules/pack"
	"daemoneye/rules/sql"
)

// What rules list --stats asks has an answer for each enabled rule.
func TestStatsQuery(t *testing.T) {
	q, err := sql.Compile(statsQuery, sql.Config{})
	if err != nil {
		t.Fatal(err)
	}
	set := rules.Load(rules.LoadConfig{}, rules.Source{Name: "builtin:", FS: builtin.Files()})
	b := event.NewBuilder(event.Lookup("rules"))
	set.AppendTo(b, rules.NewMatcher(set, rules.MatcherConfig{}).Stats())
	n := 0
	var first bytes.Buffer
	err = q.Run(context.Background(), batchSource{b.Batch()}, sql.Options{}, func(rows *sql.Rows) error {
		if n == 0 {
			for i := range q.Columns() {
				text, _ := rows.AppendText(nil, 0, i)
				first.Write(append(text, ' '))
			}
		}
		n += rows.Len()
		return nil
	})
	if err != nil || n != len(set.Rules) {
		t.Errorf("%d rows of %d rules, %v", n, len(set.Rules), err)
	}
	if want := " 0 0 0 0 0 0.000 0.000  "; !strings.HasSuffix(first.String(), want) {
		t.Errorf("the first is %q, want it to end in %q", first.String(), want)
	}
}
