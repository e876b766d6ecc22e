package procfs

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// HasherConfig tunes a Hasher; the zero value is the default.
type HasherConfig struct {
	Rate    int64         // bytes read per second; 0: 64 MiB
	MaxFile int64         // bytes; larger files are not read; 0: 1 GiB
	Cache   int           // digests kept; 0: 16384
	Queue   int           // files waiting in each lane; 0: 4096
	Stall   time.Duration // for how long one read may take; 0: 10 s; without Digest

	// Digest, if not nil, reads in place of a Digester of the Hasher's own.
	Digest func(context.Context, Executable) (d Digest, bytes int64, err error)
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

// Hasher has digests of executables computed within a budget of bytes per
// second, and keeps them by file identity. In each lane, see Executable.Lane,
// files are read one after another, fairly among users.
type Hasher struct {
	config HasherConfig
	done   chan struct{}        // capacity 1: a digest has become known since it was last received from
	more   [Lanes]chan struct{} // capacity 1: a file waits since it was last received from
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu      sync.Mutex
	cache   *lru
	queues  [Lanes]*fairQueue
	waiting map[FileID]*request // in a queue, or being read
	idle    *sync.Cond
	stats   HasherStats
}

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
	if config.Digest == nil {
		config.Digest = NewDigester(config.Stall).Digest
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &Hasher{
		config: config, done: make(chan struct{}, 1), cancel: cancel,
		cache: newLRU(config.Cache), waiting: make(map[FileID]*request),
	}
	h.idle = sync.NewCond(&h.mu)
	for lane := range Lanes {
		h.more[lane], h.queues[lane] = make(chan struct{}, 1), newFairQueue(config.Queue)
		h.ended.Go(func() { h.run(ctx, lane) })
	}
	return h
}

// Close ends the Hasher; requests that wait are forgotten. A read that hangs
// in the kernel can not be ended: its goroutine stays until the kernel answers.
func (h *Hasher) Close() {
	h.cancel()
	h.ended.Wait()
}

// retryAfter is after how long a file is read again that could not be read
// because the process had ended, if another one has asked for it: so often is a
// file read in vain while processes end at once that run it.
const retryAfter = 100 * time.Millisecond

// Request returns the digest of the file that the process runs. When it is not
// known yet it is queued and ok is false; when the queue is full a request of the
// user who has the most is dropped and counted, to be made again after the next
// scan.
func (h *Hasher) Request(p *Process) (d Digest, ok bool) {
	if p.ExecutableID.Inode == 0 || p.State == 'Z' {
		return h.Lookup(p.ExecutableID)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if d, known := h.cache.get(p.ExecutableID); known {
		return d, d != Digest{}
	}
	user := p.UID[0]
	if r := h.waiting[p.ExecutableID]; r != nil {
		r.PID = p.PID
		if r.queued && !slices.Contains(r.users, user) {
			h.push(user, r)
		}
		return Digest{}, false
	}
	r := &request{Executable: Executable{PID: p.PID, ID: p.ExecutableID, MaxFile: h.config.MaxFile, Rate: h.config.Rate}}
	h.waiting[r.ID] = r
	h.push(user, r)
	return Digest{}, false
}

// push queues a file for a user. The lock is held.
func (h *Hasher) push(user uint32, r *request) {
	lane := r.Lane()
	lost := h.queues[lane].push(user, r)
	if lost != nil && !lost.queued {
		h.stats.Dropped++
		h.forget(lost)
	}
	select {
	case h.more[lane] <- struct{}{}:
	default:
	}
}

// forget takes note that a file does not wait any more. The lock is held.
func (h *Hasher) forget(r *request) {
	delete(h.waiting, r.ID)
	if len(h.waiting) == 0 {
		h.idle.Broadcast()
	}
}

// Lookup returns the digest of a file if it is known.
func (h *Hasher) Lookup(id FileID) (d Digest, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, _ = h.cache.get(id)
	return d, d != Digest{}
}

// Done receives a value after digests have become known. It has room for one,
// so that a reader that is late sees one value for many.
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

// attempt is one reading of a file.
type attempt struct {
	Executable // as it was asked for last
	user       uint32
}

// run reads the files of a lane.
func (h *Hasher) run(ctx context.Context, lane int) {
	var failed []attempt // by processes that others have asked after
	retry := time.NewTimer(retryAfter)
	retry.Stop()
	defer retry.Stop()
	for {
		a, ok := h.next(lane)
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-h.more[lane]:
			case <-retry.C:
				failed = h.again(failed)
			}
			continue
		}
		select {
		case <-retry.C:
			failed = h.again(failed)
		default:
		}
		d, n, err := h.config.Digest(ctx, a.Executable)
		if ctx.Err() != nil {
			return
		}
		if h.finish(a.Executable, d, n, err, len(failed) < h.config.Queue) {
			continue
		}
		if failed = append(failed, a); len(failed) == 1 {
			retry.Reset(retryAfter)
		}
	}
}

// next returns the file of a lane whose turn it is, with the process that is
// most likely to run it still.
func (h *Hasher) next(lane int) (a attempt, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, user := h.queues[lane].pop()
	if r == nil {
		return a, false
	}
	return attempt{r.Executable, user}, true
}

// again queues files once more, and returns the empty list.
func (h *Hasher) again(list []attempt) []attempt {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range list {
		h.push(a.user, h.waiting[a.ID])
	}
	return nil
}

// finish takes up the answer to a request, and reports whether that is the end
// of it: with retry, it is not if the file could not be read and meanwhile
// another process has asked for it.
func (h *Hasher) finish(r Executable, d Digest, n int64, err error, retry bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Bytes += uint64(n)
	switch {
	case err == nil:
		h.stats.Hashed++
		h.cache.put(r.ID, d)
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrNotRegular):
		h.stats.Skipped++
		h.cache.put(r.ID, Digest{}) // known to be without one
	case errors.Is(err, ErrStalled):
		h.stats.Stalled++
	default:
		h.stats.Failed++
		if retry && h.waiting[r.ID].PID != r.PID {
			return false
		}
	}
	h.forget(h.waiting[r.ID])
	if err == nil {
		select {
		case h.done <- struct{}{}:
		default:
		}
	}
	return true
}
