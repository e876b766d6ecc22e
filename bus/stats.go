package bus

import "sync/atomic"

// Traffic counts what passed in one direction. Bytes include headers.
type Traffic struct {
	Frames, Messages, Bytes uint64
}

// Stats are a broker's counters since it was made, and its present state.
type Stats struct {
	Connections   int // now, handshakes included
	Accepted      uint64
	Refused       uint64 // by limit, credentials or token
	Malformed     uint64 // connections closed for a frame that no correct peer sends
	Denied        uint64 // publishes, subscriptions and requests not in the access table
	In, Out       Traffic
	Dropped       uint64 // messages shed by all subscriptions, also those that are gone
	Unheard       uint64 // messages published when nothing subscribed to their topic
	Requests      uint64
	Ingested      uint64 // reliable messages handed to the Ingester
	Duplicates    uint64 // reliable frames discarded by sequence
	Acknowledged  uint64 // reliable frames
	Subscriptions []SubscriptionStats
}

// SubscriptionStats are the counters of one subscription.
type SubscriptionStats struct {
	Peer        Peer // zero for one inside the agent
	Pattern     string
	Class       Class
	Messages    uint64 // accepted into its queue
	Dropped     uint64 // of these, shed again
	QueuedBytes int
}

type trafficCounter struct {
	frames, messages, bytes atomic.Uint64
}

func (c *trafficCounter) add(p *payload) {
	c.frames.Add(1)
	c.bytes.Add(uint64(p.cost()))
	if p != nil && p.count > 0 {
		c.messages.Add(uint64(p.count))
	}
}

func (c *trafficCounter) load() Traffic {
	return Traffic{Frames: c.frames.Load(), Messages: c.messages.Load(), Bytes: c.bytes.Load()}
}

type counters struct {
	accepted, refused, malformed, denied atomic.Uint64
	dropped, unheard, requests           atomic.Uint64
	ingested, duplicates, acknowledged   atomic.Uint64
	in, out                              trafficCounter
}
