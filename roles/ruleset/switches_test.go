package ruleset

import (
	"os"
	"path/filepath"
	"testing"
)

// Whatever the file holds, what is switched next is kept.
func TestSwitchesFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rules.json")
	for text, good := range map[string]bool{"": false, "{": false, "[]": false, "null": true, "{}": true, `{"a": {"enabled": true}}`: true} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := ReadSwitches(dir)
		if (err == nil) != good || s == nil {
			t.Errorf("%q: %v, %v, want an error: %t, and never nil", text, s, err, !good)
			continue
		}
		s["b"] = Switch{Enabled: false, UID: 7}
		if err := s.Write(dir); err != nil {
			t.Fatal(err)
		}
		again, err := ReadSwitches(dir)
		if err != nil || len(again) != len(s) || again["b"] != s["b"] {
			t.Errorf("%q: written %v, read %v, %v", text, s, again, err)
		}
	}
	if left, err := filepath.Glob(path + "?*"); err != nil || len(left) != 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
