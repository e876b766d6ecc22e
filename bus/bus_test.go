package bus

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

// testTimeout is how long a test waits for what must come.
const testTimeout = 20 * time.Second

var allowAll = []Access{
	{Role: Operator, Verb: Publish, Name: "#"},
	{Role: Operator, Verb: Subscribe, Name: "#", Class: Wait},
	{Role: Operator, Verb: Request, Name: "#"},
	{Role: Collector, Verb: Publish, Name: "#"},
}

// startBroker serves on a socket in a temporary directory until the test ends.
func startBroker(tb testing.TB, cfg Config, setUp func(*Broker)) (*Broker, string) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "run", "agent.sock")
	broker, stop := serveAt(tb, path, cfg, setUp)
	tb.Cleanup(stop)
	return broker, path
}

// serveAt serves on path until stop, which waits for the end.
func serveAt(tb testing.TB, path string, cfg Config, setUp func(*Broker)) (broker *Broker, stop func()) {
	tb.Helper()
	broker, err := NewBroker(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	if setUp != nil {
		setUp(broker)
	}
	l, err := Listen(path)
	if err != nil {
		tb.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- broker.Serve(l) }()
	return broker, func() {
		if err := broker.Close(); err != nil {
			tb.Errorf("close broker: %v", err)
		}
		if err := <-served; err != nil {
			tb.Errorf("serve: %v", err)
		}
	}
}

func testContext(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	tb.Cleanup(cancel)
	return ctx
}

// dial connects as an operator until the test ends.
func dial(tb testing.TB, path string) *Conn {
	tb.Helper()
	return dialAs(tb, path, DialConfig{})
}

func dialAs(tb testing.TB, path string, cfg DialConfig) *Conn {
	tb.Helper()
	conn, err := Dial(testContext(tb), path, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// code is the code of the *Error in err, "" without one.
func code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestPublishSubscribe(t *testing.T) {
	broker, path := startBroker(t, Config{Access: allowAll}, nil)
	ctx := testContext(t)
	publisher, subscriber := dial(t, path), dial(t, path)
	sub, err := subscriber.Subscribe(ctx, "events.process.+", Wait)
	if err != nil {
		t.Fatal(err)
	}
	local, err := broker.Subscribe("#", Wait)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	if err := publisher.Publish(ctx, "events.network", []byte("other")); err != nil {
		t.Fatal(err)
	}
	if err := publisher.Publish(ctx, "events.process.exec", []byte("a"), nil, make([]byte, 70_000)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // only one publisher's frames have an order
		if _, err := local.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := broker.Publish(ctx, "events.process.exit", []byte("b")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		topic string
		sizes []int
	}{{"events.process.exec", []int{1, 0, 70_000}}, {"events.process.exit", []int{1}}} {
		d, err := sub.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if d.Topic != want.topic || d.Len() != len(want.sizes) || d.Missed != 0 {
			t.Errorf("Next() = %q with %d messages, %d missed, want %q with %d, 0", d.Topic, d.Len(), d.Missed, want.topic, len(want.sizes))
		}
		i := 0
		for m := range d.Messages() {
			if len(m) != want.sizes[i] {
				t.Errorf("message %d of %q has %d bytes, want %d", i, d.Topic, len(m), want.sizes[i])
			}
			i++
		}
	}
	if d, err := local.Next(ctx); err != nil || d.Topic != "events.process.exit" {
		t.Errorf("local Next() = %q, %v, want events.process.exit", d.Topic, err)
	}
	if st := broker.Stats(); st.In.Messages != 5 || st.Connections != 2 || len(st.Subscriptions) != 2 {
		t.Errorf("Stats() = %+v, want 5 messages in, 2 connections and subscriptions", st)
	}
}
