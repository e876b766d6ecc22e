//go:build amd64 || arm64

package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// The test binary run with this variable uses the network as it says: a name
// of networkUses and an address. It prints one line when it is done, and ends
// with its input.
const networkVariable = "DAEMONEYE_TEST_NETWORK"

// networkUses are what such a process does; what they return is printed.
func networkUses() map[string]func(netip.AddrPort) (string, error) {
	return map[string]func(netip.AddrPort) (string, error){
		"dial":    dial,
		"connect": connect,
		"try": func(to netip.AddrPort) (string, error) {
			if text, err := connect(to); err == nil {
				return text, errors.New("it was connected")
			}
			return "", nil
		},
		"try nonblocking": tryNonblocking,
		"give up":         giveUp,
		"exchange":        exchange,
		"accept":          acceptInherited,
		"raw":             rawSockets,
		"raw as nobody": func(to netip.AddrPort) (string, error) {
			if err := syscall.Setuid(65534); err != nil {
				return "", err
			}
			return rawSockets(to)
		},
		"sockets":         ordinarySockets,
		"unix":            connectUnix,
		"send":            send,
		"send inherited":  sendInherited,
		"send lite":       sendLite,
		"vsock":           useVsock,
		"listen apart":    listenApart,
		"ask":             askConnected,
		"ask unconnected": askUnconnected,
	}
}

func useNetwork(what string) int {
	name, address, _ := strings.Cut(what, " at ")
	to, _ := netip.ParseAddrPort(address)
	text, err := networkUses()[name](to)
	if err != nil {
		fmt.Println("error: " + err.Error())
		return 1
	}
	fmt.Println(text)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

func dial(to netip.AddrPort) (string, error) {
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		return "", err
	}
	return c.LocalAddr().String(), nil
}

func sockaddr(a netip.AddrPort) (unix.Sockaddr, int) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}, unix.AF_INET6
}

// connect connects by blocking system calls and returns the local address.
func connect(to netip.AddrPort) (string, error) {
	address, family := sockaddr(to)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	if err := unix.Connect(fd, address); err != nil {
		return "", err
	}
	local, err := unix.Getsockname(fd)
	return addressText(local), err
}

func addressText(a unix.Sockaddr) string {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)).String()
	}
	return ""
}

// tryNonblocking begins a connection that fails, waits for that, and asks for
// the error by connecting again.
func tryNonblocking(to netip.AddrPort) (string, error) {
	address, family := sockaddr(to)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	if err := unix.Connect(fd, address); !errors.Is(err, unix.EINPROGRESS) {
		return "", nil // on loopback it fails at once
	}
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1); err != nil {
		return "", err
	}
	return "", errors.Join(unix.Close(fd))
}

// giveUp begins a connection that nobody answers and closes it.
func giveUp(to netip.AddrPort) (string, error) {
	address, family := sockaddr(to)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	if err := unix.Connect(fd, address); !errors.Is(err, unix.EINPROGRESS) {
		return "", fmt.Errorf("connect: %w, want EINPROGRESS", err)
	}
	return "", unix.Close(fd)
}

// exchange sends 1,000 bytes, receives until the end, and closes.
func exchange(to netip.AddrPort) (string, error) {
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		return "", err
	}
	if _, err := c.Write(make([]byte, 1000)); err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, c)
	return c.LocalAddr().String(), errors.Join(err, c.Close())
}

// acceptInherited accepts one connection on descriptor 3.
func acceptInherited(netip.AddrPort) (string, error) {
	_, from, err := unix.Accept(3)
	return addressText(from), err
}

// listenApart listens in a network namespace of its own.
func listenApart(netip.AddrPort) (string, error) {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return "", err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0) // that no garbage collection closes
	if err != nil {
		return "", err
	}
	if err := unix.Listen(fd, 1); err != nil {
		return "", err
	}
	local, err := unix.Getsockname(fd)
	return addressText(local), err
}

