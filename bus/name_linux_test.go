package bus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// An error names the socket as people do, however it was reached.
func TestDialErrorNamesSocket(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for _, deep := range []string{"agent.sock", filepath.Join("no", "agent.sock")} {
		path := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), deep)
		_, err = Dial(testContext(t), path, DialConfig{Name: "/run/daemoneye/agent.sock"})
		want := `connect to "/run/daemoneye/agent.sock": connect: no such file or directory`
		if err == nil || err.Error() != want || !errors.Is(err, syscall.ENOENT) {
			t.Errorf("Dial = %v, want %s", err, want)
		}
	}
}
