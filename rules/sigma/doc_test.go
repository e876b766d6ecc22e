package sigma

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// docs/sigma.md has each category and field that is converted.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/sigma.md")
	if err != nil {
		t.Fatal(err)
	}
	var list []view
	for _, name := range []string{
		"process_creation", "process_termination", "file_event", "file_delete", "file_rename", "file_access", "network_connection", "dns_query",
		"driver_load", "process_access",
	} {
		v, ok := category(name)
		if !ok || !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("category %s: converted %v, and not in docs/sigma.md", name, ok)
		}
		list = append(list, v)
	}
	list = append(list, asked(view{}))
	for _, v := range slices.Concat(list, audit()) {
		for name := range v.fields {
			in := strings.Contains(string(text), "`"+name+"`")
			if !in && !slices.Contains(argumentNames(), name) { // a0 to a9
				t.Errorf("field %s of %s is not in docs/sigma.md", name, v.table)
			}
		}
	}
}
