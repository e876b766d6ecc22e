package bus

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be another process that connects: with
// BUS_TEST_DIAL it dials that path, as a collector if BUS_TEST_TOKEN is set,
// and prints the outcome.
func TestMain(m *testing.M) {
	path := os.Getenv("BUS_TEST_DIAL")
	if path == "" {
		os.Exit(m.Run())
	}
	var cfg DialConfig
	if s := os.Getenv("BUS_TEST_TOKEN"); s != "" {
		cfg.Token = new(Token)
		if _, err := hex.Decode(cfg.Token[:], []byte(s)); err != nil {
			panic(err)
		}
	}
	conn, err := Dial(context.Background(), path, cfg)
	if err != nil {
		fmt.Print(code(err), ": ", err)
		return
	}
	_ = conn.Close()
	fmt.Print("connected")
}

// dialInChild connects from another process, which has the credentials given.
func dialInChild(t *testing.T, path string, token *Token, cred *syscall.Credential) string {
	t.Helper()
	// The magic link is followed even where the path to the binary is not open to the child.
	cmd := exec.CommandContext(testContext(t), "/proc/self/exe")
	cmd.Env = []string{"BUS_TEST_DIAL=" + path}
	cmd.Dir = "/"
	if token != nil {
		cmd.Env = append(cmd.Env, "BUS_TEST_TOKEN="+hex.EncodeToString(token[:]))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	return string(out)
}

func TestCollectorToken(t *testing.T) {
	broker, path := startBroker(t, Config{}, nil)
	good, wrongPID, anyPID := NewToken(), NewToken(), NewToken()
	broker.AllowToken(good, os.Getpid())
	broker.AllowToken(wrongPID, os.Getpid()+1)
	broker.AllowToken(anyPID, 0)
	unknown := NewToken()
	try := func(token Token) string {
		conn, err := Dial(testContext(t), path, DialConfig{Token: &token})
		if err == nil {
			_ = conn.Close()
		}
		return code(err)
	}
	for _, tt := range []struct {
		name  string
		token Token
		want  string
	}{
		{"good", good, ""},
		{"reconnect", good, ""},
		{"unknown", unknown, CodeRefused},
		{"wrong pid", wrongPID, CodeRefused},
		{"first pid", anyPID, ""},
		{"first pid again", anyPID, ""},
	} {
		if got := try(tt.token); got != tt.want {
			t.Errorf("dial with a token, %s: code %q, want %q", tt.name, got, tt.want)
		}
	}
	if out := dialInChild(t, path, &anyPID, nil); !strings.HasPrefix(out, CodeRefused) {
		t.Errorf("dial from a second process with a used token: %s, want it refused", out)
	}
	broker.RevokeToken(good)
	if got := try(good); got != CodeRefused {
		t.Errorf("dial with a revoked token: code %q, want %q", got, CodeRefused)
	}
	if st := broker.Stats(); st.Refused != 4 || st.Accepted != 4 {
		t.Errorf("Stats() = %d refused, %d accepted, want 4, 4", st.Refused, st.Accepted)
	}
}

// TestReplayedMAC sends what was good on one connection on another.
func TestReplayedMAC(t *testing.T) {
	broker, path := startBroker(t, Config{}, nil)
	token := NewToken()
	broker.AllowToken(token, os.Getpid())
	first := dialRaw(t, path).greet(&token)
	second := dialRaw(t, path)
	second.expect(kindServerHello, &serverHello{})
	second.write(first.hello)
	if got := second.expectEnd(); got != CodeRefused {
		t.Errorf("replayed hello: code %q, want %q", got, CodeRefused)
	}
}

// TestWrongAgent: a collector does not talk to who does not know its token.
func TestWrongAgent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.AcceptUnix()
		if err != nil {
			done <- err
			return
		}
		defer conn.Close()
		var o pool
		_, _ = conn.Write(encodeFrame(header{kind: kindServerHello}, o.control(&serverHello{Version: 1, Nonce: newNonce()})))
		r := newFrameReader(conn, &o, 1<<20)
		if _, _, err = r.next(); err == nil {
			_, err = conn.Write(encodeFrame(header{kind: kindWelcome}, o.control(&welcome{MAC: newNonce(), MaxBody: 1, PublishWindow: 1})))
		}
		_, _, _ = r.next() // until the other side is gone
		done <- err
	}()
	token := NewToken()
	conn, err := Dial(testContext(t), path, DialConfig{Token: &token})
	if err == nil || !strings.Contains(err.Error(), "does not know the token") {
		t.Errorf("Dial to a false agent = %v, %v, want an error about the token", conn, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestOperatorCredentials(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be other users")
	}
	const nobody, allowed = 65534, 65533
	_, path := startBroker(t, Config{OperatorUIDs: []uint32{allowed}}, nil)
	for dir := filepath.Dir(path); strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out := dialInChild(t, path, nil, &syscall.Credential{Uid: nobody, Gid: nobody}); !strings.Contains(out, "permission denied") {
		t.Errorf("a stranger: %s, want permission denied by the socket's mode", out)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		cred syscall.Credential
		want string
	}{
		{"stranger", syscall.Credential{Uid: nobody, Gid: nobody}, CodeRefused},
		{"configured", syscall.Credential{Uid: allowed, Gid: nobody}, "connected"},
		{"group", syscall.Credential{Uid: nobody, Gid: 0}, "connected"},
		{"second group", syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{7, 0}}, "connected"},
		{"root", syscall.Credential{Uid: 0, Gid: nobody}, "connected"},
	} {
		if out := dialInChild(t, path, nil, &tt.cred); !strings.HasPrefix(out, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, out, tt.want)
		}
	}
}

