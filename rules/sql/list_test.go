package sql_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

func listOf(t *testing.T, typ sql.Type, values ...string) *sql.List {
	t.Helper()
	l := &sql.List{Type: typ}
	for _, v := range values {
		if err := l.Add(v); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestList(t *testing.T) {
	lists := map[string]*sql.List{
		"updaters": listOf(t, sql.Text, "/usr/bin/apt", "/usr/bin/snap"),
		"ports":    listOf(t, sql.Int8, "22", "443"),
		"nets":     listOf(t, sql.Inet, "10.0.0.0/8"),
		"none":     listOf(t, sql.Text),
	}
	for _, tt := range []struct{ text, want string }{
		{"SELECT '/usr/bin/apt' = ANY(list('updaters'))", "t"},
		{"SELECT '/usr/bin/dpkg' = ANY(list('updaters'))", "f"},
		{"SELECT '/usr/bin/dpkg' <> ALL(list('updaters'))", "t"},
		{"SELECT '/usr/bin/apt-get' LIKE ANY(list('updaters'))", "f"},
		{"SELECT 22 = ANY(list('ports'))", "t"},
		{"SELECT '10.1.2.3'::inet <<= ANY(list('nets'))", "t"},
		{"SELECT 'x' = ANY(list('none'))", "f"},
		{"SELECT cardinality(list('updaters'))", "2"},
	} {
		q, err := sql.Compile(tt.text, sql.Config{Lists: lists})
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		var got string
		if err := q.Run(context.Background(), nil, sql.Options{}, func(r *sql.Rows) error {
			cell, _ := r.AppendText(nil, 0, 0)
			got = string(cell)
			return nil
		}); err != nil || got != tt.want {
			t.Errorf("%s = %q (%v), want %q", tt.text, got, err, tt.want)
		}
	}
	q, err := sql.Compile("SELECT list('ports'), list('none'), list('ports')", sql.Config{Lists: lists})
	if err != nil || !slices.Equal(q.Lists(), []string{"none", "ports"}) {
		t.Errorf("Lists() = %v (%v)", q.Lists(), err)
	}
}

func TestListRefused(t *testing.T) {
	lists := map[string]*sql.List{"updaters": listOf(t, sql.Text, "/usr/bin/apt")}
	for _, tt := range []struct{ text, want string }{
		{"SELECT list('updater')", `there is no list "updater"`},
		{"SELECT list(name) FROM process_events", "list takes one constant"},
		{"SELECT list()", "list takes one constant"},
		{"SELECT list('a', 'b')", "list takes one constant"},
		{"SELECT list(NULL)", "list takes one constant"},
		{"SELECT pid = ANY(list('updaters')) FROM process_events", "operator does not exist"},
	} {
		if _, err := sql.Compile(tt.text, sql.Config{Lists: lists}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.text, err, tt.want)
		}
	}
	if _, err := sql.Compile("SELECT list('x')", sql.Config{}); err == nil || !strings.Contains(err.Error(), "none is known here") {
		t.Errorf("without lists: %v", err)
	}
	if err := (&sql.List{Type: sql.Int8}).Add("x"); err == nil {
		t.Error("a number x was taken")
	}
}

func TestListIsRequired(t *testing.T) {
	lists := map[string]*sql.List{"updaters": listOf(t, sql.Text, "/usr/bin/apt", "/usr/bin/snap")}
	q, err := sql.Compile("SELECT pid FROM process_events WHERE executable_path = ANY(list('updaters'))", sql.Config{Lists: lists})
	if err != nil {
		t.Fatal(err)
	}
	r := q.Requires("process_events")
	if r == nil || r.Kind != sql.RequireText || r.Test != sql.TextIs || r.Column != event.Lookup("process_events").Index("executable_path") ||
		!slices.Equal(r.Texts, []string{"/usr/bin/apt", "/usr/bin/snap"}) {
		t.Errorf("Requires = %+v", r)
	}
}
