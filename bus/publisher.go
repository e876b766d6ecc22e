package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// PublisherConfig says how a Publisher connects and how much it keeps. Zero
// values are defaults, but for Dial and Collector.
type PublisherConfig struct {
	// Dial connects, as a collector. It is called again after each loss.
	Dial func(context.Context) (*Conn, error)
	// Collector is the id under which sequences count; a new one for each
	// start of the process.
	Collector string

	MaxBytes  int // unacknowledged bytes kept; default 16 MiB
	MaxFrames int // unacknowledged frames kept; default 4096
	MaxBody   int // bytes of one frame; default 1 MiB

	MinBackoff time.Duration // before the first retry; default 50 ms, doubled each time
	MaxBackoff time.Duration // default 5 s

	// OnConnect is called with each new connection, before anything is sent
	// again; it may subscribe and publish on it. An error drops the connection.
	OnConnect func(context.Context, *Conn) error
	// Log is told why the connection was lost or could not be made.
	Log func(error)
}

// PublisherStats are a publisher's counters.
type PublisherStats struct {
	Published     uint64 // frames taken
	Acknowledged  uint64 // frames
	Resent        uint64 // frames sent again after a reconnect
	Refused       uint64 // TryPublish with ErrFull
	Connects      uint64
	PendingFrames int // not acknowledged
	PendingBytes  int
	Connected     bool
}

// Publisher publishes reliably: it numbers frames 1, 2, 3, …, keeps each until
// the agent has acknowledged that it is stored, and after a lost connection
// connects again and sends what is not acknowledged, in order. When it keeps
// as much as it may, Publish waits and TryPublish refuses.
type Publisher struct {
	cfg    PublisherConfig
	pool   pool
	cancel context.CancelCauseFunc
	done   chan struct{}
	wake   chan struct{} // holds a token after a frame was added

	mu        sync.Mutex
	frames    []reliableFrame // not acknowledged, oldest first
	sent      int             // of these, sent on this connection
	sentBytes int
	ever      uint64 // highest sequence sent on any connection
	bytes     int
	last      uint64 // highest sequence given
	err       error  // why nothing more is taken
	changed   chan struct{}
	stats     PublisherStats
}

type reliableFrame struct {
	sequence uint64
	payload  *payload
}