// TestSilentPeer: who does not finish the handshake is disconnected.
func TestSilentPeer(t *testing.T) {
	_, path := startBroker(t, Config{HandshakeTimeout: 20 * time.Millisecond}, nil)
	r := dialRaw(t, path)
	if got := r.expectEnd(); got != "" {
		t.Errorf("silent peer: code %q, want just the end", got)
	}
}

// TestCredentials compares with what this process knows of itself.
func TestCredentials(t *testing.T) {
	_, path := startBroker(t, Config{Access: allowAll}, func(b *Broker) {
		_ = b.HandleRequest("who", func(ctx context.Context, c *Call) error {
			return c.Finish(ctx, fmt.Append(nil, c.Peer.PID, " ", c.Peer.UID, " ", c.Peer.GID, " ", c.Peer.Role))
		})
	})
	conn := dial(t, path)
	got, err := conn.Call(testContext(t), "who", nil)
	want := fmt.Sprint(os.Getpid(), " ", os.Geteuid(), " ", os.Getegid(), " ", Operator)
	if err != nil || string(got) != want {
		t.Errorf("the broker's peer is %q, %v, want %q", got, err, want)
	}
	if conn.Peer().PID != os.Getpid() {
		t.Errorf("Peer().PID = %d, want %d", conn.Peer().PID, os.Getpid())
	}
}

func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "agent.sock")
	_, stop := serveAt(t, path, Config{}, nil)
	for name, want := range map[string]os.FileMode{filepath.Dir(path): os.ModeDir | 0o750, path: os.ModeSocket | 0o660} {
		if info, err := os.Lstat(name); err != nil || info.Mode() != want {
			t.Errorf("mode of %s = %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("Listen where a broker is = %v, want that another process answers", err)
	}
	dial(t, path)
	stop()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket after Close: %v, want none", err)
	}

	// A socket whose process has died.
	ul, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ul.SetUnlinkOnClose(false)
	_ = ul.Close()
	_, stop = serveAt(t, path, Config{}, nil)
	dial(t, path)
	stop()

	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("Listen where a file is = %v, want that it is not a socket", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "x" {
		t.Errorf("the file is %q, %v, want it unchanged", b, err)
	}
}

// TestReplacedSocket: Close leaves a socket that is not its own.
func TestReplacedSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the second socket after the first's Close: %v", err)
	}
}

func TestLongPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("d/", 60)+strings.Repeat("e", 100), "agent.sock")
	_, stop := serveAt(t, path, Config{Access: allowAll}, nil)
	conn := dial(t, path)
	if err := conn.Publish(testContext(t), "a", nil); err != nil {
		t.Error(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("Listen where a broker is = %v, want that another process answers", err)
	}
	stop()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket after Close: %v, want none", err)
	}
}

// Clients, however many, leave room for a collector.
func TestPlacesForCollectors(t *testing.T) {
	var mu sync.Mutex
	var refused []Peer
	broker, path := startBroker(t, Config{MaxConns: 4, ReservedConns: 1, Log: func(e Event) {
		if e.Kind == EventRefused {
			mu.Lock()
			defer mu.Unlock()
			refused = append(refused, e.Peer)
		}
	}}, nil)
	for range 3 {
		dial(t, path)
	}
	if _, err := Dial(testContext(t), path, DialConfig{}); code(err) != CodeLimit {
		t.Errorf("a fourth client: %v, want code %q", err, CodeLimit)
	}
	if out := dialInChild(t, path, nil, nil); !strings.HasPrefix(out, CodeLimit) {
		t.Errorf("a client of another process: %q, want code %q", out, CodeLimit)
	}
	token := NewToken()
	broker.AllowToken(token, os.Getpid())
	if _, err := Dial(testContext(t), path, DialConfig{}); code(err) != CodeLimit { // the process that is to collect, but not with the token
		t.Errorf("a client of the collector's process: %v, want code %q", err, CodeLimit)
	}
	conn, err := Dial(testContext(t), path, DialConfig{Token: &token})
	if err != nil {
		t.Fatalf("the collector: %v", err)
	}
	defer func() { _ = conn.Close() }()
	mu.Lock()
	defer mu.Unlock()
	if len(refused) != 3 || refused[0].PID != os.Getpid() || int(refused[0].UID) != os.Getuid() || refused[1].PID == os.Getpid() || refused[1].PID == 0 {
		t.Errorf("refused %+v, want three peers as the kernel knows them", refused)
	}
}
