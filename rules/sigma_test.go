package rules

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"

	"daemoneye/rules/sigma"
)

// corpus is a directory of Sigma rules that are not ours to copy.
const corpus = "../../shared/data/sigma-linux"

func loadCorpus(t *testing.T) *Set {
	t.Helper()
	if _, err := os.Stat(corpus); err != nil {
		t.Skipf("the Sigma rules of SigmaHQ are not here: %v", err)
	}
	return Load(LoadConfig{}, Dir(corpus))
}

// Of SigmaHQ's rules for Linux all are made rules that the event tables can
// answer, and no other.
func TestSigmaCorpus(t *testing.T) {
	set := loadCorpus(t)
	total, refused := map[string]int{}, map[string]int{}
	for _, r := range set.Sigma {
		kind := r.Document.Logsource.String()
		total[kind]++
		if r.Refusal == nil {
			continue
		}
		refused[kind]++
		if !strings.Contains(r.Refusal.Error(), "has no column") && !strings.Contains(r.Refusal.Error(), "have no column") && !strings.Contains(r.Refusal.Error(), "no table") {
			t.Errorf("%v: it is refused for another reason than that there is no table or column", r.Refusal)
		}
	}
	for kind, most := range map[string]int{"linux/process_creation": 0, "linux/file_event": 0, "linux/network_connection": 0, "linux/auditd": 9} {
		if refused[kind] > most || total[kind] == 0 {
			t.Errorf("%s: %d of %d rules are refused, want at most %d", kind, refused[kind], total[kind], most)
		}
	}
	indexed := 0
	for _, r := range set.Rules {
		if r.Mode != Stream {
			t.Errorf("%s is evaluated in mode %s, want stream", r.File, r.Mode)
		}
		if r.Query().Requires(r.Table()) != nil {
			indexed++
		}
	}
	t.Logf("%d documents, %d refused, %d rules, %d of which the matcher looks up", len(set.Sigma), len(set.Refused), len(set.Rules), indexed)
}

func sigmaSource(files map[string]string) Source {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return Source{Name: "r/", FS: fsys}
}

// Sigma files stand beside SQL, with fixtures like theirs.
func TestSigmaFiles(t *testing.T) {
	const rule = "title: Su\nid: su\nlogsource: {product: linux, category: process_creation}\ndetection: {s: {Image|endswith: /su}, condition: s}\n"
	set := Load(LoadConfig{}, sigmaSource(map[string]string{
		"a.sql":          "-- id: one\n-- title: t\n-- severity: low\nSELECT pid FROM process_events",
		"b/su.yml":       rule,
		"b/su.test.yaml": "cases:\n- {name: yes, events: [{executable_path: /bin/su}], match: 1}\n- {name: no, events: [{executable_path: /bin/sum}, {}], must_not_match: true}\n",
		"b/x.test.yml":   "what is no rule",
		"c.yml":          strings.Replace(rule, "id: su", "id: one", 1) + "---\n" + strings.Replace(rule, "id: su", "id: two", 1) + "---\n" + strings.Replace(rule, "Image", "Shape", 1),
		"d.yml":          "title: [",
		".hidden.yml":    "title: [",
	}))
	var ids, refused []string
	for _, r := range set.Rules {
		ids = append(ids, r.ID)
	}
	for _, r := range set.Refused {
		refused = append(refused, r.Error())
	}
	if want := []string{"one", "su", "two"}; !slices.Equal(ids, want) {
		t.Errorf("rules %v, want %v", ids, want)
	}
	want := []string{
		`r/c.yml: id "one" is taken by r/a.sql`,
		`r/c.yml:14: field "Shape" has no column in process_events`,
		`r/d.yml:1: line 1: did not find expected node content`,
	}
	if !slices.Equal(refused, want) {
		t.Errorf("refused\n%s\nwant\n%s", strings.Join(refused, "\n"), strings.Join(want, "\n"))
	}
	text, err := set.Rule("su").Text()
	if again, parseErr := Parse("su.sql", []byte(text), LoadConfig{}.SQL); err != nil || parseErr != nil || again.SQL != set.Rule("su").SQL {
		t.Errorf("the text of the rule: %v, %v\n%s", err, parseErr, text)
	}
	for _, r := range Test(t.Context(), set) {
		if r.Untested != (r.Rule.ID != "su") || r.Rule.ID == "su" && !r.Passed() {
			t.Errorf("fixtures of %s: %+v", r.Rule.ID, r)
		}
	}
}

