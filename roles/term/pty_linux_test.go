package term

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openPTY returns the two ends of a pseudo-terminal (pty(7)).
func openPTY(t *testing.T, columns uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("open pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func TestNewOnTerminal(t *testing.T) {
	_, slave := openPTY(t, 97)
	o := New(slave, env("TERM", "xterm", "LANG", "C.UTF-8"))
	if !o.Terminal || o.Width != 97 || !o.Color || o.ASCII {
		t.Errorf("New(terminal) = %+v, want 97 coloured columns of UTF-8", o)
	}
	o = New(slave, env("TERM", "dumb", "LANG", "C"))
	if !o.Terminal || o.Color || !o.ASCII {
		t.Errorf("New(dumb terminal) = %+v, want neither colours nor UTF-8", o)
	}
}

// The line appears after a second and is gone after Stop.
func TestProgressOnTerminal(t *testing.T) {
	master, slave := openPTY(t, 40)
	p := StartProgress(New(slave, env("TERM", "xterm", "LANG", "C.UTF-8")), "a long \x1bname of some work to do", "rows", 0)
	p.Add(1000)
	r := bufio.NewReader(master)
	first, err := r.ReadString('K')
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSuffix(strings.TrimPrefix(first, "\r"), "\x1b[K")
	if Width(line) > 39 || !strings.HasPrefix(line, `a long \x1bname`) || strings.Contains(line, "\x1b") {
		t.Errorf("progress wrote %q, want one line of at most 39 cells", line)
	}
	p.Stop()
	if _, err := slave.WriteString("end\n"); err != nil {
		t.Fatal(err)
	}
	last, err := r.ReadString('\n')
	if err != nil || !strings.HasSuffix(last, "\r\x1b[Kend\r\n") {
		t.Errorf("after Stop came %q, %v; want the line cleared", last, err)
	}
}
