//go:build amd64 || arm64

package bpf

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// listed returns what Connections tells of sockets with this local port, or
// with this path.
func listed(t testing.TB, s *Source, port uint16, path string) (list []Event) {
	t.Helper()
	err := s.Connections(func(e *Event) bool {
		if c := e.Network; port != 0 && c.Local.Port() == port || path != "" && c.Path == path {
			list = append(list, *e)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func portOf(a net.Addr) uint16 { return netip.MustParseAddrPort(a.String()).Port() }

// hold starts a process that has the file open, and whose name is not UTF-8.
func hold(t testing.TB, f *os.File) (pid int32) {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "\x1b[2J\xff")
	if err := os.WriteFile(name, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, "3600")
	cmd.ExtraFiles = []*os.File{f, f} // the same socket twice
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return int32(cmd.Process.Pid)
}

// Sockets that were there before the programs are told with all processes that
// have them open, each once.
func TestConnectionsBefore(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6", "udp4", "udp6"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if strings.HasSuffix(network, "6") {
				address = "[::1]:0"
			}
			var made interface {
				File() (*os.File, error)
				Close() error
			}
			var port uint16
			protocols, state := []uint16{unix.IPPROTO_TCP, unix.IPPROTO_MPTCP}, Listens
			if strings.HasPrefix(network, "tcp") {
				l, err := net.Listen(network, address)
				if err != nil {
					t.Skip(err)
				}
				made, port = l.(*net.TCPListener), portOf(l.Addr())
			} else {
				c, err := net.ListenPacket(network, address)
				if err != nil {
					t.Skip(err)
				}
				made, port = c.(*net.UDPConn), portOf(c.LocalAddr())
				protocols, state = []uint16{unix.IPPROTO_UDP}, Closed
			}
			defer made.Close()
			f, err := made.File()
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var st unix.Stat_t
			if err := unix.Fstat(int(f.Fd()), &st); err != nil {
				t.Fatal(err)
			}
			holder := hold(t, f)
			s := open(t, Config{})
			other := func(e Event) bool { return !slices.Contains(protocols, e.Network.Protocol) } // has this port too
			list := slices.DeleteFunc(listed(t, s, port, ""), other)
			var pids []int32
			for _, e := range list {
				c := e.Network
				pids = append(pids, e.PID)
				if c.State != state || c.Local.Addr().String() != strings.Trim(address[:len(address)-2], "[]") || !c.Open || !c.Whole ||
					c.Inode != st.Ino || c.UID != uint32(os.Geteuid()) || c.Socket != 0 || c.Namespace == 0 {
					t.Errorf("%+v of %+v", *c, e)
				}
				if e.PID == holder && (e.Name != "\x1b[2J\xff" || e.PPID != int32(os.Getpid()) || e.Start == 0) {
					t.Errorf("its process is %+v", e)
				}
			}
			slices.Sort(pids)
			want := []int32{int32(os.Getpid()), holder}
			slices.Sort(want)
			if !slices.Equal(pids, want) {
				t.Errorf("processes %v, want %v", pids, want)
			}
			_ = f.Close()
			_ = made.Close()
			if list := slices.DeleteFunc(listed(t, s, port, ""), other); len(list) != 1 || list[0].PID != holder {
				t.Errorf("%+v, want only process %d", list, holder)
			}
		})
	}
}

