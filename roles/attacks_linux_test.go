package roles

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Who blinds a running, caged collector raises an alert, and its health says so.
func TestBlindedCollectorIsAlerted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	program := filepath.Join(t.TempDir(), "calls")
	if raw, err := exec.Command("gcc", "-O2", "-static", "-Wno-unused-result", "-o", program, "../platform/bpf/testdata/calls.c").CombinedOutput(); err != nil {
		t.Skipf("gcc: %v\n%s", err, raw)
	}
	in := start(t, nil, "--interval", "200ms")
	in.eventually("the first scan, from which on it knows its processes", func() bool {
		return len(in.query("SELECT 1 FROM scans LIMIT 1")) > 0
	})
	h, _ := in.health()
	if h.Collector.Source != "ebpf" {
		t.Skipf("the source is %s", h.Collector.Source)
	}
	pid := h.pid("procmond")
	attack := func(args ...any) {
		t.Helper()
		words := []string{}
		for _, a := range args {
			words = append(words, fmt.Sprint(a))
		}
		if raw, err := exec.Command(program, words...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, raw)
		}
	}
	fd, id := wantedMap(t, pid)
	_ = exec.Command(program, "limit", strconv.Itoa(pid)).Run() // which may be refused
	attack("map-open", pid, id)
	attack("map-write", pid, fd)
	for rule, event := range map[string][]string{
		"own-process-attacked": {"set_limits", "pidfd_getfd"}, "own-maps-opened": {""}, "own-sensor-tampered": {""},
	} {
		for _, e := range event {
			in.eventually("alert of "+rule+" "+e, func() bool {
				return len(in.query(fmt.Sprintf("SELECT 1 FROM alerts WHERE rule_id = '%s' AND coalesce(matched_row->>'event', '') = '%s'", rule, e))) > 0
			})
		}
	}
	in.eventually("health says so", func() bool {
		h, ok := in.health()
		return ok && !h.Healthy && slices.ContainsFunc(h.Problems, func(p string) bool { return strings.Contains(p, "another process has changed") })
	})
}

// wantedMap returns the descriptor and the id of the map of what is told.
func wantedMap(t *testing.T, pid int) (fd, id int) {
	t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fdinfo")
	open, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range open {
		info, _ := os.ReadFile(filepath.Join(dir, f.Name()))
		if bytes.Contains(info, []byte("map_type:\t2\nkey_size:\t4\nvalue_size:\t8\nmax_entries:\t9\n")) {
			fd, _ = strconv.Atoi(f.Name())
			_, err := fmt.Sscanf(string(info[bytes.Index(info, []byte("map_id:")):]), "map_id:\t%d", &id)
			if err != nil {
				t.Fatal(err)
			}
			return fd, id
		}
	}
	t.Fatal("the collector has no map of what is told")
	return 0, 0
}
