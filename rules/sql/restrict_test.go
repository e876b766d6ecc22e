package sql

import (
	"reflect"
	"testing"
)

func TestRestricts(t *testing.T) {
	for where, want := range map[string]*Restriction{
		"event = 'exec'":                                              {Values: []string{"exec"}},
		"'exec' = event AND user_id = 0":                              {Values: []string{"exec"}},
		"user_id = 0 AND event IN ('fork', 'exec', NULL)":             {Values: []string{"exec", "fork"}},
		"event = ANY (ARRAY['exec'])":                                 {Values: []string{"exec"}},
		"event = 'exec' OR event LIKE 'e\\_x%'":                       {Values: []string{"exec"}, Prefixes: []string{"e_x"}},
		"(event = 'exec' OR event = 'exit') AND (pid = 1 OR pid = 2)": {Values: []string{"exec", "exit"}},
		"starts_with(event, 'ex')":                                    {Prefixes: []string{"ex"}},
		"event LIKE 'exec'":                                           {Prefixes: []string{"exec"}},
		"event = 'exec' OR pid = 1":                                   nil,
		"event LIKE '%x'":                                             nil,
		"event <> 'exec'":                                             nil,
		"NOT event = 'exec'":                                          nil,
		"event ILIKE 'exec%'":                                         nil,
		"event = name":                                                nil,
		"starts_with('exec', event)":                                  nil,
		"'exec%' LIKE event":                                          nil,
		"pid = 1":                                                     nil,
	} {
		for _, text := range []string{
			"SELECT pid FROM process_events WHERE " + where,
			"SELECT a.pid FROM process_events a JOIN scans s ON s.processes = a.pid WHERE " + where,
			"SELECT count(*) FROM (SELECT * FROM process_events WHERE " + where + ") x",
		} {
			q, err := Compile(text, Config{})
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			got, ok := q.Restricts("process_events", "event")
			if ok != (want != nil) || ok && !sameRestriction(got, *want) {
				t.Errorf("%s: %+v, %v, want %+v", text, got, ok, want)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for where, want := range map[string]Restriction{
		"path = '/a' OR user_id = 0":                          {Values: []string{"/a"}},
		"path IN ('/a', '/b') AND error IS NULL":              {Values: []string{"/a", "/b"}},
		"path ILIKE '/a/%' AND event <> 'rename'":             {Prefixes: []string{"/a/"}},
		"path ILIKE '/a'":                                     {Values: []string{"/a"}},
		"path ILIKE ANY (ARRAY['/a/%', '/b', '%/c'])":         {Values: []string{"/b"}, Prefixes: []string{"/a/"}},
		"path LIKE '/a%' OR target_path ILIKE '/b/%'":         {Prefixes: []string{"/a", "/b/"}},
		"starts_with(path, '/a') OR '/b' = path":              {Values: []string{"/b"}, Prefixes: []string{"/a"}},
		"NOT path = '/a' AND (path = '/b') IS NOT TRUE":       {},
		"path ILIKE ALL (ARRAY['/a%', '%b']) AND path > '/a'": {},
		"path NOT LIKE '/a%' AND path <> '/b'":                {},
		"path ~ '^/a/' AND executable_path = '/c'":            {},
	} {
		q, err := Compile("SELECT pid FROM file_events WHERE "+where, Config{})
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		if got := q.Names("file_events", "path", "target_path"); !sameRestriction(got, want) {
			t.Errorf("%s: %+v, want %+v", where, got, want)
		}
	}
}

// Of several scans all must be restricted.
func TestRestrictsAllScans(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT 1 FROM process_events a, process_events b WHERE a.event = 'exec' AND b.event = 'fork' AND a.pid = b.pid": true,
		"SELECT 1 FROM process_events a, process_events b WHERE a.event = 'exec' AND a.pid = b.pid":                      false,
		"SELECT 1 FROM process_events a LEFT JOIN scans b ON a.event = 'exec'":                                           false,
		"SELECT 1 FROM scans WHERE processes = 1":                                                                        false,
	} {
		q, err := Compile(text, Config{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if r, ok := q.Restricts("process_events", "event"); ok != want {
			t.Errorf("%s: %+v, %v, want %v", text, r, ok, want)
		}
	}
}

func sameRestriction(a, b Restriction) bool {
	empty := func(l []string) []string { return append([]string{}, l...) }
	return reflect.DeepEqual(empty(a.Values), empty(b.Values)) && reflect.DeepEqual(empty(a.Prefixes), empty(b.Prefixes))
}
