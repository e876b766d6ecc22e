package bus

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

func echo(b *Broker) {
	_ = b.HandleRequest("echo", func(ctx context.Context, c *Call) error { return c.Finish(ctx, c.Body) })
}

// TestMalformedFrames: each ends its own connection; another goes on working.
func TestMalformedFrames(t *testing.T) {
	broker, path := startBroker(t, Config{Access: allowAll, MaxBody: 64 << 10, PublishWindow: 4096}, echo)
	ctx := testContext(t)
	bystander := dial(t, path)
	var o pool
	change := func(at int, b ...byte) []byte {
		frame := encodeFrame(header{kind: kindPublish}, o.batch("a", [][]byte{[]byte("m")}))
		copy(frame[at:], b)
		return reseal(frame)
	}
	frame := func(h header, topic string, body ...byte) []byte {
		if topic == "" && len(body) == 0 {
			return encodeFrame(h, nil)
		}
		return encodeFrame(h, o.plain(topic, body))
	}
	control := func(h header, v any) []byte { return encodeFrame(h, o.control(v)) }
	wrongSum := change(0)
	wrongSum[len(wrongSum)-1] ^= 1
	var noCredit []byte
	for range 3 {
		noCredit = append(noCredit, encodeFrame(header{kind: kindPublish}, o.batch("held", [][]byte{make([]byte, 4096)}))...)
	}
	held, err := broker.Subscribe("held", Wait)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for range 2 { // so that its queue is full, and no credit comes back
		if err := broker.Publish(ctx, "held", make([]byte, 32<<10)); err != nil {
			t.Fatal(err)
		}
	}
	held.q.mu.Lock()
	held.q.limit = 1
	held.q.mu.Unlock()
	cases := []struct {
		name string
		raw  []byte
	}{
		{"magic", change(0, 'X')},
		{"version", change(3, 2)},
		{"kind 0", change(4, 0)},
		{"unknown kind", change(4, 200)},
		{"flags", change(5, 2)},
		{"long topic", change(6, 0xff, 0xff)},
		{"oversize", change(8, 1, 0, 1, 0)},
		{"four gigabytes", change(8, 0xff, 0xff, 0xff, 0xff)},
		{"checksum", wrongSum},
		{"text", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
		{"publish without body", frame(header{kind: kindPublish}, "")},
		{"publish of no array", frame(header{kind: kindPublish}, "a", 0xc0)},
		{"publish of no messages", frame(header{kind: kindPublish}, "a", 0x90)},
		{"publish of no bins", frame(header{kind: kindPublish}, "a", 0x91, 0x01)},
		{"publish of a short bin", frame(header{kind: kindPublish}, "a", 0x91, 0xc4, 9, 1)},
		{"publish with a tail", frame(header{kind: kindPublish}, "a", 0x91, 0xc4, 1, 1, 1)},
		{"publish of 2^32 messages", frame(header{kind: kindPublish}, "a", 0xdd, 0xff, 0xff, 0xff, 0xff)},
		{"topic", frame(header{kind: kindPublish}, "A..b", 0x91, 0xc4, 0)},
		{"pattern as topic", frame(header{kind: kindPublish}, "a.#", 0x91, 0xc4, 0)},
		{"publish without credit", noCredit},
		{"hello again", control(header{kind: kindClientHello}, &clientHello{Role: Operator})},
		{"deliver", frame(header{kind: kindDeliver}, "a", 0x91, 0xc4, 0)},
		{"reply", frame(header{kind: kindReply, correlation: 1}, "", 1)},
		{"ack", frame(header{kind: kindAck}, "")},
		{"error", frame(header{kind: kindError}, "")},
		{"subscribe without body", frame(header{kind: kindSubscribe, correlation: 1}, "")},
		{"subscribe of garbage", frame(header{kind: kindSubscribe, correlation: 1}, "", 0x93, 0xc1, 0xc1, 0xc1)},
		{"subscribe to no pattern", control(header{kind: kindSubscribe, correlation: 1}, &subscribe{Pattern: "a.#.b", Window: 1})},
		{"subscribe without window", control(header{kind: kindSubscribe, correlation: 1}, &subscribe{Pattern: "a"})},
		{"subscribe in no class", control(header{kind: kindSubscribe, correlation: 1}, &subscribe{Pattern: "a", Class: 7, Window: 1})},
		{"subscribe as 0", control(header{kind: kindSubscribe}, &subscribe{Pattern: "a", Window: 1})},
		{"subscribe twice as 1", append(
			control(header{kind: kindSubscribe, correlation: 1}, &subscribe{Pattern: "a", Window: 1}),
			control(header{kind: kindSubscribe, correlation: 1}, &subscribe{Pattern: "b", Window: 1})...)},
		{"request without name", frame(header{kind: kindRequest, correlation: 1, sequence: 1}, "", 1)},
		{"request as 0", frame(header{kind: kindRequest, sequence: 1}, "echo")},
		{"request without window", frame(header{kind: kindRequest, correlation: 1}, "echo")},
		{"request of no name", frame(header{kind: kindRequest, correlation: 1, sequence: 1}, "#")},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			before := broker.Stats().Malformed
			r := dialRaw(t, path).greet(nil)
			// The broker may hang up before it has read all of it.
			_, _ = r.Write(tt.raw)
			if got := r.expectEnd(); got != CodeProtocol {
				t.Errorf("code %q, want %q", got, CodeProtocol)
			}
			if got := broker.Stats().Malformed - before; got != 1 {
				t.Errorf("%d connections counted as malformed, want 1", got)
			}
			if got, err := bystander.Call(ctx, "echo", []byte("x")); err != nil || string(got) != "x" {
				t.Errorf("the other connection: echo = %q, %v, want x", got, err)
			}
		})
	}
	t.Run("large before the handshake", func(t *testing.T) {
		r := dialRaw(t, path)
		_, _ = r.Write(frame(header{kind: kindClientHello}, "", make([]byte, handshakeLimit+1)...))
		if got := r.expectEnd(); got != CodeProtocol {
			t.Errorf("code %q, want %q", got, CodeProtocol)
		}
	})
	t.Run("half a frame", func(t *testing.T) {
		r := dialRaw(t, path).greet(nil)
		r.write(change(0)[:headerSize+2])
		_ = r.CloseWrite()
		if got := r.expectEnd(); got != "" {
			t.Errorf("code %q, want just the end", got)
		}
	})
	if got, err := bystander.Call(ctx, "echo", []byte("x")); err != nil || string(got) != "x" {
		t.Errorf("the other connection: echo = %q, %v, want x", got, err)
	}
}

