//go:build linux

package collector

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/platform/bpf"
	"daemoneye/roles/api"
)

// rowsOf returns the rows of a table that a process caused. It is called with
// the lock held.
func (a *testAgent) rowsOf(table string, pid int) (list []row) {
	for _, b := range a.batches {
		for i := 0; i < b.Rows && b.Table.Name == table; i++ {
			if r := rowOf(b, i); r["pid"] == int64(pid) {
				list = append(list, r)
			}
		}
	}
	return list
}

// TestFileEvents: what a process does to watched files becomes rows that say
// which process it was.
func TestFileEvents(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/secret", []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour, WatchedPaths: []string{dir + "/watched"}, WatchedReads: []string{dir + "/secret"}})
	a.scan(1)
	if limits := a.regs[0].Limits; slices.ContainsFunc(limits, func(s string) bool { return strings.HasPrefix(s, "files") }) {
		t.Skip(limits)
	}
	hostile := "\xff\x1b[31m"
	cmd := exec.Command("sh", "-c", `exec 2>&1; umask 022; mkdir -p watched; : < secret; echo x > watched/new; echo y >> watched/new; : > "$1"; read x < secret`, "sh", "watched/"+hostile)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pid := cmd.Process.Pid
	a.event(eventExit, pid, nil)
	a.await("the reads", func() bool {
		rows := a.rowsOf("file_events", pid)
		return len(rows) > 0 && rows[len(rows)-1]["event"] == "read" && len(rows) >= 5
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	rows := a.rowsOf("file_events", pid)
	var got []string
	for _, r := range rows {
		got = append(got, r["event"].(string)+" "+strings.TrimPrefix(r["path"].(string), dir))
	}
	if want := []string{"read /secret", "create /watched/new", "write /watched/new", "create /watched/\\xff\x1b[31m", "read /secret"}; !slices.Equal(got, want) {
		t.Fatalf("events %q, want %q", got, want)
	}
	image := a.execOf(pid)
	r := rows[1]
	for column, want := range map[string]any{
		"source": "ebpf", "path_resolved": true, "path_truncated": false, "created": true, "error": nil, "mode": "644", "file_type": "regular",
		"file_user_id": int64(os.Getuid()), "file_group_id": int64(os.Getgid()), "target_path": nil, "attribute": nil, "system_call": "openat",
		"name": "sh", "entity_id": image["entity_id"], "executable_path": image["executable_path"], "command_line": image["command_line"],
		"parent_entity_id": image["parent_entity_id"], "user_id": int64(os.Getuid()),
	} {
		if r[column] != want {
			t.Errorf("%s = %v, want %v", column, r[column], want)
		}
	}
	if flags := r["flags"].([]string); !slices.Equal(flags, []string{"O_WRONLY", "O_CREAT", "O_TRUNC"}) {
		t.Errorf("flags %q", flags)
	}
	if r["inode"] == nil || r["time"].(time.Time).Before(image["time"].(time.Time)) || rows[2]["created"] != false {
		t.Errorf("inode %v, time %v, exec at %v, then created %v", r["inode"], r["time"], image["time"], rows[2]["created"])
	}
}

// execOf returns the exec of a process. It is called with the lock held.
func (a *testAgent) execOf(pid int) row {
	for _, r := range a.rowsOf("process_events", pid) {
		if r["event"] == eventExec {
			return r
		}
	}
	a.t.Fatalf("no exec of %d", pid)
	return nil
}

// TestFileColumns: what a row says of a record.
func TestFileColumns(t *testing.T) {
	for _, c := range []struct {
		what uint32
		file bpf.File
		want map[string]any
	}{
		{bpf.FileChown, bpf.File{NewOwner: bpf.NoID, NewGroup: 7, HasFile: true, Owner: 3, Group: 7, Inode: 5, Mode: 0o100644}, map[string]any{
			"event": "chown", "file_user_id": nil, "file_group_id": int64(7), "mode": "644", "inode": int64(5), "device": nil, "path": nil, "path_truncated": true,
		}},
		{bpf.FileMknod, bpf.File{Path: "/dev/x", NewMode: 0o060600}, map[string]any{"mode": "600", "file_type": "block-device", "inode": nil, "created": true, "file_user_id": nil}},
		{bpf.FileMknod, bpf.File{Path: "/x", NewMode: 0o4755, Errno: 1}, map[string]any{"mode": "4755", "file_type": "regular", "created": false, "error": "EPERM"}},
		{bpf.FileWrite, bpf.File{Path: "/x", Flags: 0o101}, map[string]any{"created": nil, "error": nil}},
		{bpf.FileWrite, bpf.File{Path: "/x", Flags: 0o101, Errno: 13}, map[string]any{"created": false, "error": "EACCES"}},
		{bpf.FileRename, bpf.File{Path: "/a", Target: "/b", TargetCut: true, Flags: 2, Accessed: "/c"}, map[string]any{"target_path": "/b", "path_truncated": true, "accessed_path": "/c"}},
		{bpf.FileDelete, bpf.File{Path: "/" + strings.Repeat("x", 5000)}, map[string]any{"path_truncated": true}},
		{bpf.FileSetxattr, bpf.File{Path: "/x", Attribute: "user.\xff"}, map[string]any{"attribute": `user.\xff`, "path_truncated": false, "created": false}},
	} {
		b := event.NewBuilder(event.Lookup("file_events"))
		own := openFileEvents(b)
		b.Column("time").Time(time.Unix(1, 0))
		b.Column("source").Text("ebpf")
		own(&bpf.Event{What: c.what, File: &c.file}, nil, nil)
		b.EndRow()
		r := rowOf(b.Batch(), 0)
		for column, want := range c.want {
			if r[column] != want {
				t.Errorf("%+v: %s = %v, want %v", c.file, column, r[column], want)
			}
		}
	}
}

// TestLeaseOfFiles: files that a rule names are watched while it needs them.
func TestLeaseOfFiles(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour, NoHash: true, WatchedPaths: []string{dir + "/always"}})
	a.scan(1)
	if limits := a.regs[0].Limits; slices.ContainsFunc(limits, func(s string) bool { return strings.HasPrefix(s, "file") }) {
		t.Skip(limits)
	}
	makes := func() []row {
		t.Helper()
		cmd := exec.Command("sh", "-c", "mkdir -p named; echo > named/file; mkdir -p always")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		a.event(eventExit, cmd.Process.Pid, nil)
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.rowsOf("file_events", cmd.Process.Pid)
	}
	a.needs <- api.Needs{Tables: []api.Need{{Table: "file_events", Paths: []string{dir + "/named"}}}}
	a.await("the named file", func() bool {
		a.mu.Unlock()
		defer a.mu.Lock()
		rows := makes()
		return len(rows) > 0 && rows[0]["path"] == dir+"/named/file"
	})
	a.needs <- api.Needs{}
	a.await("nothing of the named file", func() bool {
		a.mu.Unlock()
		defer a.mu.Lock()
		return len(makes()) == 0
	})
}
