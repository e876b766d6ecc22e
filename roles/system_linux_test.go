package roles

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"daemoneye/platform"
)

// Clients of an ordinary user find root's instance when they run none of
// their own. It has its usual places, in a mount namespace of its own.
func TestRootsInstanceServesItsGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts and changes users")
	}
	nobody, err := platform.LookupUser("daemoneye", "nobody")
	if err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("daemoneye")
	if err != nil {
		t.Fatal(err)
	}
	// The test's programs lie in directories that only root may enter.
	for _, dir := range []string{filepath.Dir(program), filepath.Dir(filepath.Dir(program))} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const mounts = "mount -t tmpfs -o mode=0755 none /run && mount -t tmpfs -o mode=0755 none /var/lib && mkdir -p /run/home && chmod 777 /run/home"
	if out, err := exec.Command("unshare", "-m", "sh", "-c", mounts).CombinedOutput(); err != nil {
		t.Skipf("no mount namespace: %v %s", err, out)
	}
	in := launchProgram(t, "", nil, "unshare", "-m", "sh", "-c", mounts+" && exec daemoneye run --interval 100ms")
	in.waitFor("Alerts appear below")

	const user = 12345
	client := func(group int, args ...string) (stdout, stderr string, status int) {
		t.Helper()
		cmd := exec.Command("nsenter", append([]string{
			"-t", strconv.Itoa(in.cmd.Process.Pid), "-m", "env", "HOME=/run/home", "setpriv", "--reuid", strconv.Itoa(user), "--regid", strconv.Itoa(user),
			"--groups", strconv.Itoa(group), "daemoneye",
		}, args...)...)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR=", "DAEMONEYE_DATA_DIR=")
		var out, errOut bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errOut
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
	}

	for _, args := range [][]string{{"health"}, {"ps"}, {"rules", "list"}, {"query", "SELECT 1"}, {"--socket", "/run/daemoneye/agent.sock", "ps"}} {
		if out, errOut, status := client(nobody.GID, args...); status != 0 || out == "" || errOut != "" {
			t.Errorf("%v of a member of the group: status %d\n%s%s", args, status, out, errOut)
		}
	}
	// Who may not is told that it is there.
	_, errOut, status := client(user, "health")
	if status != 1 || !strings.Contains(errOut, "no agent answers at /run/home/.local/state/daemoneye/run/agent.sock; root's instance at /run/daemoneye/agent.sock is there") {
		t.Errorf("status %d of somebody else, it says\n%s", status, errOut)
	}
	if !strings.Contains(errOut, "hint: become a member of that group") {
		t.Errorf("it does not say what can be done:\n%s", errOut)
	}
	// An instance that was named is not another one.
	for _, flag := range []string{"--data-dir", "--socket"} {
		if _, errOut, status := client(nobody.GID, "health", flag, "/run/home/other"); status != 1 || !strings.Contains(errOut, "no agent answers at /run/home/other") {
			t.Errorf("%s: status %d\n%s", flag, status, errOut)
		}
	}
	in.stop(os.Interrupt)
	if _, errOut, status := client(nobody.GID, "health"); status != 1 || strings.Contains(errOut, "root's instance") {
		t.Errorf("status %d when root's instance has ended, it says\n%s", status, errOut)
	}
}