func TestAccessTable(t *testing.T) {
	broker, path := startBroker(t, Config{Access: []Access{
		{Role: Operator, Verb: Subscribe, Name: "events.#"},
		{Role: Operator, Verb: Request, Name: "echo"},
		{Role: Operator, Verb: Request, Name: "listed"},
		{Role: Collector, Verb: Publish, Name: "events.#"},
	}}, func(b *Broker) {
		echo(b)
		_ = b.HandleRequest("secret", func(context.Context, *Call) error { return nil })
	})
	ctx := testContext(t)
	token := NewToken()
	broker.AllowToken(token, 0)
	collector := func() *Conn { return dialAs(t, path, DialConfig{Token: &token}) }

	operator := dial(t, path)
	for _, tt := range []struct {
		pattern string
		class   Class
		want    string
	}{
		{"events.#", Shed, ""},
		{"events.process", Shed, ""},
		{"events.process", Wait, CodeDenied},
		{"#", Shed, CodeDenied},
		{"alerts.high", Shed, CodeDenied},
	} {
		_, err := operator.Subscribe(ctx, tt.pattern, tt.class)
		if got := code(err); got != tt.want || (err != nil) != (tt.want != "") {
			t.Errorf("operator subscribes to %q, class %s: %v, want code %q", tt.pattern, tt.class, err, tt.want)
		}
	}
	for name, want := range map[string]string{"echo": "", "secret": CodeDenied, "other": CodeDenied, "listed": CodeNotServed} {
		if _, err := operator.Call(ctx, name, nil); code(err) != want {
			t.Errorf("operator requests %q: %v, want code %q", name, err, want)
		}
	}
	if err := operator.Publish(ctx, "events.process", []byte("x")); err != nil {
		t.Error(err)
	}
	<-operator.Done()
	if got := code(operator.Err()); got != CodeDenied {
		t.Errorf("operator's connection after a publish that is not listed: code %q, want %q", got, CodeDenied)
	}

	c := collector()
	local, err := broker.Subscribe("events.#", Wait)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	if err := c.Publish(ctx, "events.process", []byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := local.Next(ctx); err != nil {
		t.Error(err)
	}
	for what, do := range map[string]func(*Conn) error{
		"subscribe": func(c *Conn) error { _, err := c.Subscribe(ctx, "events.#", Shed); return err },
		"request":   func(c *Conn) error { _, err := c.Call(ctx, "echo", nil); return err },
	} {
		c := collector()
		if err := do(c); code(err) != CodeDenied {
			t.Errorf("collector's %s: %v, want code %q", what, err, CodeDenied)
		}
		<-c.Done()
	}
	if got := broker.Stats().Denied; got != 8 {
		t.Errorf("Stats().Denied = %d, want 8", got)
	}
	for _, row := range []Access{
		{Role: "admin", Verb: Publish, Name: "a"}, {Role: Operator, Verb: "read", Name: "a"}, {Role: Operator, Verb: Publish, Name: "A"},
	} {
		if _, err := NewBroker(Config{Access: []Access{row}}); err == nil {
			t.Errorf("NewBroker accepts the row %+v", row)
		}
	}
}

func numbered(n int, size int) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, size, size+8), uint64(n))
}