const correlated = `
title: Su
name: su
logsource: {product: linux, category: process_creation}
detection: {s: {Image|endswith: /su}, condition: s}
---
title: Useradd
name: useradd
logsource: {product: linux, category: process_creation}
detection: {s: {Image|endswith: /useradd}, condition: s}
---
title: c
id: c
correlation:
  rules: [su, useradd]
  group-by: [User]
  timespan: 1m
  `

func TestSigmaCorrelations(t *testing.T) {
	row := func(minute, program, user, line string) string {
		return "- {time: '2026-01-01T00:" + minute + "Z', executable_path: /bin/" + program + ", user_name: " + user + ", command_line: '" + line + "'}\n"
	}
	events := map[string]string{
		"none":            row("00:00", "ls", "a", "x"),
		"three, close":    row("00:00", "su", "a", "1") + row("00:30", "useradd", "a", "2") + row("01:00", "su", "a", "3"),
		"three, alike":    row("00:00", "su", "a", "1") + row("00:30", "su", "a", "1") + row("01:00", "su", "a", "1"),
		"three, far":      row("00:00", "su", "a", "1") + row("00:30", "useradd", "a", "2") + row("01:01", "su", "a", "3"),
		"three users":     row("00:00", "su", "a", "1") + row("00:30", "useradd", "b", "2") + row("01:00", "su", "c", "3"),
		"the other order": row("00:00", "useradd", "a", "1") + row("00:30", "su", "a", "2"),
		"late":            row("00:00", "su", "a", "1") + row("02:00", "useradd", "a", "2"),
	}
	for kind, want := range map[string]map[string]int{
		"type: event_count\n  condition: {gte: 3}":                     {"three, close": 1, "three, alike": 1},
		"type: event_count\n  condition: {gt: 1, lte: 2}":              {"three, close": 1, "three, alike": 1, "three, far": 2, "the other order": 1},
		"type: value_count\n  condition: {field: CommandLine, gte: 3}": {"three, close": 1},
		"type: temporal":         {"three, close": 2, "three, far": 2, "the other order": 1},
		"type: temporal_ordered": {"three, close": 1, "three, far": 1},
	} {
		set := Load(LoadConfig{}, sigmaSource(map[string]string{"c.yml": correlated + kind}))
		if len(set.Refused) > 0 {
			t.Errorf("%s: %v", kind, set.Refused[0])
			continue
		}
		rule := set.Rule("c")
		if rule.Mode != History || rule.Window.String() != "2m0s" || set.Rules[0].Enabled || set.Rules[1].Enabled {
			t.Errorf("%s: mode %s, window %s, enabled %v %v, want history, 2m0s and the other rules disabled", kind, rule.Mode, rule.Window, set.Rules[0].Enabled, set.Rules[1].Enabled)
		}
		for name, text := range events {
			var c fixtureCase
			if err := yaml.Unmarshal([]byte("events:\n"+text), &c); err != nil {
				t.Fatal(err)
			}
			if got, err := rule.runCase(t.Context(), &c); err != nil || got != want[name] {
				t.Errorf("%s, %s: %d matches, %v, want %d\n%s", kind, name, got, err, want[name], rule.SQL)
			}
		}
	}
}

func TestSigmaCorrelationsRefused(t *testing.T) {
	for correlation, want := range map[string]string{
		"{type: event_count, rules: [su], timespan: 1m}":                                                              "needs a condition",
		"{type: event_count, rules: [no], timespan: 1m, condition: {gte: 1}}":                                         `there is no rule "no"`,
		"{type: event_count, rules: [bad], timespan: 1m, condition: {gte: 1}}":                                        `rule "bad" is refused`,
		"{type: event_count, rules: [c], timespan: 1m, condition: {gte: 1}}":                                          "is itself a correlation",
		"{type: event_count, rules: [su], timespan: 1y, condition: {gte: 1}}":                                         `timespan "1y"`,
		"{type: event_count, rules: [su], timespan: 9999999d, condition: {gte: 1}}":                                   "longer than 45 days",
		"{type: event_count, rules: [su], timespan: 1m, condition: {gte: x}}":                                         "needs a number",
		"{type: event_count, rules: [su], timespan: 1m, group-by: [Nope], condition: {gte: 1}}":                       `field "Nope" has no column`,
		"{type: value_count, rules: [su], timespan: 1m, condition: {gte: 1}}":                                         "field is for value_count",
		"{type: value_avg, rules: [su], timespan: 1m, condition: {gte: 1}}":                                           `type "value_avg" is not known`,
		"{type: temporal, rules: [su], timespan: 1m, condition: su and not x}":                                        "is not known for temporal",
		"{type: event_count, rules: [su], timespan: 1m, group-by: [u], aliases: {u: {x: User}}, condition: {gte: 1}}": `alias "u" has no field`,
	} {
		const rule = "title: t\nname: su\nlogsource: {category: process_creation}\ndetection: {s: {Image: x}, condition: s}\n---\n"
		bad := strings.NewReplacer("name: su", "name: bad", "Image", "Shape").Replace(rule)
		set := Load(LoadConfig{}, sigmaSource(map[string]string{"c.yml": rule + bad + "title: c\nname: c\ncorrelation: " + correlation + "\n"}))
		if got := set.Sigma[2].Refusal; got == nil || !strings.Contains(got.Error(), want) {
			t.Errorf("%s: %v, want %q", correlation, got, want)
		}
		if !set.Rules[0].Enabled {
			t.Errorf("%s: the rule that it reads is disabled, want it enabled when the correlation is refused", correlation)
		}
	}
}