func rawSockets(netip.AddrPort) (string, error) {
	for _, s := range [][3]int{
		{unix.AF_PACKET, unix.SOCK_RAW, int(htons(unix.ETH_P_ALL))},
		{unix.AF_PACKET, unix.SOCK_DGRAM, int(htons(unix.ETH_P_ARP))},
		{unix.AF_INET, unix.SOCK_RAW | unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP},
		{unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_RAW},
		{unix.AF_INET, unix.SOCK_PACKET, int(htons(unix.ETH_P_ALL))},
		{unix.AF_XDP, unix.SOCK_RAW, 0},
	} {
		_, _ = unix.Socket(s[0], s[1], s[2])
	}
	return "", nil
}

func ordinarySockets(netip.AddrPort) (string, error) {
	for _, s := range [][3]int{
		{unix.AF_INET, unix.SOCK_STREAM, 0}, {unix.AF_INET6, unix.SOCK_DGRAM, 0}, {unix.AF_UNIX, unix.SOCK_DGRAM, 0}, {unix.AF_NETLINK, unix.SOCK_RAW, 0},
	} {
		if _, err := unix.Socket(s[0], s[1], s[2]); err != nil {
			return "", err
		}
	}
	return "", nil
}

func htons(n uint16) uint16 { return n<<8 | n>>8 }

func connectUnix(netip.AddrPort) (string, error) {
	for _, name := range []string{"/nowhere/socket", "@\xff\x00\n", strings.Repeat("n", 107)} {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			return "", err
		}
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); err == nil {
			return "", errors.New("there is such a socket")
		}
	}
	return "", nil
}

// send sends three datagrams to one peer and one to another, of the next port.
func send(to netip.AddrPort) (string, error) {
	c, err := net.ListenPacket("udp", netip.AddrPortFrom(to.Addr(), 0).String())
	if err != nil {
		return "", err
	}
	for _, port := range []uint16{to.Port(), to.Port(), to.Port() + 1, to.Port()} {
		if _, err := c.WriteTo(make([]byte, 100), net.UDPAddrFromAddrPort(netip.AddrPortFrom(to.Addr(), port))); err != nil {
			return "", err
		}
	}
	return c.LocalAddr().String(), nil
}

// sendInherited writes on descriptor 3, which is connected and not its own.
func sendInherited(netip.AddrPort) (string, error) {
	_, err := unix.Write(3, make([]byte, 100))
	return "", err
}

// sendLite sends two datagrams of UDP-Lite to one peer.
func sendLite(to netip.AddrPort) (string, error) {
	address, family := sockaddr(to)
	fd, err := unix.Socket(family, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE)
	if err != nil {
		return "", err
	}
	for range 2 {
		if err := unix.Sendto(fd, make([]byte, 100), 0, address); err != nil {
			return "", err
		}
	}
	local, err := unix.Getsockname(fd)
	return addressText(local), err
}

// useVsock listens on a port of vsock, which it returns, and tries to connect to
// it by way of the local address, which few machines have.
func useVsock(netip.AddrPort) (string, error) {
	var fds [2]int
	for i := range fds {
		var err error
		if fds[i], err = unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0); err != nil {
			return "", err
		}
	}
	if err := errors.Join(unix.Bind(fds[0], &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: unix.VMADDR_PORT_ANY}), unix.Listen(fds[0], 1)); err != nil {
		return "", err
	}
	local, err := unix.Getsockname(fds[0])
	if err != nil {
		return "", err
	}
	to := &unix.SockaddrVM{CID: unix.VMADDR_CID_LOCAL, Port: local.(*unix.SockaddrVM).Port}
	connected := unix.Connect(fds[1], to)
	if connected == nil {
		_, _, err = unix.Accept(fds[0])
	}
	var errno unix.Errno
	_ = errors.As(connected, &errno)
	return fmt.Sprintf("%d %d", to.Port, int(errno)), err
}

