package procfs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/zeebo/blake3"
	"golang.org/x/time/rate"
)

// HasherConfig tunes a Hasher; the zero value is the default.
type HasherConfig struct {
	Rate    int64         // bytes read per second; 0: 64 MiB
	MaxFile int64         // bytes; larger files are not read; 0: 1 GiB
	Cache   int           // digests kept; 0: 16384
	Queue   int           // files waiting; 0: 4096
	Stall   time.Duration // for how long one read may take; 0: 10 s
}

// Digest holds the digests of one file in hex.
type Digest struct {
	SHA256 string
	BLAKE3 string
}

// HasherStats counts requests since the start.
type HasherStats struct {
	Hashed  uint64 // files read to their end
	Bytes   uint64
	Dropped uint64 // the queue was full
	Failed  uint64 // not readable, or another file by the time it was opened
	Skipped uint64 // larger than MaxFile, or no regular file
	Stalled uint64 // a read did not come back in time
	Queued  int
}

// Hasher computes digests of executables in one goroutine, within a budget of
// bytes per second, and keeps them by file identity. A file is read through
// /proc/PID/exe, so one that has been deleted is read like any other.
type Hasher struct {
	config HasherConfig
	limit  *rate.Limiter
	queue  chan hashRequest
	done   chan struct{} // capacity 1: a request has ended since it was last received from
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	cache   *lru
	waiting map[FileID]bool
	idle    *sync.Cond
	stuck   int
	stats   HasherStats
}

type hashRequest struct {
	pid int32
	id  FileID
}

// Limits of the reading of one file.
const (
	hashChunk = 256 << 10
	maxStuck  = 4 // reads that hang in the kernel; more are not begun
)

var (
	errNotRegular = errors.New("not a regular file")
	errTooLarge   = errors.New("larger than the limit")
	errOther      = errors.New("another file by now")
	errStalled    = errors.New("the read does not come back")
)

// NewHasher starts a Hasher.
func NewHasher(config HasherConfig) *Hasher {
	if config.Rate <= 0 {
		config.Rate = 64 << 20
	}
	if config.MaxFile <= 0 {
		config.MaxFile = 1 << 30
	}
	if config.Cache <= 0 {
		config.Cache = 16384
	}
	if config.Queue <= 0 {
		config.Queue = 4096
	}
	if config.Stall <= 0 {
		config.Stall = 10 * time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &Hasher{
		config: config, limit: rate.NewLimiter(rate.Limit(config.Rate), hashChunk),
		queue: make(chan hashRequest, config.Queue), done: make(chan struct{}, 1),
		cancel: cancel, ended: make(chan struct{}),
		cache: newLRU(config.Cache), waiting: make(map[FileID]bool),
	}
	h.idle = sync.NewCond(&h.mu)
	go h.run(ctx)
	return h
}

// Close ends the Hasher; requests that wait are forgotten. A read that hangs
// in the kernel can not be ended: its goroutine stays until the kernel answers.
func (h *Hasher) Close() {
	h.cancel()
	<-h.ended
}

// Request returns the digest of the file that the process runs. When it is not
// known yet it is queued and ok is false; when the queue is full the request
// is dropped and counted, to be made again after the next scan.
func (h *Hasher) Request(p *Process) (d Digest, ok bool) {
	if p.ExecutableID.Inode == 0 || p.State == 'Z' {
		return h.Lookup(p.ExecutableID)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if d, known := h.cache.get(p.ExecutableID); known {
		return d, d != Digest{}
	}
	if h.waiting[p.ExecutableID] {
		return Digest{}, false
	}
	select {
	case h.queue <- hashRequest{p.PID, p.ExecutableID}:
		h.waiting[p.ExecutableID] = true
	default:
		h.stats.Dropped++
	}
	return Digest{}, false
}

// Lookup returns the digest of a file if it is known.
func (h *Hasher) Lookup(id FileID) (d Digest, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, _ = h.cache.get(id)
	return d, d != Digest{}
}

// Done receives a value after requests have ended. It has room for one, so
// that a reader that is late sees one value for many.
func (h *Hasher) Done() <-chan struct{} { return h.done }

// Wait waits until nothing is queued, or ctx ends.
func (h *Hasher) Wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.idle.Broadcast()
	})
	defer stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.waiting) > 0 && ctx.Err() == nil {
		h.idle.Wait()
	}
	return ctx.Err()
}

