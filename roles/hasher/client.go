package hasher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"daemoneye/platform/procfs"
)

// Limits of a Client. All its requests together are fewer than the hasher
// takes at once.
const (
	maxReads    = 4
	readTimeout = 10 * time.Second // more than the hasher lets a file hang
	hashTimeout = time.Minute      // beside what half of the budget of bytes per second takes
	pingEvery   = 15 * time.Second
	deadAfter   = time.Minute // without any answer
)

var (
	// ErrLate is returned while the hasher does not answer in time.
	ErrLate = errors.New("the hasher does not answer")
	errGone = errors.New("the hasher has ended")
)

// Stats counts what was not answered in time.
type Stats struct {
	Late    uint64 // requests that were given up
	Refused uint64 // requests that were not made, since others wait
}

// Client is the collector's end. Its methods may be called at once; once the
// hasher has gone they all fail.
type Client struct {
	conn        io.ReadWriteCloser
	readTimeout time.Duration
	done        chan struct{}
	wg          sync.WaitGroup

	write sync.Mutex
	out   []byte

	mu      sync.Mutex
	calls   map[uint32]*call
	id      uint32
	waiting [places]int // of calls, by place
	late    bool        // a read was given up and nothing was answered since
	heard   time.Time   // when something was answered
	err     error       // why it is done
	stats   Stats
}

// call is a request that waits. After it was given up it waits for its answer
// all the same, which is then thrown away.
type call struct {
	kind   byte
	place  int
	most   int    // bytes of the answer
	buf    []byte // for it
	given  bool   // up
	answer chan []byte
}

func newClient(conn io.ReadWriteCloser) *Client {
	c := &Client{conn: conn, readTimeout: readTimeout, done: make(chan struct{}), calls: map[uint32]*call{}, heard: time.Now()}
	c.wg.Go(c.receive)
	c.wg.Go(c.watch)
	return c
}

// Done is closed when the hasher has gone, or answers what it may not, or
// nothing for a long time.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why it is done.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Stats returns the counters.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// close ends the connection, and the hasher with it.
func (c *Client) close() {
	c.fail(errGone)
	c.wg.Wait()
}

// fail ends the connection for the first reason that is given.
func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		close(c.done)
		_ = c.conn.Close()
	}
}

// receive takes answers. One that was not asked for ends the connection.
func (c *Client) receive() {
	for {
		if err := c.receiveOne(); err != nil {
			if errors.Is(err, io.EOF) {
				err = errGone
			}
			c.fail(err)
			return
		}
	}
}

func (c *Client) receiveOne() error {
	h, err := readHeader(c.conn)
	if err != nil {
		return err
	}
	c.mu.Lock()
	k := c.calls[h.id]
	if k == nil || k.kind != h.kind || uint64(h.size) > uint64(k.most) {
		c.mu.Unlock()
		return fmt.Errorf("%w: %d bytes of kind %d", errAnswer, h.size, h.kind)
	}
	buf := k.buf
	if k.given {
		buf = nil
	}
	c.mu.Unlock()
	if uint64(len(buf)) < uint64(h.size) {
		buf = make([]byte, h.size)
	}
	if _, err := io.ReadFull(c.conn, buf[:h.size]); err != nil {
		return fmt.Errorf("read the hasher's answer: %w", err)
	}
	c.mu.Lock()
	delete(c.calls, h.id)
	c.waiting[k.place]--
	c.late, c.heard = false, time.Now()
	c.mu.Unlock()
	k.answer <- buf[:h.size]
	return nil
}

// watch asks for a sign of life, so that a hasher that hangs is found out.
func (c *Client) watch() {
	timer := time.NewTicker(pingEvery)
	defer timer.Stop()
	ping := &procfs.Ask{PIDs: []int32{1}, Files: procfs.Set(procfs.FileStat)}
	for {
		select {
		case <-c.done:
			return
		case now := <-timer.C:
			c.mu.Lock()
			silent := now.Sub(c.heard)
			c.mu.Unlock()
			if silent > deadAfter {
				c.fail(fmt.Errorf("%w for %v", ErrLate, silent.Round(time.Second)))
				return
			}
			ctx, cancel := context.WithTimeout(context.Background(), pingEvery/2)
			_, _ = c.request(ctx, kindRead, placeRead, maxReads+1, appendRead(nil, ping), ping.MaxContents(), nil)
			cancel()
		}
	}
}

// Where requests wait: those to hash in places of their own, by lane.
const (
	placeRead = procfs.Lanes
	places    = procfs.Lanes + 1
)