// NewPublisher starts a publisher; Close stops it.
func NewPublisher(cfg PublisherConfig) *Publisher {
	cfg.MaxBytes = orDefault(cfg.MaxBytes, 16<<20)
	cfg.MaxFrames = orDefault(cfg.MaxFrames, 4096)
	cfg.MaxBody = orDefault(cfg.MaxBody, 1<<20)
	cfg.MinBackoff = orDefault(cfg.MinBackoff, 50*time.Millisecond)
	cfg.MaxBackoff = orDefault(cfg.MaxBackoff, 5*time.Second)
	if cfg.Log == nil {
		cfg.Log = func(error) {}
	}
	p := &Publisher{cfg: cfg, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancelCause(context.Background())
	p.cancel = cancel
	go p.run(ctx)
	return p
}

// Publish takes messages of one topic as one frame and returns its sequence.
// It waits while the publisher is full. The messages' bytes are copied.
func (p *Publisher) Publish(ctx context.Context, topic string, messages ...[]byte) (uint64, error) {
	for {
		sequence, changed, err := p.add(topic, messages)
		if !errors.Is(err, ErrFull) {
			return sequence, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// TryPublish is Publish that returns ErrFull instead of waiting, and counts that.
func (p *Publisher) TryPublish(topic string, messages ...[]byte) (uint64, error) {
	sequence, _, err := p.add(topic, messages)
	if errors.Is(err, ErrFull) {
		p.mu.Lock()
		p.stats.Refused++
		p.mu.Unlock()
	}
	return sequence, err
}

// add takes a frame, or says ErrFull and gives what is closed at the next change.
func (p *Publisher) add(topic string, messages [][]byte) (uint64, <-chan struct{}, error) {
	if err := CheckTopic(topic); err != nil {
		return 0, nil, err
	}
	if len(messages) == 0 {
		return 0, nil, fmt.Errorf("publish %q: no messages", topic)
	}
	if n := batchSize(messages); n > p.cfg.MaxBody {
		return 0, nil, fmt.Errorf("publish %q: %w: %d bytes, the limit is %d", topic, ErrTooLarge, n, p.cfg.MaxBody)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return 0, nil, p.err
	}
	if len(p.frames) >= p.cfg.MaxFrames || p.bytes >= p.cfg.MaxBytes {
		return 0, p.change(), ErrFull
	}
	payload := p.pool.batch(topic, messages)
	p.last++
	p.frames = append(p.frames, reliableFrame{p.last, payload})
	p.bytes += payload.cost()
	p.stats.Published++
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return p.last, nil, nil
}

// change returns what is closed when frames are acknowledged or the publisher ends.
func (p *Publisher) change() <-chan struct{} {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

func (p *Publisher) notify() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// Flush waits until all that was published is acknowledged.
func (p *Publisher) Flush(ctx context.Context) error {
	for {
		p.mu.Lock()
		empty, err, changed := len(p.frames) == 0, p.err, p.change()
		p.mu.Unlock()
		switch {
		case empty:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Close stops the publisher; what is not acknowledged is given up, and stays
// counted as pending.
func (p *Publisher) Close() error {
	p.fail(ErrClosed)
	p.cancel(ErrClosed)
	<-p.done
	return nil
}

func (p *Publisher) fail(err error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.notify()
	p.mu.Unlock()
}

// Stats returns the counters as they stand.
func (p *Publisher) Stats() PublisherStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.stats
	st.PendingFrames, st.PendingBytes = len(p.frames), p.bytes
	return st
}

// Filled returns how much of what it may keep it keeps, from 0 to 1 and the last
// frame more.
func (p *Publisher) Filled() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(float64(len(p.frames))/float64(p.cfg.MaxFrames), float64(p.bytes)/float64(p.cfg.MaxBytes))
}

// run connects until Close or until the agent says what cannot be put right.
func (p *Publisher) run(ctx context.Context) {
	defer close(p.done)
	delay := p.cfg.MinBackoff
	for ctx.Err() == nil {
		began := time.Now()
		registered, err := p.session(ctx)
		if ctx.Err() != nil {
			return
		}
		p.cfg.Log(err)
		if errors.Is(err, errSequences) {
			p.fail(err)
			return
		}
		// Who registers it and then refuses a batch, as an agent whose disk is
		// full, is not asked again at once for ever.
		if registered && time.Since(began) >= p.cfg.MaxBackoff {
			delay = p.cfg.MinBackoff
		}
		// Jitter, so that many collectors do not come back at once.
		timer := time.NewTimer(delay/2 + rand.N(delay/2+1))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		delay = min(2*delay, p.cfg.MaxBackoff)
	}
}

// errSequences: going on would make the agent discard what it does not have.
var errSequences = errors.New("the agent has sequences that were never given: the collector id is not unique")

// session is one connection from its beginning to its end.
func (p *Publisher) session(ctx context.Context) (registered bool, err error) {
	conn, err := p.cfg.Dial(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	r, err := conn.register(ctx, p.cfg.Collector)
	if err != nil {
		return false, fmt.Errorf("register collector %q: %w", p.cfg.Collector, err)
	}
	p.mu.Lock()
	p.sent, p.sentBytes = 0, 0
	err = p.trim(r.stored, p.last)
	p.stats.Connects++
	p.stats.Connected = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.stats.Connected = false
		p.mu.Unlock()
	}()
	if err != nil {
		return false, err
	}
	if p.cfg.OnConnect != nil {
		if err := p.cfg.OnConnect(ctx, conn); err != nil {
			return false, err
		}
	}
	return true, p.send(ctx, conn, r.limits)
}

// send keeps the connection's window filled until the connection ends.
func (p *Publisher) send(ctx context.Context, conn *Conn, limits registered) error {
	for {
		frame, ok := p.next(limits)
		if ok {
			if n := len(frame.payload.body()); n > conn.maxBody {
				frame.payload.release()
				return fmt.Errorf("batch %d: %w: %d bytes, the agent's limit is %d", frame.sequence, ErrTooLarge, n, conn.maxBody)
			}
			if err := conn.link.sendWait(ctx, header{kind: kindIngest, sequence: frame.sequence}, frame.payload); err != nil {
				if ctx.Err() == nil {
					<-conn.Done()
				}
				return conn.reason(err)
			}
			select {
			case <-conn.ackReady:
			default:
				continue
			}
		} else {
			select {
			case <-p.wake:
				continue
			case <-conn.ackReady:
			case <-conn.Done():
				return conn.Err()
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		p.mu.Lock()
		err := p.trim(conn.acked.Load(), p.ever)
		p.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// next returns the frame to send, with a reference of its own, if the window
// has place for it.
func (p *Publisher) next(limits registered) (reliableFrame, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent == len(p.frames) || p.sent >= limits.Frames || p.sentBytes >= limits.Bytes {
		return reliableFrame{}, false
	}
	f := p.frames[p.sent]
	p.sent++
	p.sentBytes += f.payload.cost()
	if f.sequence <= p.ever {
		p.stats.Resent++
	}
	p.ever = max(p.ever, f.sequence)
	f.payload.retain()
	return f, true
}

// trim forgets frames up to the sequence, which may be at most highest; p.mu is held.
func (p *Publisher) trim(sequence, highest uint64) error {
	if sequence > highest {
		return fmt.Errorf("%w: acknowledged %d of %d", errSequences, sequence, highest)
	}
	n := 0
	for n < len(p.frames) && p.frames[n].sequence <= sequence {
		cost := p.frames[n].payload.cost()
		p.bytes -= cost
		if n < p.sent {
			p.sentBytes -= cost
		}
		p.frames[n].payload.release()
		p.frames[n] = reliableFrame{}
		n++
	}
	p.frames = p.frames[n:]
	p.sent = max(0, p.sent-n)
	p.stats.Acknowledged += uint64(n)
	if n > 0 {
		p.notify()
	}
	return nil
}
