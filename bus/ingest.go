package bus

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
)

// Ingester stores what collectors publish reliably.
type Ingester interface {
	// Resume returns the highest sequence of the collector that is stored, 0
	// if none is. It is asked each time a collector connects.
	Resume(ctx context.Context, peer Peer, collector string) (stored uint64, err error)
	// Ingest takes over m: once it is stored, now or later and in any
	// goroutine, m.Ack is called. The calls for one connection come one after
	// the other with rising sequences, and holding one up holds up the
	// collector. A collector that reconnects sends again what it has no
	// acknowledgement for, so the same collector and sequence may come over
	// two connections; the second is to be acknowledged without storing it.
	// An error closes the connection.
	Ingest(ctx context.Context, m *Ingest) error
}

// Ingest is one reliable frame: messages of one topic that the collector keeps
// until they are acknowledged.
type Ingest struct {
	Peer      Peer
	Collector string
	Sequence  uint64
	Topic     string

	session *session
	payload *payload
	stored  bool // under ingestState.mu
	once    sync.Once
}

// Len is the number of messages, at least one.
func (m *Ingest) Len() int { return m.payload.count }

// Messages yields the messages. They are valid until Ack or Fail, and are not
// to be changed.
func (m *Ingest) Messages() iter.Seq[[]byte] { return m.payload.eachMessage() }

// Forward publishes the messages to all that subscribe to the topic, without
// copying them. It waits for those of class Wait, and is not called after Ack.
func (m *Ingest) Forward(ctx context.Context) error {
	m.payload.retain()
	return m.session.broker.route(ctx, m.Topic, m.payload)
}

// Ack says that the messages are stored. The collector is told the highest
// sequence up to which all are; acknowledgements that wait to be written are
// joined. The messages are no longer valid. Only the first call of Ack or Fail counts.
func (m *Ingest) Ack() {
	m.once.Do(func() {
		cost := m.payload.cost()
		m.payload.release()
		s := m.session
		s.broker.counts.acknowledged.Add(1)
		if sequence, ok := s.ingest.ack(m, cost); ok {
			s.link.ack(sequence)
		}
	})
}

// Fail says that the messages cannot be stored now: it closes the connection,
// and the collector will connect and send again. Those of the same connection
// that Ingest has already taken and that have a higher sequence must then fail
// as well: a stored sequence stands for all before it.
func (m *Ingest) Fail(err error) {
	m.once.Do(func() {
		m.payload.release()
		m.session.fail(errorOf(fmt.Errorf("store batch %d: %w", m.Sequence, err)))
	})
}

// ingestState is what a session knows about its collector.
type ingestState struct {
	mu          sync.Mutex
	collector   string // set by the dispatcher, read after it has ended or under mu
	asked       bool   // a register frame came
	ready       bool   // and is answered
	last        uint64 // sequence that came last
	bytes       int    // not acknowledged
	frames      int
	limitBytes  int
	limitFrames int
	outstanding []*Ingest // handed out, in order
}

// registering accepts one register frame for a connection.
func (g *ingestState) registering() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asked {
		return malformed("registered twice")
	}
	g.asked = true
	return nil
}

// arrive accounts for a frame from the collector.
func (g *ingestState) arrive(sequence uint64, cost int) (duplicate bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !g.ready:
		return false, malformed("reliable frame before registration")
	case sequence <= g.last:
		return true, nil
	case g.bytes >= g.limitBytes || g.frames >= g.limitFrames:
		return false, malformed("reliable frame without credit")
	}
	g.last = sequence
	g.bytes += cost
	g.frames++
	return false, nil
}

// ack marks m as stored and returns the sequence to acknowledge, if it rose.
func (g *ingestState) ack(m *Ingest, cost int) (uint64, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m.stored = true
	g.bytes -= cost
	g.frames--
	n, sequence := 0, uint64(0)
	for n < len(g.outstanding) && g.outstanding[n].stored {
		sequence = g.outstanding[n].Sequence
		n++
	}
	g.outstanding = slices.Delete(g.outstanding, 0, n)
	return sequence, n > 0
}

// register answers a collector with what is stored of it. An older connection
// of the same collector ends.
func (s *session) register(p *payload) {
	var m register
	err := parseControl(p, &m)
	p.release()
	b := s.broker
	switch {
	case err != nil:
	case m.Collector == "" || len(m.Collector) > maxTopic:
		err = malformed("collector id of %d bytes", len(m.Collector))
	case b.ingester == nil:
		err = &Error{Code: CodeNotServed, Message: "this agent stores nothing"}
	}
	var stored uint64
	if err == nil {
		stored, err = b.ingester.Resume(s.ctx, s.peer, m.Collector)
	}
	if err != nil {
		s.fail(errorOf(err))
		return
	}
	g := &s.ingest
	g.mu.Lock()
	g.collector, g.ready, g.last = m.Collector, true, stored
	g.limitBytes, g.limitFrames = b.cfg.IngestWindow, b.cfg.IngestFrames
	g.mu.Unlock()
	b.mu.Lock()
	older := b.collectors[m.Collector]
	b.collectors[m.Collector] = s
	b.mu.Unlock()
	if older != nil {
		older.fail(&Error{Code: CodeClosing, Message: "the collector has a newer connection"})
	}
	_ = s.link.send(header{kind: kindRegistered, sequence: stored},
		b.pool.control(&registered{Bytes: b.cfg.IngestWindow, Frames: b.cfg.IngestFrames}))
}

func (s *session) deliverIngest(topic string, it item) {
	g := &s.ingest
	m := &Ingest{
		Peer: s.peer, Collector: g.collector, Sequence: it.header.sequence, Topic: topic,
		session: s, payload: it.payload,
	}
	g.mu.Lock()
	g.outstanding = append(g.outstanding, m)
	g.mu.Unlock()
	s.broker.counts.ingested.Add(uint64(it.payload.count))
	if err := s.broker.ingester.Ingest(s.ctx, m); err != nil {
		m.Fail(err)
	}
}
