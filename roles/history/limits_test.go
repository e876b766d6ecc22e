package history

import (
	"strconv"
	"strings"
	"testing"

	"daemoneye/roles/config"
	"daemoneye/rules/sql"
)

// The configuration can not import the engine, for the collector's sake: that
// both have the same limits is seen here.
func TestConfiguredLimits(t *testing.T) {
	if got, want := Limits(config.Default()), sql.DefaultLimits(); got != want {
		t.Errorf("Limits of the default configuration = %+v, want %+v", got, want)
	}
	m := sql.MaxLimits()
	flags := map[string]string{}
	for name, most := range map[string]int{
		"text": m.Text, "depth": m.Depth, "expressions": m.Nodes, "list": m.List, "tables": m.Tables, "ctes": m.CTEs, "operators": m.Operators,
	} {
		if _, err := config.Load(config.Options{Flags: map[string]string{"sql.limits." + name: strconv.Itoa(most + 1)}}); err == nil || !strings.Contains(err.Error(), "sql.limits."+name) {
			t.Errorf("sql.limits.%s = %d: %v, want a refusal", name, most+1, err)
		}
		flags["sql.limits."+name] = strconv.Itoa(most)
	}
	flags["sql.limits.constants"] = m.Constants.String()
	c, err := config.Load(config.Options{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	if got := Limits(c); got != m {
		t.Errorf("Limits = %+v, want %+v", got, m)
	}
}