// request sends a request unless as many wait at its place, and waits for its
// answer.
func (c *Client) request(ctx context.Context, kind byte, place, atOnce int, body []byte, most int, buf []byte) ([]byte, error) {
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return nil, c.err
	}
	if c.waiting[place] >= atOnce {
		c.stats.Refused++
		c.mu.Unlock()
		return nil, ErrLate
	}
	c.id++
	id := c.id
	k := &call{kind: kind, place: place, most: most, buf: buf, answer: make(chan []byte, 1)}
	c.calls[id] = k
	c.waiting[place]++
	c.mu.Unlock()
	if err := c.send(kind, id, body); err != nil {
		c.fail(err)
		return nil, err
	}
	select {
	case answer := <-k.answer:
		return answer, nil
	case <-c.done:
		select {
		case answer := <-k.answer: // which came before
			return answer, nil
		default:
			return nil, c.Err()
		}
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		k.given = true
		c.stats.Late++
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, ErrLate
		}
		return nil, ctx.Err()
	}
}

// send never waits long: requests are small and few, and fit into the socket.
func (c *Client) send(kind byte, id uint32, body []byte) error {
	c.write.Lock()
	defer c.write.Unlock()
	c.out = finish(append(appendHeader(c.out[:0], kind, id), body...))
	if _, err := c.conn.Write(c.out); err != nil {
		return fmt.Errorf("ask the hasher: %w", err)
	}
	return nil
}

// Digest has an executable hashed, see procfs.HasherConfig.
func (c *Client) Digest(ctx context.Context, e procfs.Executable) (procfs.Digest, int64, error) {
	takes := time.Duration(float64(min(e.ID.Size, e.MaxFile)) / float64(e.Rate) * float64(procfs.Lanes*time.Second))
	ctx, cancel := context.WithTimeout(ctx, hashTimeout+takes)
	defer cancel()
	answer, err := c.request(ctx, kindHash, e.Lane(), 1, appendHash(nil, e), answerSize, nil)
	if errors.Is(err, ErrLate) {
		err = procfs.ErrStalled
	}
	if err != nil {
		return procfs.Digest{}, 0, err
	}
	d, n, failed, err := parseDigest(answer)
	if err != nil {
		c.fail(err)
		return d, n, err
	}
	return d, n, failed
}

// Read reads files of processes, see procfs.Reader. After one that was given up
// all others fail until the hasher answers again: what waits for them has other
// things to do.
func (c *Client) Read(ctx context.Context, ask *procfs.Ask, to *procfs.Answer) error {
	some := *ask
	some.PIDs = ask.PIDs[:min(len(ask.PIDs), procfs.MaxAsk)]
	err := some.Check()
	if err != nil {
		return err
	}
	to.Buf, err = c.read(ctx, appendRead(nil, &some), enough+some.MaxContents(), to.Buf[:cap(to.Buf)])
	if err != nil {
		return err
	}
	if err := some.Parse(to); err != nil {
		c.fail(err)
		return err
	}
	return nil
}

func (c *Client) read(ctx context.Context, body []byte, most int, buf []byte) ([]byte, error) {
	c.mu.Lock()
	late := c.late
	if late {
		c.stats.Refused++
	}
	c.mu.Unlock()
	if late {
		return nil, ErrLate
	}
	ctx, cancel := context.WithTimeout(ctx, c.readTimeout)
	defer cancel()
	answer, err := c.request(ctx, kindRead, placeRead, maxReads, body, most, buf)
	if errors.Is(err, ErrLate) {
		c.mu.Lock()
		c.late = true
		c.mu.Unlock()
	}
	return answer, err
}

// PIDs appends the pids of all processes.
func (c *Client) PIDs(ctx context.Context, list []int32) ([]int32, error) {
	answer, err := c.read(ctx, appendRead(nil, &procfs.Ask{Files: wantPIDs}), 4*maxPIDs, nil)
	if err != nil {
		return list, err
	}
	had := len(list)
	list, err = parsePIDs(list, answer)
	if err == nil && len(list) == had {
		err = errAnswer
	}
	if err != nil {
		c.fail(err)
	}
	return list, err
}

// Passwd returns /etc/passwd, empty if there is none.
func (c *Client) Passwd(ctx context.Context) ([]byte, error) {
	return c.read(ctx, appendRead(nil, &procfs.Ask{Files: wantPasswd}), maxPasswd, nil)
}