// domainQuestion is a question to the DNS.
func domainQuestion() []byte {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 4711, RecursionDesired: true})
	_ = b.StartQuestions()
	_ = b.Question(dnsmessage.Question{Name: dnsmessage.MustNewName("Host.example."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET})
	raw, _ := b.Finish()
	return raw
}

func askConnected(to netip.AddrPort) (string, error) {
	c, err := net.Dial("udp", to.String())
	if err != nil {
		return "", err
	}
	if _, err := c.Write(domainQuestion()); err != nil {
		return "", err
	}
	_, err = c.Read(make([]byte, 4096))
	return c.LocalAddr().String(), err
}

func askUnconnected(to netip.AddrPort) (string, error) {
	address, family := sockaddr(to)
	fd, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
	if err != nil {
		return "", err
	}
	if err := unix.Sendto(fd, domainQuestion(), 0, address); err != nil {
		return "", err
	}
	if _, _, err := unix.Recvfrom(fd, make([]byte, 4096), 0); err != nil {
		return "", err
	}
	local, err := unix.Getsockname(fd)
	return addressText(local), err
}

// user is a process that the test has started to use the network.
type user struct {
	*exec.Cmd
	in   io.Closer
	said string
}

// use starts such a process and waits until it is done, but not for its end.
func use(t *testing.T, what string, to netip.AddrPort, files ...*os.File) *user {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	u := &user{Cmd: cmd}
	cmd.ExtraFiles = files
	cmd.Env = append(os.Environ(), networkVariable+"="+what+" at "+to.String())
	cmd.Stderr = os.Stderr
	u.in, _ = cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error: ") {
		t.Fatalf("%s: said %q, %v", what, line, err)
	}
	u.said = strings.TrimSpace(line)
	t.Cleanup(u.end)
	return u
}

func (u *user) end() {
	_ = u.in.Close()
	_ = u.Wait()
}

// network opens a source that tells everything of the network, with room for
// what other processes do meanwhile.
func network(t testing.TB) (*Source, *recorder) {
	t.Helper()
	s := open(t, Config{RingBytes: 32 << 20})
	if limits := s.Limits(); len(limits) > 0 {
		t.Skip(limits)
	}
	if err := s.Want(Network, 1<<networkWhats-1); err != nil {
		t.Fatal(err)
	}
	return s, record(t, s)
}

// socketEvents returns what a process did with sockets.
func socketEvents(events []Event, pid int) (list []Event) {
	for _, e := range events {
		if e.Kind == Network && int(e.PID) == pid {
			list = append(list, e)
		}
	}
	return list
}

// whats are what happened, in order.
func whats(events []Event) (list []uint32) {
	for _, e := range events {
		list = append(list, e.What)
	}
	return list
}

// whole returns what a process did with sockets in its life, up to its end.
func (r *recorder) whole(t *testing.T, u *user) []Event {
	t.Helper()
	u.end()
	return socketEvents(r.until(t, exitOf(u.Process.Pid)), u.Process.Pid)
}

func listen(t *testing.T, address string) (net.Listener, netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, netip.MustParseAddrPort(l.Addr().String())
}

// isWhat accepts what a process did.
func isWhat(what uint32, pid int, ok func(c *Connection) bool) func(*Event) bool {
	return func(e *Event) bool {
		return e.Kind == Network && e.What == what && int(e.PID) == pid && ok(e.Network)
	}
}

func namespace(t *testing.T) uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &st); err != nil {
		t.Fatal(err)
	}
	return uint32(st.Ino)
}

