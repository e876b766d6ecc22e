//go:build unix

package rules

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// FIFOs that nobody writes to are refused, wherever they stand in a directory
// of rules, and nothing waits for them.
func TestFIFOs(t *testing.T) {
	for _, name := range []string{"a.sql", "a.test.yaml", "lists", "lists/a.yaml", "exceptions", "exceptions/a.yaml", "b.pack", "c.yml"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "rule.sql"), []byte(ruleText("one", "", "SELECT pid FROM process_events")), 0o600); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(file, 0o600); err != nil {
			t.Fatal(err)
		}
		set := Load(LoadConfig{}, Dir(dir))
		var said []string
		for _, r := range set.Refused {
			said = append(said, r.Error())
		}
		for _, result := range Test(t.Context(), set) {
			if result.Err != nil {
				said = append(said, result.Err.Error())
			}
		}
		if set.Rule("one") == nil || name != "a.test.yaml" && !strings.Contains(strings.Join(said, "\n"), filepath.Base(name)) {
			t.Errorf("%s: %d rules, said %q", name, len(set.Rules), said)
		}
	}
}
