package bus

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// memory is an Ingester that stores in a list and acknowledges as a test wants.
type memory struct {
	mu     sync.Mutex
	stored map[string]uint64
	list   []string
	// after is called outside the lock, with whether m was new.
	after func(m *Ingest, fresh bool) error
}

func newMemory(after func(*Ingest, bool) error) *memory {
	return &memory{stored: map[string]uint64{}, after: after}
}

func (s *memory) Resume(_ context.Context, _ Peer, collector string) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored[collector], nil
}

// messages is what is stored so far.
func (s *memory) messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

func (s *memory) Ingest(_ context.Context, m *Ingest) error {
	s.mu.Lock()
	fresh := m.Sequence > s.stored[m.Collector]
	if fresh {
		s.stored[m.Collector] = m.Sequence
		for b := range m.Messages() {
			s.list = append(s.list, fmt.Sprint(m.Sequence, " ", m.Topic, " ", string(b)))
		}
	}
	s.mu.Unlock()
	return s.after(m, fresh)
}

func acknowledge(m *Ingest, _ bool) error { m.Ack(); return nil }

func serveCollector(tb testing.TB, path string, token Token, cfg Config, in Ingester) (*Broker, func()) {
	cfg.Access = []Access{{Role: Collector, Verb: Publish, Name: "events.#"}}
	return serveAt(tb, path, cfg, func(b *Broker) {
		b.AllowToken(token, 0)
		if err := b.HandleIngest("events.#", in); err != nil {
			tb.Fatal(err)
		}
	})
}

func newTestPublisher(tb testing.TB, path string, token Token, cfg PublisherConfig) *Publisher {
	cfg.Dial = func(ctx context.Context) (*Conn, error) { return Dial(ctx, path, DialConfig{Token: &token}) }
	cfg.Collector = "c1"
	cfg.MinBackoff, cfg.MaxBackoff = time.Millisecond, 5*time.Millisecond
	p := NewPublisher(cfg)
	tb.Cleanup(func() { _ = p.Close() })
	return p
}