// TestConnection: a connection is told of by both sides, from the listening
// socket to its end, with who did it.
func TestConnection(t *testing.T) {
	_, r := network(t)
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		t.Run(address, func(t *testing.T) {
			l, at := listen(t, address)
			to := at
			if at.Addr().IsUnspecified() { // IPv4 on a socket of IPv6
				to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port())
			}
			var served sync.WaitGroup
			served.Go(func() {
				c, err := l.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.ReadFull(c, make([]byte, 1000))
				_, _ = c.Write(make([]byte, 70000))
				_ = c.Close()
			})
			u := use(t, "exchange", to)
			served.Wait()
			from, pid, self := netip.MustParseAddrPort(u.said), u.Process.Pid, os.Getpid()
			events := r.until(t, isWhat(Close, pid, func(*Connection) bool { return true }))
			mine := isWhat(Close, self, func(c *Connection) bool { return c.Remote == from })
			if !slices.ContainsFunc(events, func(e Event) bool { return mine(&e) }) {
				r.until(t, mine)
			}
			_ = l.Close()
			events = r.until(t, isWhat(Close, self, func(c *Connection) bool { return c.Direction == Listening && c.Local == at }))
			list := socketEvents(events, pid)
			if got := whats(list); !slices.Equal(got, []uint32{Connect, Close}) {
				t.Fatalf("the client did %v, want connect and close", got)
			}
			begun, over := list[0].Network, list[1].Network
			if begun.Local != from || begun.Remote != to || begun.Direction != Outbound || begun.Error != 0 || begun.Duration <= 0 || begun.Namespace != namespace(t) || begun.Protocol != unix.IPPROTO_TCP {
				t.Errorf("connect: %+v, want %v to %v", begun, from, to)
			}
			if over.Local != from || over.Remote != to || over.Sent != 1000 || over.Received != 70000 || over.Socket != begun.Socket || begun.Socket == 0 || over.Duration <= begun.Duration || over.Direction != Outbound {
				t.Errorf("close: %+v, want %v to %v, 1000 bytes sent, 70000 received", over, from, to)
			}
			if e := list[0]; int(e.PPID) != self || e.Start <= 0 || e.Start > e.Time || e.ParentStart <= 0 || e.Start != list[1].Start {
				t.Errorf("by %d since %v, a child of %d", e.PID, e.Start, e.PPID)
			}
			var server []Event
			for _, e := range socketEvents(events, self) {
				if e.Network.Local == at || e.Network.Remote == from {
					server = append(server, e)
				}
			}
			if got := whats(server); !slices.Equal(got, []uint32{Listen, Accept, Close, Close}) {
				t.Fatalf("the server did %v, want listen, accept and two closes", got)
			}
			listened, accepted, over := server[0].Network, server[1].Network, server[2].Network
			if listened.Local != at || listened.Direction != Listening || server[3].Network.Socket != listened.Socket || server[3].Network.Local != at {
				t.Errorf("listen: %+v, at the end %+v, want at %v", listened, server[3].Network, at)
			}
			if accepted.Local != to || accepted.Remote != from || accepted.Direction != Inbound || accepted.Socket == listened.Socket {
				t.Errorf("accept: %+v, want at %v from %v", accepted, to, from)
			}
			if over.Sent != 70000 || over.Received != 1000 || over.Socket != accepted.Socket {
				t.Errorf("close: %+v of %+v, want 70000 bytes sent, 1000 received", over, accepted)
			}
		})
	}
}

// TestConnectionFails: each connection that fails is told of once, with why.
func TestConnectionFails(t *testing.T) {
	_, r := network(t)
	closed := func(address string) netip.AddrPort {
		l, at := listen(t, address)
		_ = l.Close()
		return at
	}
	full := func() netip.AddrPort { // where no more connections are answered
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
			t.Fatal(err)
		}
		at, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		to := netip.MustParseAddrPort(addressText(at))
		if _, err := connect(to); err != nil {
			t.Fatal(err)
		}
		return to
	}
	for _, c := range []struct {
		how  string
		to   netip.AddrPort
		want unix.Errno
	}{
		{"try", closed("127.0.0.1:0"), unix.ECONNREFUSED},
		{"try", closed("[::1]:0"), unix.ECONNREFUSED},
		{"try nonblocking", closed("127.0.0.1:0"), unix.ECONNREFUSED},
		{"try", netip.MustParseAddrPort("255.255.255.255:80"), unix.ENETUNREACH},
		{"give up", full(), unix.ECANCELED},
	} {
		t.Run(fmt.Sprintf("%s %v", c.how, c.to), func(t *testing.T) {
			list := r.whole(t, use(t, c.how, c.to))
			if got := whats(list); !slices.Equal(got, []uint32{Connect}) {
				t.Fatalf("%d events %v, want one connect", len(list), got)
			}
			if got := list[0].Network; got.Error != int(c.want) || got.Remote != c.to || got.Direction != Outbound || got.Protocol != unix.IPPROTO_TCP {
				t.Errorf("%+v, want error %d (%v)", got, c.want, c.want)
			}
		})
	}
}

