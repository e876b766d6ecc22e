package rules

import (
	"testing"

	"daemoneye/rules/sql"
)

func TestWarnsOfLateHashes(t *testing.T) {
	for where, want := range map[string]bool{
		"executable_hash = 'aa'":                                             false,
		"event = 'changed' AND executable_hash = 'aa'":                       false,
		"event IN ('seen', 'exec', 'changed') AND executable_hash = 'aa'":    false,
		"event <> 'exit' AND executable_blake3 = 'aa'":                       false,
		"event = 'exec' AND pid > 1":                                         false,
		"event = 'exec' AND command_line LIKE '%executable_hash%'":           false,
		"event = 'exec' /* 'changed' */ AND executable_hash = 'aa'":          true,
		"event = 'exec' AND pid > 1 -- executable_hash":                      false,
		"event IN ('seen', 'exec') AND executable_hash = 'aa'":               true,
		"event in('seen') AND pid > 1 AND Executable_Blake3 = 'aa'":          true,
		"event = ANY (ARRAY['seen', 'exec']) AND executable_hash LIKE 'aa%'": true,
		"event <> 'changed' AND executable_hash = 'aa'":                      true,
		"event NOT IN ('exit', 'changed') AND executable_hash = 'aa'":        true,
	} {
		text := "-- id: r\n-- title: R\n-- severity: low\nSELECT pid, executable_hash FROM process_events WHERE " + where + "\n"
		r, err := Parse("r.sql", []byte(text), sql.Config{})
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		if got := len(r.Warnings()) > 0; got != want {
			t.Errorf("WHERE %s: warned %t, want %t", where, got, want)
		}
	}
}

func TestShippedRulesHaveNoWarnings(t *testing.T) {
	for _, r := range Load(LoadConfig{}, Builtin()).Rules {
		if w := r.Warnings(); len(w) > 0 {
			t.Errorf("%s: %q", r.ID, w)
		}
	}
}

// Whatever the text, what is left has its length.
func FuzzWithoutComments(f *testing.F) {
	for _, s := range []string{"a -- b\nc", "/* /* */ x", "'--' /* ' */ '", "\"/*\" --", "/*/", "'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := withoutStrings(withoutComments(s)); len(got) != len(s) {
			t.Errorf("%q became %q", s, got)
		}
	})
}
