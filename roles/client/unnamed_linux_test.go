package client

import (
	"os"
	"path/filepath"
	"testing"

	"daemoneye/roles/api"
	"daemoneye/roles/term"
)

// While a file is written there is nothing of it that a killed process could
// leave behind; when it is whole it has its name, also in place of another.
func TestOutputHasNoNameBefore(t *testing.T) {
	dir := t.TempDir()
	temp, err := createUnnamed(dir)
	if err != nil {
		t.Skip("the file system has no unnamed files: ", err)
	}
	_ = temp.Close()
	name := filepath.Join(dir, "out.csv")
	for _, force := range []bool{false, true} {
		d := &destination{name: name, force: force, progress: &term.Progress{}}
		if err := d.create("csv"); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadDir(dir)
		if want := map[bool]int{true: 1}[force]; len(before) != want {
			t.Errorf("%d files while it is written, want %d", len(before), want)
		}
		if err := d.header([]api.QueryColumn{{Name: "a", Type: "text"}}); err != nil {
			t.Fatal(err)
		}
		if err := d.finish(d.close(0)); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(name); string(data) != "a\n" {
			t.Errorf("the file has %q, %v", data, err)
		}
		if after, _ := os.ReadDir(dir); len(after) != 1 {
			t.Errorf("left behind: %v", after)
		}
	}
}