// TestConnectionOwner: a connection belongs to who has accepted it, not to who
// has made the listening socket, also when that process has ended before it.
func TestConnectionOwner(t *testing.T) {
	_, r := network(t)
	l, to := listen(t, "127.0.0.1:0")
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := unix.SetNonblock(int(file.Fd()), false); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	u := use(t, "accept", to, file)
	from := netip.MustParseAddrPort(c.LocalAddr().String())
	if u.said != from.String() {
		t.Fatalf("it accepted one of %s, want %v", u.said, from)
	}
	list := r.whole(t, u)
	if got := whats(list); !slices.Equal(got, []uint32{Accept}) || list[0].Network.Remote != from {
		t.Fatalf("it did %v, %+v, want an accept from %v", got, list, from)
	}
	_ = c.Close()
	r.until(t, isWhat(Close, u.Process.Pid, func(c *Connection) bool { return c.Remote == from && c.Socket == list[0].Network.Socket }))
}

// TestConnectionNobodys: a connection that nobody has accepted is nobody's.
func TestConnectionNobodys(t *testing.T) {
	_, r := network(t)
	l, to := listen(t, "127.0.0.1:0")
	u := use(t, "connect", to)
	from := netip.MustParseAddrPort(u.said)
	_ = l.Close()
	u.end()
	events := r.until(t, isWhat(Close, 0, func(c *Connection) bool { return c.Remote == from && c.Local == to }))
	if e := events[len(events)-1]; e.Start != 0 || e.PPID != 0 || e.Name != "" || e.Network.Socket != 0 || e.Network.Direction != 0 {
		t.Errorf("%+v of %q, want nobody's", e, e.Name)
	}
}

