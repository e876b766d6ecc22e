//go:build unix

package roles

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An installed pack is in force in a caged agent at once; a newer version takes
// its place with all of its rules.
func TestInstallPack(t *testing.T) {
	t.Setenv("DAEMONEYE_RULES__RELOAD", "0s")
	t.Setenv("DAEMONEYE_RULES__ALLOW_UNSIGNED_PACKS", "true")
	dir := writeRule(t, "canary.sql", testRule)
	in := start(t, nil, "--rules", dir)
	build := func(version string, ids ...string) string {
		t.Helper()
		from := t.TempDir()
		write := func(name, text string) {
			if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		write("pack.yaml", "name: team\ncreated: 2026-11-30\nversion: "+version+"\n")
		for _, id := range ids {
			write(id+".sql", fmt.Sprintf("-- id: %s\n-- title: %s\n-- severity: low\nSELECT pid FROM process_events WHERE pid = -1\n", id, version))
		}
		file := filepath.Join(t.TempDir(), "team.pack")
		if out, errOut, status := in.client("rules", "pack", "build", from, "-o", file); status != 0 {
			t.Fatalf("build: status %d, %s%s", status, out, errOut)
		}
		return file
	}
	install := func(version string, ids ...string) {
		t.Helper()
		file := build(version, ids...)
		out, errOut, status := in.client("rules", "pack", "install", file, "--rules", dir)
		if status != 0 || !strings.Contains(out, "the agent has ") {
			t.Fatalf("install: status %d, %s%s", status, out, errOut)
		}
	}
	inForce := func() string {
		rows := in.query("SELECT rule_id || ' ' || title AS rule FROM rules WHERE file LIKE '%team.pack:%' AND error IS NULL ORDER BY 1")
		return fmt.Sprint(rows)
	}
	install("1.0.0", "one", "two")
	if got, want := inForce(), "[map[rule:one 1.0.0] map[rule:two 1.0.0]]"; got != want {
		t.Errorf("in force: %s, want %s", got, want)
	}
	install("1.1.0", "three", "two")
	want := "[map[rule:three 1.1.0] map[rule:two 1.1.0]]"
	if got := inForce(); got != want {
		t.Errorf("in force: %s, want %s", got, want)
	}

	// What the agent refuses is taken back: here it has a file that is none.
	if err := os.WriteFile(filepath.Join(dir, "broken.sql"), []byte("SELECT"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := build("1.2.0", "four")
	out, errOut, status := in.client("rules", "pack", "install", file, "--rules", dir)
	if status != 1 || !strings.Contains(errOut, "is taken back") {
		t.Errorf("install of what is refused: status %d, %s%s", status, out, errOut)
	}
	if err := os.Remove(filepath.Join(dir, "broken.sql")); err != nil {
		t.Fatal(err)
	}
	if _, errOut, status := in.client("rules", "reload"); status != 0 {
		t.Fatalf("reload: status %d, %s", status, errOut)
	}
	if got := inForce(); got != want {
		t.Errorf("in force after that: %s, want %s", got, want)
	}
}
