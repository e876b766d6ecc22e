package rules

import (
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"strings"
)

// AttackCoverage is what a set's enabled rules say that they cover of ATT&CK.
type AttackCoverage struct {
	Tactics    []AttackItem `json:"tactics"`    // in ATT&CK's order, those without rules too
	Techniques []AttackItem `json:"techniques"` // by id, those with rules
	Untagged   []string     `json:"untagged"`   // ids of rules without a technique
}

// AttackItem is a tactic, such as execution, or a technique, such as T1059.004.
type AttackItem struct {
	ID    string   `json:"id"`
	Rules []string `json:"rules"` // ids
}

// Attack returns what the enabled rules' tags say.
func (s *Set) Attack() *AttackCoverage {
	a := &AttackCoverage{Tactics: []AttackItem{}, Techniques: []AttackItem{}, Untagged: []string{}}
	found := map[string][]string{}
	for _, r := range s.Rules {
		if !r.Enabled {
			continue
		}
		technique := false
		for _, tag := range r.Tags {
			name, ok := strings.CutPrefix(tag, "attack.")
			if !ok {
				continue
			}
			switch isID := techniqueForm.MatchString(name); {
			case isID && name[0] != 't': // a group or software
				continue
			case isID:
				technique = true
				name = strings.ToUpper(name)
			default:
				name = strings.ReplaceAll(name, "_", "-")
			}
			if !slices.Contains(found[name], r.ID) {
				found[name] = append(found[name], r.ID)
			}
		}
		if !technique {
			a.Untagged = append(a.Untagged, r.ID)
		}
	}
	for _, tactic := range tactics {
		a.Tactics = append(a.Tactics, AttackItem{tactic, append([]string{}, found[tactic]...)})
		delete(found, tactic)
	}
	for id, rules := range found {
		a.Techniques = append(a.Techniques, AttackItem{id, rules})
	}
	slices.SortFunc(a.Techniques, func(x, y AttackItem) int { return cmp.Compare(x.ID, y.ID) })
	return a
}

// layer is a file of the ATT&CK Navigator, in version 4.5 of its format.
type layer struct {
	Name        string            `json:"name"`
	Versions    map[string]string `json:"versions"`
	Domain      string            `json:"domain"`
	Description string            `json:"description"`
	Techniques  []layerTechnique  `json:"techniques"`
	Gradient    struct {
		Colors   []string `json:"colors"`
		MinValue int      `json:"minValue"`
		MaxValue int      `json:"maxValue"`
	} `json:"gradient"`
}

type layerTechnique struct {
	ID      string `json:"techniqueID"`
	Score   int    `json:"score"` // rules
	Comment string `json:"comment"`
	Enabled bool   `json:"enabled"`
	Shown   bool   `json:"showSubtechniques"`
}

// WriteNavigator writes a layer for the ATT&CK Navigator: the score of a
// technique is its number of rules, the comment their ids.
func (a *AttackCoverage) WriteNavigator(w io.Writer) error {
	l := layer{
		Name: "DaemonEye", Versions: map[string]string{"layer": "4.5", "navigator": "5.1.0"}, Domain: "enterprise-attack",
		Description: "techniques that enabled rules are tagged with; the score is the number of rules", Techniques: []layerTechnique{},
	}
	l.Gradient.Colors, l.Gradient.MaxValue = []string{"#ffffff", "#66b1ff"}, 1
	for _, t := range a.Techniques {
		l.Techniques = append(l.Techniques, layerTechnique{t.ID, len(t.Rules), strings.Join(t.Rules, ", "), true, strings.Contains(t.ID, ".")})
		l.Gradient.MaxValue = max(l.Gradient.MaxValue, len(t.Rules))
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(l)
}