// TestRawSocket: sockets that see or make any packet are told of, others not.
func TestRawSocket(t *testing.T) {
	_, r := network(t)
	type made struct {
		family, protocol uint16
		kind             uint8
		err              int
	}
	wants := []made{
		{FamilyPacket, unix.ETH_P_ALL, unix.SOCK_RAW, 0},
		{FamilyPacket, unix.ETH_P_ARP, unix.SOCK_DGRAM, 0},
		{FamilyInet, unix.IPPROTO_ICMP, unix.SOCK_RAW, 0},
		{FamilyInet6, unix.IPPROTO_RAW, unix.SOCK_RAW, 0},
		{FamilyPacket, unix.ETH_P_ALL, unix.SOCK_PACKET, 0},
		{FamilyXDP, 0, unix.SOCK_RAW, 0},
	}
	check := func(what string, want []made) {
		t.Helper()
		var got []made
		for _, e := range r.whole(t, use(t, what, netip.AddrPort{})) {
			if c := e.Network; e.What == Socket {
				got = append(got, made{c.Family, c.Protocol, c.Type, c.Error})
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	if fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW, 0); err == nil {
		_ = unix.Close(fd)
	} else { // told all the same
		wants[len(wants)-1].err = int(err.(unix.Errno))
	}
	check("raw", wants)
	check("sockets", nil)
	for i := range wants {
		if wants[i].err == 0 {
			wants[i].err = int(unix.EPERM)
		}
	}
	check("raw as nobody", wants)
}

// TestUnixConnection: what a Unix socket was to be connected with is told as it
// was asked for.
func TestUnixConnection(t *testing.T) {
	_, r := network(t)
	var got []string
	for _, e := range r.whole(t, use(t, "unix", netip.AddrPort{})) {
		if e.What == UnixConnect {
			got = append(got, fmt.Sprintf("%s %d", e.Network.Path, e.Network.Error))
		}
	}
	want := []string{
		fmt.Sprintf("/nowhere/socket %d", unix.ENOENT), fmt.Sprintf("@\xff\x00\n %d", unix.ECONNREFUSED),
		fmt.Sprintf("%s %d", strings.Repeat("n", 107), unix.ENOENT),
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestSend: the first datagram to each peer is told of, with who has sent it; of
// whom nothing is known that would say so, it is nobody's.
func TestSend(t *testing.T) {
	_, r := network(t)
	for _, address := range []string{"127.0.0.1", "::1"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(address), 40000) // nobody needs to listen
		u := use(t, "send", to)
		list := r.whole(t, u)
		if got := whats(list); !slices.Equal(got, []uint32{Send, Send}) {
			t.Fatalf("%s: it did %v, want two sends", address, got)
		}
		for i, e := range list {
			c, want := e.Network, netip.AddrPortFrom(to.Addr(), to.Port()+uint16(i))
			if c.Remote != want || c.Local.String() != u.said || c.Sent != 100 || c.Protocol != unix.IPPROTO_UDP || c.Direction != Outbound || c.Namespace != namespace(t) || c.Duration != 0 || int(e.PPID) != os.Getpid() {
				t.Errorf("%+v of a child of %d, want to %v from %s", c, e.PPID, want, u.said)
			}
		}
	}
	c, err := net.Dial("udp", "127.0.0.1:40002")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	file, err := c.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	u := use(t, "send inherited", netip.AddrPort{}, file)
	u.end()
	events := r.until(t, exitOf(u.Process.Pid))
	from := netip.MustParseAddrPort(c.LocalAddr().String())
	i := slices.IndexFunc(events, func(e Event) bool { return e.Kind == Network && e.What == Send && e.Network.Local == from })
	if i < 0 || events[i].PID != 0 {
		t.Errorf("sent on a socket of this process by another one: event %d of %d, want nobody's", i, len(events))
	}
}

// TestSocketcall: what a program of 32 bits does by socketcall(2) is told.
func TestSocketcall(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("another architecture")
	}
	program := build(t, "sockets32", "-m32", "-nostdlib", "-fno-stack-protector")
	_, r := network(t)
	cmd := exec.Command(program)
	if err := cmd.Run(); err != nil {
		t.Skipf("a program of 32 bits: %v", err)
	}
	pid := cmd.Process.Pid
	list := socketEvents(r.until(t, exitOf(pid)), pid)
	if got, want := whats(list), []uint32{Listen, Connect, Accept, Send, Socket, UnixConnect}; len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Fatalf("it did %v, want %v first", got, want)
	}
	listener, connection, accepted, sent, raw, local := list[0].Network, list[1].Network, list[2].Network, list[3].Network, list[4].Network, list[5].Network
	if at := listener.Local; at.Port() == 0 || connection.Remote != at || accepted.Local != at || accepted.Remote != connection.Local || sent.Remote != at || sent.Sent != 10 {
		t.Errorf("listens at %v; connected %v, accepted %v, sent %v", at, connection, accepted, sent)
	}
	if raw.Type != unix.SOCK_RAW || raw.Protocol != unix.IPPROTO_ICMP || local.Path != "x" {
		t.Errorf("raw socket %+v, Unix socket %q", raw, local.Path)
	}
}

// TestSendLite: datagrams of UDP-Lite are told as those of UDP are.
func TestSendLite(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE)
	if err != nil {
		t.Skipf("UDP-Lite: %v", err)
	}
	_ = unix.Close(fd)
	_, r := network(t)
	for _, address := range []string{"127.0.0.1:40000", "[::1]:40000"} {
		to := netip.MustParseAddrPort(address)
		u := use(t, "send lite", to)
		list := r.whole(t, u)
		if got := whats(list); !slices.Equal(got, []uint32{Send}) {
			t.Fatalf("%s: it did %v, want one send", address, got)
		}
		if c := list[0].Network; c.Remote != to || c.Local.Port() == 0 || c.Sent != 100 || c.Protocol != unix.IPPROTO_UDPLITE || c.Direction != Outbound {
			t.Errorf("%+v, want to %v from %s", c, to, u.said)
		}
	}
}