// A connection is told from both its sides, with what network events have told
// of it; waiting to be accepted, nobody has it open, and at its end neither.
func TestConnectionsOfTCP(t *testing.T) {
	s := open(t, Config{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	near, far := portOf(out.LocalAddr()), portOf(l.Addr())
	side := func(local, remote uint16) *Event {
		t.Helper()
		for _, e := range listed(t, s, local, "") {
			if e.Network.Remote.Port() == remote {
				return &e
			}
		}
		t.Fatalf("no connection from port %d to %d", local, remote)
		return nil
	}
	if e := side(far, near); e.Network.Open || e.PID != 0 || e.Network.State != Established {
		t.Errorf("%+v of %+v, want one that waits", *e.Network, e)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := out.Write([]byte("12345")); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	pid := int32(os.Getpid())
	for _, e := range []*Event{side(near, far), side(far, near)} {
		c := e.Network
		want, sent := Inbound, int64(0)
		if c.Local.Port() == near {
			want, sent = Outbound, 5
		}
		if c.Direction != want || c.Sent != sent || c.Received != 5-sent || e.PID != pid || !c.Open || c.Socket == 0 || c.State != Established || c.Duration <= 0 {
			t.Errorf("%+v of %+v", *c, e)
		}
	}
	_ = out.Close()
	if _, err := in.Read(make([]byte, 1)); err == nil {
		t.Fatal("it is not closed")
	}
	if c := side(far, near).Network; c.State != CloseWait || !c.Open {
		t.Errorf("%+v, want the end of the other side told", *c)
	}
	// Whose it was is known as long as there is a whole socket.
	e := side(near, far)
	if c := e.Network; c.Open || c.Whole != (e.PID == pid) || c.Whole == (c.State == TimeWait) || !slices.Contains([]State{FinWait1, FinWait2, TimeWait}, c.State) {
		t.Errorf("%+v of %+v, want what is left of it", *c, e)
	}
}

// Sockets of other network namespaces are told.
func TestConnectionsOfNamespaces(t *testing.T) {
	s := open(t, Config{})
	u := use(t, "listen apart", netip.AddrPort{})
	list := listed(t, s, netip.MustParseAddrPort(u.said).Port(), "")
	list = slices.DeleteFunc(list, func(e Event) bool { return e.PID != int32(u.Process.Pid) })
	var own unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &own); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Network.State != Listens || list[0].Network.Namespace == 0 || uint64(list[0].Network.Namespace) == own.Ino {
		t.Errorf("%+v, want one that listens in another namespace", list)
	}
}

// Unix sockets are told on request, with the bytes of their names.
func TestConnectionsOfUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s\x1b\xff")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if list := listed(t, open(t, Config{}), 0, path); len(list) != 0 {
		t.Errorf("%+v, want nothing unasked", list)
	}
	var states []State
	for _, e := range listed(t, open(t, Config{UnixSockets: true}), 0, path) {
		states = append(states, e.Network.State)
		if e.PID != int32(os.Getpid()) || e.Network.Family != FamilyUnix || e.Network.Local.IsValid() && e.Network.Local.Port() != 0 || !e.Network.Open {
			t.Errorf("%+v of %+v", *e.Network, e)
		}
	}
	slices.Sort(states)
	if want := []State{Established, Listens}; !slices.Equal(states, want) {
		t.Errorf("states %v, want %v", states, want)
	}
}

// Connections ends when it is told to, and after Close.
func TestConnectionsEnd(t *testing.T) {
	s := open(t, Config{UnixSockets: true})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n := 0
	if err := s.Connections(func(*Event) bool { n++; return false }); err != nil || n != 1 {
		t.Errorf("%d sockets, error %v, want 1", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Connections(func(*Event) bool { return true }); err == nil {
		t.Error("no error after Close")
	}
}

// BenchmarkConnections10000 lists 10,000 sockets of TCP that listen.
//
//	go test -run '^$' -bench Connections10000 ./platform/bpf
func BenchmarkConnections10000(b *testing.B) {
	const count = 10000
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Max < count+1000 {
		b.Skipf("no more than %d descriptors, error %v", limit.Max, err)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	s := open(b, Config{})
	for range count {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = unix.Close(fd) })
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			b.Fatal(err)
		}
		if err := unix.Listen(fd, 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if err := s.Connections(func(*Event) bool { n++; return true }); err != nil || n < count {
			b.Fatalf("%d sockets, error %v", n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/list")
}
