package client

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"daemoneye/platform"
	"daemoneye/roles/api"
	"daemoneye/roles/term"
)

// What the client sees of a process it says itself; of one that only has the
// same number here it repeats what the agent has read.
func TestRolesSecurity(t *testing.T) {
	s, err := platform.ReadStatus(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	status := api.RoleStatus{
		Role: "procmond", PID: os.Getpid(), UID: 4711, Effective: []string{"cap_x"}, Started: s.Started,
		Confinement: &api.Confinement{Seccomp: "errno", Calls: 9, Missing: []string{"no \x1b[2J wall"}, Descriptors: map[string]int{"socket": 77}},
	}
	other, silent := status, status
	other.Started = s.Started.Add(time.Hour)
	silent.Started, silent.Confinement = other.Started, nil
	got := rolesSecurity([]api.RoleStatus{status, other, silent})
	if x := got[0]; x.Source != saidKernel || x.UID != os.Geteuid() || x.DescriptorsSource != saidKernel || x.Descriptors["socket"] == 77 {
		t.Errorf("of this process: %+v, want what the kernel says", x)
	}
	if x := got[1]; x.Source != saidAgent || x.UID != 4711 || x.DescriptorsSource != saidRole || x.Descriptors["socket"] != 77 {
		t.Errorf("of a process that is not seen from here: %+v, want what was said", x)
	}
	if x := got[2]; x.DescriptorsSource != "" || x.Descriptors != nil {
		t.Errorf("of one that has not said: %+v, want nothing", x)
	}
	var b bytes.Buffer
	if err := showSecurity(&term.Output{Writer: &b}, got); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{": 9 calls, else errno", "cap_x", "77", "not known", "procmond: not seen from here", "only root may list them", "open descriptors of procmond"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Errorf("an escape sequence went through: %q", b.String())
	}
}
