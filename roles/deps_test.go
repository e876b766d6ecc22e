package roles

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "daemoneye"

// may lists, for each top-level part, the other parts whose packages it may
// import directly. Every part may import bus/event, which imports nothing.
func may() map[string][]string {
	return map[string][]string{
		"":         {"roles"},
		"roles":    {"platform", "bus", "store", "ledger", "rules"},
		"platform": {},
		"bus":      {},
		"store":    {},
		"ledger":   {},
		"rules":    {},
	}
}

type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	var packages []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// part returns the top-level part of one of our packages, and whether it is one.
func part(path string) (string, bool) {
	if path == module {
		return "", true
	}
	rest, ours := strings.CutPrefix(path, module+"/")
	top, _, _ := strings.Cut(rest, "/")
	return top, ours
}

func TestImportsGoOneWay(t *testing.T) {
	const leaf, rows = module + "/bus/event", module + "/bus/event/eventtest"
	packages := list(t, module+"/...")
	if len(packages) < 10 {
		t.Fatalf("go list found %d packages, want all of ours", len(packages))
	}
	for _, p := range packages {
		from, _ := part(p.ImportPath)
		allowed := may()[from]
		for i, imports := range [][]string{p.Imports, p.TestImports, p.XTestImports} {
			for _, path := range imports {
				to, ours := part(path)
				if !ours || path == rows && i > 0 || path == leaf && p.ImportPath != leaf || to == from && p.ImportPath != leaf || slices.Contains(allowed, to) {
					continue
				}
				t.Errorf("%s imports %s: %q may import %v and bus/event", p.ImportPath, path, from, allowed)
			}
		}
	}
}

// The collector holds the privileges: it must not even link rules, the store
// or an HTTP stack through its own package.
func TestCollectorReachesLittle(t *testing.T) {
	packages := list(t, "-deps", module+"/roles/collector")
	found := false
	for _, p := range packages {
		found = found || p.ImportPath == module+"/platform/procfs"
		top, ours := part(p.ImportPath)
		if ours && (top == "rules" || top == "store") || p.ImportPath == "net/http" {
			t.Errorf("roles/collector reaches %s", p.ImportPath)
		}
	}
	if !found {
		t.Error("roles/collector does not reach platform/procfs: is this still the collector?")
	}
}