// TestPublisherRestart restarts the broker again and again under a publisher:
// everything is stored, once, in order, whether the acknowledgement was lost
// or the frame was.
func TestPublisherRestart(t *testing.T) {
	path, token := filepath.Join(t.TempDir(), "agent.sock"), NewToken()
	ctx := testContext(t)
	const total = 3000
	// The broker is restarted whenever due is reached. That frame is stored
	// and not acknowledged; those after it are neither, until the restart.
	restart := make(chan struct{}, 1)
	var mu sync.Mutex
	due, duplicates, deaf, told := 200, 0, false, false
	memory := newMemory(func(m *Ingest, fresh bool) error {
		if !fresh {
			duplicates++
		}
		if int(m.Sequence) < due {
			m.Ack()
		}
		return nil
	})
	store := ingesterFunc{memory, func(ctx context.Context, m *Ingest) error {
		mu.Lock()
		defer mu.Unlock()
		if deaf {
			if !told { // from here on something has to be sent again
				told = true
				restart <- struct{}{}
			}
			return nil
		}
		err := memory.Ingest(ctx, m)
		if int(m.Sequence) == due {
			due += 690
			deaf = true
		}
		return err
	}}
	_, stop := serveCollector(t, path, token, Config{IngestFrames: 50}, store)
	p := newTestPublisher(t, path, token, PublisherConfig{MaxFrames: 100})
	done := make(chan error, 1)
	go func() {
		for i := range total {
			sequence, err := p.Publish(ctx, "events.process", fmt.Append(nil, i))
			if err == nil && sequence != uint64(i+1) {
				err = fmt.Errorf("sequence %d, want %d", sequence, i+1)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- p.Flush(ctx)
	}()
	for running := true; running; {
		select {
		case <-restart:
			stop()
			mu.Lock()
			deaf, told = false, false
			mu.Unlock()
			_, stop = serveCollector(t, path, token, Config{IngestFrames: 50}, store)
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			running = false
		}
	}
	defer stop()
	stored := store.messages()
	if len(stored) != total {
		t.Fatalf("%d messages are stored, want %d", len(stored), total)
	}
	for i, got := range stored {
		if want := fmt.Sprint(i+1, " events.process ", i); got != want {
			t.Fatalf("stored message %d is %q, want %q", i, got, want)
		}
	}
	if duplicates != 0 {
		t.Errorf("%d frames came though the agent had said that they are stored", duplicates)
	}
	if st := p.Stats(); st.Published != total || st.Acknowledged != total || st.PendingFrames != 0 || st.PendingBytes != 0 || st.Connects < 2 || st.Resent == 0 {
		t.Errorf("Stats() = %+v, want %d published and acknowledged, several connects, some resent", st, total)
	}
}

// TestPublisherFull: what exceeds the bounds is refused or waits, and nothing
// that was taken is lost.
func TestPublisherFull(t *testing.T) {
	path, token := filepath.Join(t.TempDir(), "agent.sock"), NewToken()
	ctx := testContext(t)
	p := newTestPublisher(t, path, token, PublisherConfig{MaxFrames: 2, MaxBody: 1000})
	for want := range uint64(2) {
		if got, err := p.TryPublish("events.process", []byte("x")); err != nil || got != want+1 {
			t.Errorf("TryPublish = %d, %v, want %d", got, err, want+1)
		}
	}
	if _, err := p.TryPublish("events.process", []byte("x")); !errors.Is(err, ErrFull) {
		t.Errorf("TryPublish on a full publisher = %v, want ErrFull", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := p.Publish(canceled, "events.process", []byte("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("Publish on a full publisher = %v, want to wait for the context", err)
	}
	if _, err := p.TryPublish("events.process", make([]byte, 1000)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("TryPublish of too much = %v, want ErrTooLarge", err)
	}
	if _, err := p.TryPublish("Events", nil); err == nil || errors.Is(err, ErrFull) {
		t.Errorf("TryPublish to an invalid topic = %v, want an error", err)
	}
	if st := p.Stats(); st.Refused != 1 || st.PendingFrames != 2 {
		t.Errorf("Stats() = %+v, want 1 refused, 2 pending", st)
	}
	store := newMemory(acknowledge)
	_, stop := serveCollector(t, path, token, Config{}, store)
	defer stop()
	if sequence, err := p.Publish(ctx, "events.process", []byte("x")); err != nil || sequence != 3 {
		t.Errorf("Publish when there is place again = %d, %v, want 3", sequence, err)
	}
	if err := p.Flush(ctx); err != nil {
		t.Error(err)
	}
	if stored := store.messages(); len(stored) != 3 {
		t.Errorf("stored %q, want 3 messages", stored)
	}
	_ = p.Close()
	if _, err := p.Publish(ctx, "events.process", []byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("Publish after Close = %v, want ErrClosed", err)
	}
}

// TestPublisherFail: a store that cannot store now gets the batch again.
func TestPublisherFail(t *testing.T) {
	path, token := filepath.Join(t.TempDir(), "agent.sock"), NewToken()
	ctx := testContext(t)
	failures := 3
	store := newMemory(func(m *Ingest, _ bool) error { m.Ack(); return nil })
	flaky := ingesterFunc{store, func(ctx context.Context, m *Ingest) error {
		if m.Sequence == 2 && failures > 0 {
			failures--
			return errors.New("disk full")
		}
		return store.Ingest(ctx, m)
	}}
	_, stop := serveCollector(t, path, token, Config{}, flaky)
	defer stop()
	reasons := make(chan error, 100)
	p := newTestPublisher(t, path, token, PublisherConfig{Log: func(err error) { reasons <- err }})
	for i := range 3 {
		if _, err := p.Publish(ctx, "events.process", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if stored := store.messages(); len(stored) != 3 {
		t.Errorf("stored %q, want 3 messages", stored)
	}
	if got := (<-reasons).Error(); got != "store batch 2: disk full" {
		t.Errorf("the publisher was told %q, want the store's reason", got)
	}
}

type ingesterFunc struct {
	*memory
	ingest func(context.Context, *Ingest) error
}

func (f ingesterFunc) Ingest(ctx context.Context, m *Ingest) error { return f.ingest(ctx, m) }

// TestCollectorIDInUse: numbers that the agent already has would be discarded.
func TestCollectorIDInUse(t *testing.T) {
	path, token := filepath.Join(t.TempDir(), "agent.sock"), NewToken()
	store := newMemory(acknowledge)
	store.stored["c1"] = 7
	_, stop := serveCollector(t, path, token, Config{}, store)
	defer stop()
	p := newTestPublisher(t, path, token, PublisherConfig{})
	_, err := p.Publish(testContext(t), "events.process", []byte("x"))
	if errors.Is(err, errSequences) {
		return // it had registered before
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(testContext(t)); !errors.Is(err, errSequences) {
		t.Errorf("Flush = %v, want that the id is not unique", err)
	}
}

// TestIngestProtocol looks at the frames: order of acknowledgements,
// duplicates, windows, and what a collector may not send.
func TestIngestProtocol(t *testing.T) {
	path, token := filepath.Join(t.TempDir(), "agent.sock"), NewToken()
	got := make(chan *Ingest, 10)
	store := newMemory(func(m *Ingest, _ bool) error { got <- m; return nil })
	broker, stop := serveCollector(t, path, token, Config{IngestFrames: 3}, store)
	defer stop()
	local, err := broker.Subscribe("events.#", Wait)
	if err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	frame := func(r *rawConn, sequence uint64, topic string) {
		r.send(header{kind: kindIngest, sequence: sequence}, r.pool.batch(topic, [][]byte{[]byte("x")}))
	}
	join := func(id string) *rawConn {
		r := dialRaw(t, path).greet(&token)
		r.send(header{kind: kindRegister}, r.pool.control(&register{Collector: id}))
		var limits registered
		if h := r.expect(kindRegistered, &limits); h.sequence != 0 || limits.Frames != 3 {
			t.Errorf("registered with %d stored, %d frames, want 0, 3", h.sequence, limits.Frames)
		}
		return r
	}
	r := join("raw")
	for _, sequence := range []uint64{1, 2, 2, 1, 3} {
		frame(r, sequence, "events.process")
	}
	one, two, three := <-got, <-got, <-got
	if one.Sequence != 1 || two.Sequence != 2 || three.Sequence != 3 {
		t.Errorf("the handler got %d, %d, %d, want 1, 2, 3", one.Sequence, two.Sequence, three.Sequence)
	}
	if got := broker.Stats().Duplicates; got != 2 {
		t.Errorf("Duplicates = %d, want 2", got)
	}
	if err := two.Forward(ctx); err != nil {
		t.Error(err)
	}
	if d, err := local.Next(ctx); err != nil || d.Topic != "events.process" || d.Len() != 1 {
		t.Errorf("the forwarded frame: %q, %v, want events.process", d.Topic, err)
	}
	two.Ack()
	two.Ack()
	one.Ack()
	if h := r.expect(kindAck, nil); h.sequence != 2 {
		t.Errorf("first acknowledgement is of %d, want 2: 1 was not stored before it", h.sequence)
	}
	for sequence := uint64(4); sequence <= 6; sequence++ { // the window is 3, and 3 is not acknowledged
		frame(r, sequence, "events.process")
	}
	if got := r.expectEnd(); got != CodeProtocol {
		t.Errorf("more than the window: code %q, want %q", got, CodeProtocol)
	}
	three.Ack() // of a connection that is gone: no harm

	early := dialRaw(t, path).greet(&token)
	frame(early, 1, "events.process")
	if got := early.expectEnd(); got != CodeProtocol {
		t.Errorf("ingest before registration: code %q, want %q", got, CodeProtocol)
	}
	other := join("other")
	frame(other, 1, "alerts.high")
	if got := other.expectEnd(); got != CodeDenied {
		t.Errorf("ingest of another topic: code %q, want %q", got, CodeDenied)
	}
	older := join("same")
	newer := join("same")
	if got := older.expectEnd(); got != CodeClosing {
		t.Errorf("the older connection of a collector: code %q, want %q", got, CodeClosing)
	}
	newer.send(header{kind: kindRegister}, newer.pool.control(&register{Collector: "again"}))
	if got := newer.expectEnd(); got != CodeProtocol {
		t.Errorf("registering twice: code %q, want %q", got, CodeProtocol)
	}
	operator := dialRaw(t, path).greet(nil)
	operator.send(header{kind: kindRegister}, operator.pool.control(&register{Collector: "raw"}))
	if got := operator.expectEnd(); got != CodeDenied {
		t.Errorf("an operator registers: code %q, want %q", got, CodeDenied)
	}
}

// TestPublisherOnConnect uses the publisher's connection for other things too.
func TestPublisherOnConnect(t *testing.T) {
	path, token := filepath.Join(t.TempDir(), "agent.sock"), NewToken()
	store := newMemory(acknowledge)
	broker, stop := serveCollector(t, path, token, Config{}, store)
	defer stop()
	local, err := broker.Subscribe("events.hello", Wait)
	if err != nil {
		t.Fatal(err)
	}
	newTestPublisher(t, path, token, PublisherConfig{OnConnect: func(ctx context.Context, c *Conn) error {
		return c.Publish(ctx, "events.hello", []byte("x"))
	}})
	if _, err := local.Next(testContext(t)); err != nil {
		t.Error(err)
	}
}
