package collector

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/platform/bpf"
	"daemoneye/roles/api"
)

// unlistedConnections is what is said where nothing can list the sockets.
const unlistedConnections = "network_connections can not be told: that takes eBPF"

// inLoop lets the collector's loop, to which its state belongs, run f; not any
// more once k, if there is one, is being closed: the loop then waits for its
// readers.
func (a *agentLink) inLoop(ctx context.Context, k *kernel, f func(*collector) error) error {
	var stop chan struct{}
	if k != nil {
		stop = k.stop
	}
	done := make(chan error, 1)
	select {
	case a.tasks <- func(c *collector) { done <- f(c) }:
		return <-done
	case <-stop:
		return errors.New("the kernel's source has ended")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// answerQuestion sends the rows of network_connections. Between two batches the
// collector's loop goes on.
func (a *agentLink) answerQuestion(ctx context.Context, conn *bus.Conn, id uint64) error {
	ctx, cancel := context.WithTimeout(ctx, api.AnswerTime)
	defer cancel()
	send := func(part api.Answer) error {
		part.ID = id
		body, err := msgpack.Marshal(&part)
		if err != nil {
			return fmt.Errorf("encode answer: %w", err)
		}
		_, err = conn.Call(ctx, api.CollectorAnswer, body)
		return err
	}
	left, err := a.connections(ctx, func(batch []byte) error { return send(api.Answer{Batch: batch}) })
	var refused *bus.Error
	if errors.As(err, &refused) {
		return err // nobody waits any more
	}
	part := api.Answer{Done: true, Left: left}
	if err != nil {
		part.Error = err.Error()
	}
	return send(part)
}

// socketChunk is how many sockets are told of at once in the collector's loop.
const socketChunk = 256

// connections yields the rows as encoded batches, and returns how many more
// there are than api.MaxConnections.
func (a *agentLink) connections(ctx context.Context, yield func([]byte) error) (left int64, err error) {
	var k *kernel
	err = a.inLoop(ctx, nil, func(c *collector) error {
		if c.kernel == nil || c.kernel.name != api.SourceKernel {
			return errors.New(unlistedConnections)
		}
		k = c.kernel
		return nil
	})
	if err != nil {
		return 0, err
	}
	rows := newConnectionRows(event.NewBuilder(event.Lookup("network_connections")))
	chunk := make([]bpf.Event, 0, socketChunk)
	flush := func(last bool) (err error) {
		for rest := chunk; err == nil && (len(rest) > 0 || last && rows.Rows() > 0); {
			var encoded []byte
			err = a.inLoop(ctx, k, func(c *collector) error {
				rest = rows.add(c, rest)
				if rows.full() || last && len(rest) == 0 {
					encoded = rows.encode()
				}
				return nil
			})
			if err == nil && encoded != nil {
				err = yield(encoded)
			}
		}
		chunk = chunk[:0]
		return err
	}
	total, failed := 0, error(nil)
	err = k.source.Connections(func(e *bpf.Event) bool {
		if total++; total > api.MaxConnections {
			left++
			return true
		}
		if chunk = append(chunk, *e); len(chunk) == socketChunk {
			failed = flush(false)
		}
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, err
	}
	return left, flush(true)
}

// connectionRows is network_connections, of which a batch is being made.
type connectionRows struct {
	*event.Builder
	actor
	time, source, protocol, family, state, direction,
	localAddress, localPort, remoteAddress, remotePort,
	path, id, inode, user, sent, received, duration, namespace, open *event.ColumnBuilder
	known lineage
}

func newConnectionRows(b *event.Builder) *connectionRows {
	return &connectionRows{
		Builder: b, actor: newActor(b), time: b.Column("collection_time"), source: b.Column("source"),
		protocol: b.Column("protocol"), family: b.Column("address_family"), state: b.Column("state"), direction: b.Column("direction"),
		localAddress: b.Column("local_address"), localPort: b.Column("local_port"),
		remoteAddress: b.Column("remote_address"), remotePort: b.Column("remote_port"),
		path: b.Column("socket_path"), id: b.Column("socket_id"), inode: b.Column("inode"), user: b.Column("socket_user_id"),
		sent: b.Column("bytes_sent"), received: b.Column("bytes_received"), duration: b.Column("duration"),
		namespace: b.Column("network_namespace"), open: b.Column("open"), known: lineage{},
	}
}

func (r *connectionRows) full() bool { return r.Rows() >= maxBatchRows || r.Size() >= maxBatchSize }

func (r *connectionRows) encode() []byte {
	batch := r.Batch()
	defer r.Reuse(batch)
	return event.Encode(nil, batch)
}

// add writes rows until the batch is full, and returns the sockets for which
// there was no room. The source of these may have ended meanwhile.
func (r *connectionRows) add(c *collector, list []bpf.Event) []bpf.Event {
	if c.live == nil {
		return nil
	}
	clear(r.known) // the loop may have gone on
	for len(list) > 0 && !r.full() {
		r.row(&list[0], c.live)
		list = list[1:]
	}
	return list
}

func (r *connectionRows) row(e *bpf.Event, l *live) {
	c := e.Network
	r.time.Time(l.enumerator.Wall(e.Time))
	r.source.Text(api.SourceKernel)
	r.protocol.Text(protocolName(c.Family, c.Protocol))
	r.family.Text(addressFamily(c.Family))
	r.state.Text(stateName(c.State))
	way := c.Direction
	if way == 0 && c.State == bpf.Listens {
		way = bpf.Listening
	}
	r.direction.TextOrNull(direction(way))
	addressColumns(r.localAddress, r.localPort, c.Local)
	addressColumns(r.remoteAddress, r.remotePort, c.Remote)
	if c.Family == bpf.FamilyUnix {
		r.path.TextOrNull(cutPath(c.Path, maxAncestor))
	}
	if c.Socket != 0 {
		r.id.Text(strconv.FormatUint(c.Socket, 16))
		r.duration.Float(c.Duration.Seconds())
	}
	if c.Inode != 0 {
		r.inode.Int(int64(c.Inode))
	}
	if c.Whole {
		r.user.Int(int64(c.UID))
		const tcp = 6
		if c.Protocol == tcp && c.State != bpf.Listens {
			r.sent.Int(c.Sent)
			r.received.Int(c.Received)
		}
	}
	if c.Namespace != 0 {
		r.namespace.Int(int64(c.Namespace))
	}
	r.open.Bool(c.Open)
	if e.PID != 0 {
		l.rows.actor(&r.actor, l.actor(e), r.known)
	}
	r.EndRow()
}

func stateName(s bpf.State) string {
	names := [...]string{
		bpf.Established: "established", bpf.SynSent: "syn_sent", bpf.SynReceived: "syn_received", bpf.FinWait1: "fin_wait1",
		bpf.FinWait2: "fin_wait2", bpf.TimeWait: "time_wait", bpf.Closed: "close", bpf.CloseWait: "close_wait", bpf.LastAck: "last_ack",
		bpf.Listens: "listen", bpf.Closing: "closing", bpf.NewSynReceived: "syn_received",
	}
	if int(s) < len(names) && names[s] != "" {
		return names[s]
	}
	return strconv.Itoa(int(s))
}