// A correlation that is too long for a rule does not disable the rules that it reads.
func TestSigmaLongCorrelation(t *testing.T) {
	var values []string
	for c := 'a'; c < 'm'; c++ {
		values = append(values, strings.Repeat(string(c), 3000))
	}
	text := strings.Replace(correlated, "/su}", "/su, CommandLine|contains: ["+strings.Join(values, ", ")+"]}", 1)
	text = strings.Replace(text, "rules: [su, useradd]", "rules: [su, su, useradd]", 1) + "type: temporal"
	set := Load(LoadConfig{}, sigmaSource(map[string]string{"c.yml": text}))
	if len(set.Refused) != 1 || !strings.Contains(set.Refused[0].Error(), "KiB") || len(set.Rules) != 2 || !set.Rules[0].Enabled {
		t.Errorf("refused %v, rules %d, want the correlation refused for its length and the others in force", set.Refused, len(set.Rules))
	}
}

// Of a file that holds what SQL and a terminal would take for their own nothing
// is more than a text.
func TestSigmaTexts(t *testing.T) {
	for _, s := range []string{`'; SELECT 1 --`, `\'; --`, `*/ /*`, `:'x'`, `$$`, "a\nb", `E'\'`, `%_\`, "\u001b]0;x\u0007", `"`, "é\u0301 \u202e", `[a-z](\d+)`, `\\*`} {
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\u001b", `\e`, "\u0007", `\a`).Replace(s) + `"`
		set := Load(LoadConfig{}, sigmaSource(map[string]string{
			"a.yml": "title: " + quoted + "\nlogsource: {category: process_creation}\ndetection:\n  s: {CommandLine|contains|cased: " + quoted + "}\n  condition: s\n",
		}))
		if len(set.Refused) > 0 {
			t.Errorf("%q: %v", s, set.Refused[0])
			continue
		}
		if rule := set.Rules[0]; strings.ContainsFunc(rule.Title, func(c rune) bool { return c < ' ' || c == '\u202e' }) {
			t.Errorf("%q: title %q", s, rule.Title)
		}
	}
}

// FuzzSigma: whatever the file, what is not refused by the converter is one
// good SELECT over one table, or over history.
func FuzzSigma(f *testing.F) {
	f.Add([]byte(correlated + "type: temporal"))
	f.Add([]byte("title: t\nlogsource: {service: auditd}\ndetection: {a: {type: EXECVE, a0: x, a1|re: '^y'}, b: {type: PATH, name: '/*'}, condition: a or not b}\n"))
	f.Add([]byte("title: t\nlogsource: {category: network_connection}\ndetection: {a: {DestinationIp|cidr: '::1/3', SourcePort: 5, Initiated: 'true'}, k: [x, 'y*'], condition: 1 of them}\n"))
	f.Add([]byte("title: t\nlogsource: {category: process_creation}\ndetection: {a: {CommandLine|windash|contains|all: [' -a', \"\\e'\\\\\"], Image|cased: \"x'\", ProcessId|gte: 1e3}, condition: not a}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs := sigma.Parse("f.yml", data)
		for _, r := range sigma.Convert(docs, sigma.Config{Tag: knownTag}) {
			if _, refusal := parseRule("f.yml", []byte(r.Text), LoadConfig{}.SQL); refusal != nil && len(r.Text) < 32<<10 {
				t.Errorf("made of %q\n%s\n%v", data, r.Text, refusal)
			}
		}
	})
}
