package rules

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

func TestAttack(t *testing.T) {
	a := mustLoad(t, files(
		"a.sql", ruleText("a", "-- tags: attack.execution, attack.t1059.004, attack.g0001\n", anyEvent),
		"b.sql", ruleText("b", "-- tags: attack.t1059.004, attack.t1059, attack.command_and_control\n", anyEvent),
		"c.sql", ruleText("c", "-- tags: attack.execution\n", anyEvent),
		"d.sql", ruleText("d", "-- enabled: false\n-- tags: attack.t1001\n", anyEvent),
	)).Attack()
	if want := []AttackItem{{"T1059", []string{"b"}}, {"T1059.004", []string{"a", "b"}}}; !reflect.DeepEqual(a.Techniques, want) {
		t.Errorf("techniques %v, want %v", a.Techniques, want)
	}
	if want := []string{"c"}; !reflect.DeepEqual(a.Untagged, want) {
		t.Errorf("untagged %v, want %v", a.Untagged, want)
	}
	for _, tactic := range a.Tactics {
		want := map[string][]string{"execution": {"a", "c"}, "command-and-control": {"b"}}[tactic.ID]
		if len(want) != len(tactic.Rules) || len(want) > 0 && !reflect.DeepEqual(tactic.Rules, want) {
			t.Errorf("%s: %v, want %v", tactic.ID, tactic.Rules, want)
		}
	}
	var b bytes.Buffer
	if err := a.WriteNavigator(&b); err != nil {
		t.Fatal(err)
	}
	var l struct {
		Domain     string
		Techniques []struct {
			TechniqueID string
			Score       int
		}
	}
	if err := json.Unmarshal(b.Bytes(), &l); err != nil || l.Domain != "enterprise-attack" || len(l.Techniques) != 2 || l.Techniques[1].TechniqueID != "T1059.004" || l.Techniques[1].Score != 2 {
		t.Errorf("layer %+v (%v)", l, err)
	}
}
