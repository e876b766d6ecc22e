package roles

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"daemoneye/roles/config"
	"daemoneye/rules/pack"
)

// TestPackIsWatched: the files that a built-in rule is about are watched, even
// if the configuration names others and the rule does not.
func TestPackIsWatched(t *testing.T) {
	paths, reads := config.Files{Paths: []string{"/srv/app"}, Reads: []string{"/srv/secret"}}.Watched()
	names, err := fs.Glob(pack.Files(), "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		rule, err := fs.ReadFile(pack.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(rule), "\nFROM file_events\n") {
			continue
		}
		watched := map[bool][]string{false: paths, true: reads}
		for _, m := range regexp.MustCompile(`starts_with\(path, '(.*?)'\)`).FindAllStringSubmatch(string(rule), -1) {
			watched[false] = append(watched[false], m[1]) // that the agent asks for
		}
		raw, err := fs.ReadFile(pack.Files(), strings.TrimSuffix(name, ".sql")+".test.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var fixtures struct {
			Cases []struct {
				Events []struct {
					Event, Path string
					Target      string `yaml:"target_path"`
				}
				Match int
			}
		}
		if err := yaml.Unmarshal(raw, &fixtures); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, c := range fixtures.Cases {
			for _, e := range c.Events {
				list := watched[e.Event == "read"]
				told := isWatched(list, e.Path) || isWatched(list, e.Target)
				if e.Event == "rename" || e.Event == "symlink" { // of a directory above, too
					list = slices.Concat(paths, reads)
					told = told || leads(list, e.Path) || leads(list, e.Target)
				}
				if c.Match > 0 && !told && name != "setuid_file_made.sql" { // which is of all files
					t.Errorf("%s: %s of %q is not told", name, e.Event, e.Path)
				}
			}
		}
	}
}

// isWatched reports whether a path is one of the watched, or below.
func isWatched(watched []string, path string) bool {
	return slices.ContainsFunc(watched, func(w string) bool { return begins(w, path) })
}

// leads reports whether a path is above one of the watched.
func leads(watched []string, path string) bool {
	return slices.ContainsFunc(watched, func(w string) bool { return begins(path, w) })
}

// begins reports whether the names of a path are the first ones of another; *
// in either stands for any one.
func begins(path, other string) bool {
	names, others := strings.Split(strings.TrimSuffix(path, "/"), "/"), strings.Split(other, "/")
	if path == "" || len(names) > len(others) {
		return false
	}
	for i, name := range names {
		if name != others[i] && name != "*" && others[i] != "*" {
			return false
		}
	}
	return true
}