// Stats returns the counters.
func (h *Hasher) Stats() HasherStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stats
	s.Queued = len(h.waiting)
	return s
}

func (h *Hasher) run(ctx context.Context) {
	defer close(h.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-h.queue:
			d, n, err := h.hash(ctx, r)
			if ctx.Err() != nil {
				return
			}
			h.finish(r, d, n, err)
		}
	}
}

func (h *Hasher) finish(r hashRequest, d Digest, n int64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Bytes += uint64(n)
	switch {
	case err == nil:
		h.stats.Hashed++
		h.cache.put(r.id, d)
	case errors.Is(err, errTooLarge), errors.Is(err, errNotRegular):
		h.stats.Skipped++
		h.cache.put(r.id, Digest{}) // known to be without one
	case errors.Is(err, errStalled):
		h.stats.Stalled++
	default:
		h.stats.Failed++
	}
	delete(h.waiting, r.id)
	if len(h.waiting) == 0 {
		h.idle.Broadcast()
	}
	select {
	case h.done <- struct{}{}:
	default:
	}
}

// chunk is what the reading goroutine hands over.
type chunk struct {
	data []byte
	err  error // io.EOF at the end
}

// hash reads the file once. The reads are made by another goroutine, since one
// from a dead file server may never return; after Stall it is left behind.
func (h *Hasher) hash(ctx context.Context, r hashRequest) (d Digest, n int64, err error) {
	h.mu.Lock()
	if h.stuck >= maxStuck {
		h.mu.Unlock()
		return d, 0, fmt.Errorf("%d reads hang: %w", maxStuck, errStalled)
	}
	h.stuck++ // until read ends
	h.mu.Unlock()
	chunks, free := make(chan chunk), make(chan []byte, 2)
	free <- make([]byte, hashChunk)
	free <- make([]byte, hashChunk)
	left := make(chan struct{})
	defer close(left)
	go func() {
		h.read(r, chunks, free, left)
		h.mu.Lock()
		h.stuck--
		h.mu.Unlock()
	}()
	sha, blake := sha256.New(), blake3.New()
	timer := time.NewTimer(h.config.Stall)
	defer timer.Stop()
	for {
		timer.Reset(h.config.Stall)
		select {
		case <-ctx.Done():
			return d, n, ctx.Err()
		case <-timer.C:
			return d, n, errStalled
		case c := <-chunks:
			if c.err == io.EOF {
				return Digest{SHA256: hex.EncodeToString(sha.Sum(nil)), BLAKE3: hex.EncodeToString(blake.Sum(nil))}, n, nil
			}
			if c.err != nil {
				return d, n, c.err
			}
			n += int64(len(c.data))
			sha.Write(c.data)
			_, _ = blake.Write(c.data)
			if err := h.limit.WaitN(ctx, len(c.data)); err != nil {
				return d, n, err
			}
			free <- c.data[:hashChunk]
		}
	}
}

// read sends the file's contents, then io.EOF, or another error.
func (h *Hasher) read(r hashRequest, chunks chan<- chunk, free <-chan []byte, left <-chan struct{}) {
	send := func(c chunk) bool {
		select {
		case chunks <- c:
			return true
		case <-left:
			return false
		}
	}
	f, err := h.open(r)
	if err != nil {
		send(chunk{err: err})
		return
	}
	defer f.Close()
	for total := int64(0); ; {
		var buf []byte
		select {
		case buf = <-free:
		case <-left:
			return
		}
		n, err := f.Read(buf)
		if total += int64(n); total > h.config.MaxFile {
			err = errTooLarge
		}
		if n > 0 && err == nil {
			if !send(chunk{data: buf[:n]}) {
				return
			}
			continue
		}
		if err == io.EOF {
			// Written to meanwhile: what was read is nothing that the file ever was.
			if id, statErr := openedID(f); statErr != nil || id != r.id {
				err = errOther
			}
		}
		send(chunk{err: err})
		return
	}
}

// open opens the process's executable and makes sure that it is the one asked
// for: the pid may be another process's by now.
func (h *Hasher) open(r hashRequest) (*os.File, error) {
	f, err := openExecutable(r.pid)
	if err != nil {
		return nil, err
	}
	id, err := openedID(f)
	switch {
	case err != nil:
	case id != r.id:
		err = errOther
	case id.Size > h.config.MaxFile:
		err = errTooLarge
	default:
		return f, nil
	}
	_ = f.Close()
	return nil, err
}