func number(m []byte) int { return int(binary.BigEndian.Uint64(m[len(m)-8:])) }

// TestShed: a watcher that does not read loses the oldest, is told how many,
// and holds nobody back.
func TestShed(t *testing.T) {
	broker, path := startBroker(t, Config{Access: allowAll, QueueBytes: 16 << 10}, nil)
	ctx := testContext(t)
	sub, err := dialAs(t, path, DialConfig{Window: 8 << 10}).Subscribe(ctx, "a", Shed)
	if err != nil {
		t.Fatal(err)
	}
	last, err := broker.Subscribe("a", Wait) // routed after sub
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	publisher := dial(t, path)
	const frames, perFrame = 200, 3
	n := 0
	for range frames {
		if err := publisher.Publish(ctx, "a", numbered(n, 300), numbered(n+1, 300), numbered(n+2, 300)); err != nil {
			t.Fatal(err)
		}
		n += perFrame
		if _, err := last.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
	got, missed, next := 0, 0, 0
	for next < n {
		d, err := sub.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		missed += int(d.Missed)
		next += int(d.Missed)
		for m := range d.Messages() {
			if number(m) != next {
				t.Fatalf("message %d, want %d, after %d missed", number(m), next, missed)
			}
			next++
			got++
		}
	}
	if missed == 0 || got == 0 || got+missed != n {
		t.Errorf("%d messages and %d missed of %d", got, missed, n)
	}
	st := broker.Stats()
	if st.Dropped != uint64(missed) || st.Subscriptions[0].Dropped != uint64(missed) || st.Subscriptions[0].Messages != uint64(n) {
		t.Errorf("Stats() = %+v, want %d dropped of %d", st, missed, n)
	}
}

// TestWait: a subscriber that does not read holds the publisher back, without
// blocking what else is on the connections, and in the end has everything.
func TestWait(t *testing.T) {
	const window = 8 << 10
	broker, path := startBroker(t, Config{Access: allowAll, QueueBytes: window, PublishWindow: window}, echo)
	ctx := testContext(t)
	subscriber := dialAs(t, path, DialConfig{Window: window})
	sub, err := subscriber.Subscribe(ctx, "a", Wait)
	if err != nil {
		t.Fatal(err)
	}
	publisher := dial(t, path)
	const size = 1000
	// Three windows, each overdrawn by a frame, and one on its way.
	const most = 3*window/size + 4
	n := 0
	for {
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		err := publisher.Publish(short, "a", numbered(n, size-8))
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if n++; n > most {
			t.Fatalf("%d messages were accepted and none read, want at most %d", n, most)
		}
	}
	for _, conn := range []*Conn{publisher, subscriber} {
		if _, err := conn.Call(ctx, "echo", nil); err != nil {
			t.Errorf("a request while publishing is held back: %v", err)
		}
	}
	const total = 500
	done := make(chan error, 1)
	go func() {
		for i := n; i < total; i++ {
			if err := publisher.Publish(ctx, "a", numbered(i, size-8)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for want := range total {
		d, err := sub.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for m := range d.Messages() {
			if number(m) != want || d.Missed != 0 {
				t.Fatalf("message %d after %d missed, want %d after 0", number(m), d.Missed, want)
			}
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := broker.Stats().Dropped; got != 0 {
		t.Errorf("Dropped = %d, want 0", got)
	}
}

func TestLimits(t *testing.T) {
	release := make(chan struct{})
	broker, path := startBroker(t, Config{Access: allowAll, MaxConns: 2, MaxSubscriptions: 2, MaxRequests: 2, MaxBody: 1000}, func(b *Broker) {
		_ = b.HandleRequest("held", func(ctx context.Context, c *Call) error {
			if err := c.Reply(ctx, []byte("started")); err != nil {
				return err
			}
			<-release
			return nil
		})
	})
	ctx := testContext(t)
	conn := dial(t, path)
	second := dial(t, path)
	if _, err := Dial(ctx, path, DialConfig{}); code(err) != CodeLimit {
		t.Errorf("a third connection: %v, want code %q", err, CodeLimit)
	}
	_ = second.Close()
	for { // until the broker has noticed
		third, err := Dial(ctx, path, DialConfig{})
		if err == nil {
			_ = third.Close()
			break
		}
		if code(err) != CodeLimit {
			t.Fatal(err)
		}
	}
	var subs []*Subscription
	for range 2 {
		sub, err := conn.Subscribe(ctx, "a", Shed)
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, sub)
	}
	if _, err := conn.Subscribe(ctx, "a", Shed); code(err) != CodeLimit {
		t.Errorf("a third subscription: %v, want code %q", err, CodeLimit)
	}
	subs[0].Close()
	if _, err := subs[0].Next(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("Next after Close = %v, want ErrClosed", err)
	}
	if _, err := conn.Subscribe(ctx, "a", Shed); err != nil {
		t.Errorf("a subscription after one was closed: %v", err)
	}
	var held []*Replies
	for range 2 {
		r, err := conn.Request(ctx, "held", nil)
		if err == nil {
			_, err = r.Next(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, r)
	}
	if _, err := conn.Call(ctx, "held", nil); code(err) != CodeLimit {
		t.Errorf("a third request: %v, want code %q", err, CodeLimit)
	}
	close(release)
	for _, r := range held {
		if _, err := r.Next(ctx); err == nil {
			t.Error("a reply after the last")
		}
	}
	large := make([]byte, 1001)
	_, err := conn.Request(ctx, "held", large)
	for what, err := range map[string]error{
		"Publish": conn.Publish(ctx, "a", large), "Request": err, "Broker.Publish": broker.Publish(ctx, "a", large),
	} {
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s of 1001 bytes: %v, want ErrTooLarge", what, err)
		}
	}
}

// TestFlood: a peer that asks and never reads is disconnected.
func TestFlood(t *testing.T) {
	_, path := startBroker(t, Config{}, nil)
	r := dialRaw(t, path).greet(nil)
	frame := encodeFrame(header{kind: kindRequest, correlation: 1, sequence: 1}, r.pool.plain("nothing", nil))
	var err error
	for n := 0; err == nil; n++ {
		if n > maxPending {
			t.Fatal("the broker answers forever")
		}
		_, err = r.Write(frame)
	}
}

// TestNoLeak: Close leaves no goroutine of the package, whatever was going on.
func TestNoLeak(t *testing.T) {
	broker, path := startBroker(t, Config{Access: allowAll, QueueBytes: 1, PublishWindow: 1}, func(b *Broker) {
		_ = b.HandleRequest("wait", func(ctx context.Context, c *Call) error {
			if err := c.Reply(ctx, []byte("started")); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		})
	})
	ctx := testContext(t)
	publisher, subscriber := dial(t, path), dialAs(t, path, DialConfig{Window: 1})
	if _, err := subscriber.Subscribe(ctx, "a", Wait); err != nil {
		t.Fatal(err)
	}
	local, err := broker.Subscribe("a", Wait)
	if err != nil {
		t.Fatal(err)
	}
	replies, err := publisher.Request(ctx, "wait", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := replies.Next(ctx); err != nil {
		t.Fatal(err)
	}
	dialRaw(t, path) // in its handshake
	blocked := make(chan error, 1)
	go func() {
		for {
			if err := publisher.Publish(ctx, "a", []byte("x")); err != nil {
				blocked <- err
				return
			}
		}
	}()
	if _, err := local.Next(ctx); err != nil {
		t.Fatal(err)
	}
	if err := broker.Close(); err != nil {
		t.Error(err)
	}
	if err := <-blocked; code(err) != CodeClosing && !errors.Is(err, ErrLost) {
		t.Errorf("Publish when the broker closes: %v, want code %q", err, CodeClosing)
	}
	if _, err := replies.Next(ctx); err == nil {
		t.Error("replies go on after the broker has closed")
	}
	for err = nil; err == nil; { // after what was queued
		_, err = local.Next(ctx)
	}
	if !errors.Is(err, ErrClosed) {
		t.Errorf("a local Next when the broker is closed: %v, want ErrClosed", err)
	}
	_ = publisher.Close()
	_ = subscriber.Close()
	deadline := time.Now().Add(testTimeout)
	for {
		left := packageGoroutines()
		if left == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("goroutines left:\n%s", left)
		}
		runtime.Gosched()
	}
}

// packageGoroutines are the stacks that were started by the package's own code.
func packageGoroutines() string {
	buf := make([]byte, 1<<20)
	stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	var left []string
	for _, s := range stacks {
		_, by, found := strings.Cut(s, "created by ")
		if found && strings.HasPrefix(by, "daemoneye/bus.") && !strings.Contains(by, "_test.go") {
			left = append(left, s)
		}
	}
	return strings.Join(left, "\n\n")
}

// An agent that ends has no peers any more, but still tells its own sinks.
func TestDisconnectKeepsLocalSubscriptions(t *testing.T) {
	broker, path := startBroker(t, Config{Access: allowAll}, echo)
	ctx := testContext(t)
	conn := dial(t, path)
	local, err := broker.Subscribe("alerts.+", Wait)
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Disconnect(); err != nil {
		t.Fatal(err)
	}
	<-conn.Done()
	if _, err := Dial(ctx, path, DialConfig{}); err == nil {
		t.Error("a connection was accepted after Disconnect")
	}
	if err := broker.Publish(ctx, "alerts.high", []byte("last words")); err != nil {
		t.Fatal(err)
	}
	if d, err := local.Next(ctx); err != nil || d.Len() != 1 {
		t.Errorf("Next = %d messages, %v, want 1", d.Len(), err)
	}
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Next(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("Next after Close = %v, want %v", err, ErrClosed)
	}
	if err := broker.Publish(ctx, "alerts.high", []byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("Publish after Close = %v, want %v", err, ErrClosed)
	}
}