// TestVsock: who listens, connects and accepts by vsock is told with where.
func TestVsock(t *testing.T) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Skipf("vsock: %v", err)
	}
	_ = unix.Close(fd)
	_, r := network(t)
	u := use(t, "vsock", netip.AddrPort{})
	var port uint32
	var errno int
	if _, err := fmt.Sscan(u.said, &port, &errno); err != nil {
		t.Fatal(err)
	}
	list := r.whole(t, u)
	want := []uint32{Listen, Connect, Accept}
	if errno != 0 { // nobody leads to the local address here: nothing is accepted
		want = want[:2]
	}
	if got := whats(list); !slices.Equal(got, want) {
		t.Fatalf("it did %v, want %v", got, want)
	}
	at, to := VMAddr{anyVM, port}, VMAddr{unix.VMADDR_CID_LOCAL, port}
	if c := list[0].Network; c.Family != FamilyVsock || c.LocalVM != at || c.RemoteVM != (VMAddr{}) || c.Direction != Listening || c.Error != 0 || c.Namespace != namespace(t) {
		t.Errorf("listen: %+v, want at %v", c, at)
	}
	if c := list[1].Network; c.RemoteVM != to || c.Direction != Outbound || c.Error != errno {
		t.Errorf("connect: %+v, want to %v, error %d", c, to, errno)
	}
	if errno == 0 {
		if c := list[2].Network; c.LocalVM.Port != port || c.RemoteVM != list[1].Network.LocalVM || c.Direction != Inbound {
			t.Errorf("accept: %+v, want at %v from %v", c, to, list[1].Network.LocalVM)
		}
	}
}

// TestDNS: a question and its answer are told of, with who has asked.
func TestDNS(t *testing.T) {
	_, r := network(t)
	for _, c := range []struct{ how, server string }{
		{"ask", "127.0.0.77:53"}, {"ask unconnected", "127.0.0.77:53"}, {"ask", "[::1]:53"},
	} {
		t.Run(c.how+" "+c.server, func(t *testing.T) {
			server, err := net.ListenPacket("udp", c.server)
			if err != nil {
				t.Skip(err)
			}
			var served sync.WaitGroup
			served.Go(func() {
				raw := make([]byte, 512)
				n, from, err := server.ReadFrom(raw)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = server.WriteTo(domainAnswer(t, raw[:n]), from)
			})
			u := use(t, c.how, netip.MustParseAddrPort(c.server))
			served.Wait()
			_ = server.Close()
			list := r.whole(t, u)
			if got := whats(list); !slices.Equal(got, []uint32{Send, DNSQuery, DNSResponse}) {
				t.Fatalf("it did %v, want send, query and response", got)
			}
			for _, e := range list {
				if n := e.Network; n.Remote.String() != c.server || n.Local.Port() != netip.MustParseAddrPort(u.said).Port() || n.Protocol != unix.IPPROTO_UDP {
					t.Errorf("%d: %+v, want %s asked by %s", e.What, n, c.server, u.said)
				}
			}
			if q := list[1].Network.DNS; q.Name != "Host.example" || q.Type != "A" || q.ID != 4711 || q.Cut || len(q.Addresses) != 0 {
				t.Errorf("question %+v", q)
			}
			a := list[2].Network.DNS
			if a.Name != "Host.example" || a.Type != "A" || a.Rcode != "NOERROR" || a.ID != 4711 || a.Cut || list[2].Network.Duration <= 0 ||
				!slices.Equal(a.Names, []string{"alias.example"}) || !slices.Equal(a.Addresses, []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}) {
				t.Errorf("answer %+v", a)
			}
		})
	}
}

