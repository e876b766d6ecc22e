package roles

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The unit that we ship leaves the supervisor what it needs: with its
// capabilities alone the roles run, as others, and end when they are told.
func TestUnitsCapabilities(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it gives up capabilities")
	}
	unit, err := os.ReadFile(filepath.Join("..", "dist", "daemoneye.service"))
	if err != nil {
		t.Fatal(err)
	}
	set := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindSubmatch(unit)
	if set == nil {
		t.Fatal("the unit has no bounding set")
	}
	bounding := "-all"
	for _, name := range strings.Fields(string(set[1])) {
		bounding += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	}
	args := []string{"--nnp", "--bounding-set", bounding, "--inh-caps=-all"}
	if out, err := exec.Command("setpriv", append(args, "true")...).CombinedOutput(); err != nil {
		t.Skipf("setpriv: %v %s", err, out)
	}
	dir := filepath.Join(t.TempDir(), "data")
	for range 2 { // the second start finds directories of the agent's user
		in := launchProgram(t, dir, nil, "setpriv", append(args, "daemoneye", "run", "--interval", "100ms", "--data-dir", dir)...)
		in.waitFor("Alerts appear below")
		h, ok := in.health()
		if !ok || !h.Healthy || len(h.Roles) != 4 {
			t.Errorf("health = %+v, want four healthy roles", h)
		}
		for _, r := range h.Roles {
			if (r.UID == 0) != (r.Role == "supervisor") || (len(r.Capabilities) == 2) != (r.Role == "hasher") {
				t.Errorf("%s runs as uid %d with %v", r.Role, r.UID, r.Capabilities)
			}
		}
		if status := in.stop(os.Interrupt); status != 0 {
			t.Errorf("exit status %d", status)
		}
	}
}