// TestNotWanted: what is not wanted is not told, and costs no record.
func TestNotWanted(t *testing.T) {
	s := open(t, Config{})
	r := record(t, s)
	l, to := listen(t, "127.0.0.1:0")
	defer l.Close()
	u := use(t, "dial", to)
	if list := r.whole(t, u); len(list) != 0 {
		t.Errorf("%d events, want none", len(list))
	}
	if stats, err := s.Stats(); err != nil || stats.Sent[Network] != 0 {
		t.Errorf("%d records sent, error %v, want none", stats.Sent[Network], err)
	}
}

// TestNetworkLosses: when connections come faster than they are read, what was
// received and what is counted as lost is what was sent.
func TestNetworkLosses(t *testing.T) {
	s, err := Open(Config{RingBytes: 8192})
	if err != nil {
		t.Skip(err)
	}
	defer s.Close()
	if len(s.Limits()) > 0 {
		t.Skip(s.Limits())
	}
	if err := s.Want(Network, 1<<networkWhats-1); err != nil {
		t.Fatal(err)
	}
	l, to := listen(t, "127.0.0.1:0")
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	})
	var clients sync.WaitGroup
	for range runtime.NumCPU() {
		clients.Go(func() {
			for range 500 {
				c, err := net.DialTimeout("tcp", to.String(), time.Minute)
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.Close()
			}
		})
	}
	clients.Wait()
	_ = l.Close()
	all.Wait()
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	drain := func() (received bool) {
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		for {
			list, err := s.Read(nil)
			received = received || slices.ContainsFunc(list, func(e Event) bool { return e.Kind == Network })
			if errors.Is(err, ErrSynced) {
				return received
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	drain()
	for received := false; !received; received = drain() { // other processes fill the ring too
		if _, err := net.Dial("tcp", to.String()); err == nil {
			t.Fatal("nobody listens")
		}
	}
	stats, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if stats.Lost[Network] == 0 || stats.Received[Network]+stats.Lost[Network] != stats.Sent[Network] || stats.Malformed != 0 {
		t.Errorf("stats %+v, want received and lost to be what was sent", stats)
	}
}

// BenchmarkConnection is a connection on loopback from connect to the end, by
// itself, with a source that tells what it always does, and with all.
//
//	go test -run '^$' -bench Connection -benchtime 20000x -count 5 ./platform/bpf
func BenchmarkConnection(b *testing.B) {
	run := func(b *testing.B) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer unix.Close(fd)
		if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 16)); err != nil {
			b.Fatal(err)
		}
		at, err := unix.Getsockname(fd)
		if err != nil {
			b.Fatal(err)
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		used := func() time.Duration { // CPU time of this thread
			var u unix.Rusage
			if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
				b.Fatal(err)
			}
			return time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
		before := used()
		b.ResetTimer()
		for range b.N {
			c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				b.Fatal(err)
			}
			// An end without the states that wait, so that ports do not run out.
			err = unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			if err := errors.Join(err, unix.Connect(c, at)); err != nil {
				b.Fatal(err)
			}
			s, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
			if err := errors.Join(err, unix.Close(c), unix.Close(s)); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op")
	}
	b.Run("alone", run)
	for _, c := range []struct {
		name string
		mask uint64
	}{{"nothing", 0}, {"always", 1<<Connect | 1<<Accept | 1<<Listen | 1<<Socket}, {"all", 1<<networkWhats - 1}} {
		b.Run(c.name, func(b *testing.B) {
			s := open(b, Config{})
			if err := s.Want(Network, c.mask); err != nil {
				b.Fatal(err)
			}
			record(b, s)
			run(b)
		})
	}
}
