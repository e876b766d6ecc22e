package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// ErrLocked is what Open returns while another process has the log open.
	ErrLocked = errors.New("the ledger is open in another process")
	// ErrClosed is what a closed log returns.
	ErrClosed = errors.New("the ledger is closed")
)

const (
	// MaxBatch and MaxBatchBytes bound the entries of one Append.
	MaxBatch      = 4096
	MaxBatchBytes = 4 << 20
	// commitEntries and commitBytes are when a commit takes no more requests.
	commitEntries = 4096
	commitBytes   = 1 << 20
	// commitBundles is in how many bundles one commit can be.
	commitBundles = (commitEntries+MaxBatch)/bundleEntries + 1
	// queued is how many Appends wait before others wait to be queued.
	queued = 256
	// keptBuffer is the largest buffer that is kept for the next commit.
	keptBuffer = 256 << 10
)

// Config is how a log is written; the zero value is the default.
type Config struct {
	// Origin names the log; it is only used when the log is created, and must
	// then be its name. Default: made from the key.
	Origin string
	// Actor is whom the ledger's own entries name. Default: role "ledger", and
	// the process.
	Actor Actor
	// CheckpointEntries and CheckpointAfter: a checkpoint is signed when so
	// many entries have none, or so long after the first of them. Defaults:
	// 16384, 10 s.
	CheckpointEntries int
	CheckpointAfter   time.Duration
	// Witnesses are the public keys whose cosignatures are kept.
	Witnesses []string
	// OnCheckpoint gets each signed checkpoint that has become durable. Appends
	// wait for it.
	OnCheckpoint func(signed []byte)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.Actor == (Actor{}) {
		c.Actor = Actor{Role: "ledger", PID: uint32(os.Getpid()), UID: uint32(os.Getuid())}
	}
	if c.CheckpointEntries <= 0 {
		c.CheckpointEntries = 16384
	}
	if c.CheckpointAfter <= 0 {
		c.CheckpointAfter = 10 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// A Log is a ledger that this process writes. Its methods may be called at the
// same time.
type Log struct {
	dir      string
	config   Config
	lock     *os.File
	recovery Recovery

	// closing keeps Close from closing the channels while something is sent.
	closing  sync.RWMutex
	closed   bool
	requests chan *request
	controls chan func()
	done     chan struct{}
	closeErr error

	size       atomic.Uint64
	commits    atomic.Uint64
	failed     atomic.Uint64
	checkpoint atomic.Pointer[signedCheckpoint]
	publicKey  atomic.Pointer[string]
	signErr    atomic.Pointer[string]

	// What follows belongs to the goroutine run.
	key      *key
	next     *key // in force once its rotation is in the log, in the file key.next
	tree     *tree
	dirs     *dirs
	bundle   *os.File // of the entry that comes next, nil when that begins one
	end      int64    // of the last record in it
	undo     undo
	broken   error // the disk can not be trusted until the log is opened again
	lastTime int64 // ms
	batch    []*request
	buf      []byte
	leaves   []Hash
	due      *time.Timer // of the next checkpoint
	waiting  bool        // for due
}

type signedCheckpoint struct {
	Checkpoint
	note []byte
}

type request struct {
	entries []Entry
	bytes   int
	first   uint64
	err     error
	done    chan struct{}
}

// Append adds entries, which stand one after the other, and returns the
// sequence of the first once all are on disk. Many callers share one fsync. An
// error means that none was added, except that of a context: it ends the
// waiting, not the append. While the disk is full the error is the system's
// (syscall.ENOSPC) and a later Append may succeed.
func (l *Log) Append(ctx context.Context, entries ...Entry) (uint64, error) {
	r := &request{entries: slices.Clone(entries), done: make(chan struct{})}
	for i := range r.entries {
		e := &r.entries[i]
		if err := e.check(); err != nil {
			return 0, err
		}
		if strings.HasPrefix(e.Action, reservedActions) {
			return 0, fmt.Errorf("%w: action %q is the ledger's own", ErrInvalid, e.Action)
		}
		// The caller may use its buffer again when its context ends the waiting.
		e.Payload = slices.Clone(e.Payload)
		r.bytes += recordHead + headerFixed + len(e.Payload) + len(e.Subject)
	}
	if len(entries) == 0 || len(entries) > MaxBatch || r.bytes > MaxBatchBytes {
		return 0, fmt.Errorf("%w: %d entries of %d bytes at once, the limits are %d and %d", ErrInvalid, len(entries), r.bytes, MaxBatch, MaxBatchBytes)
	}
	l.closing.RLock()
	if l.closed {
		l.closing.RUnlock()
		return 0, ErrClosed
	}
	select {
	case l.requests <- r:
		l.closing.RUnlock()
	case <-ctx.Done():
		l.closing.RUnlock()
		return 0, ctx.Err()
	}
	select {
	case <-r.done:
		return r.first, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// do runs f in the goroutine that writes.
func (l *Log) do(ctx context.Context, f func() error) error {
	l.closing.RLock()
	if l.closed {
		l.closing.RUnlock()
		return ErrClosed
	}
	result := make(chan error, 1)
	select {
	case l.controls <- func() { result <- f() }:
		l.closing.RUnlock()
	case <-ctx.Done():
		l.closing.RUnlock()
		return ctx.Err()
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Dir returns where the log is.
func (l *Log) Dir() string { return l.dir }

// Size returns how many entries are on disk.
func (l *Log) Size() uint64 { return l.size.Load() }

// Origin returns the name of the log.
func (l *Log) Origin() string { return l.checkpoint.Load().Origin }

// PublicKey returns the key that signs checkpoints now.
func (l *Log) PublicKey() string { return *l.publicKey.Load() }

// Recovery tells what Open had to mend. The caller records it.
func (l *Log) Recovery() Recovery { return l.recovery }

// Stats counts what a log has done since Open.
type Stats struct {
	Size       uint64 // entries on disk
	Checkpoint uint64 // of them under the newest checkpoint
	Commits    uint64 // that were shared by the Appends
	Failed     uint64 // entries whose Append returned an error of the disk
	// CheckpointError says why the last checkpoint was not written, "" when it was.
	CheckpointError string
}

// Stats returns the counters.
func (l *Log) Stats() Stats {
	s := Stats{
		Size: l.size.Load(), Checkpoint: l.checkpoint.Load().Size,
		Commits: l.commits.Load(), Failed: l.failed.Load(),
	}
	if text := l.signErr.Load(); text != nil {
		s.CheckpointError = *text
	}
	return s
}

// Close signs a last checkpoint and ends the log. Appends that wait are done
// before.
func (l *Log) Close() error {
	l.closing.Lock()
	if !l.closed {
		l.closed = true
		close(l.requests)
	}
	l.closing.Unlock()
	<-l.done
	return l.closeErr
}

func (l *Log) run() {
	defer close(l.done)
	shared := false
	for {
		if shared {
			// Those who were answered just now come with their next entries:
			// else every other commit would be a small one.
			runtime.Gosched()
		}
		select {
		case r, ok := <-l.requests:
			if !ok {
				l.closeErr = l.shut()
				return
			}
			shared = l.serve(r)
		case f := <-l.controls:
			f()
		case <-l.due.C:
			l.waiting = false
			_ = l.sign() // Stats tells
		}
		switch behind := l.size.Load() - l.checkpoint.Load().Size; {
		case l.waiting && l.signErr.Load() != nil: // not at every commit while the disk is full
		case behind >= uint64(l.config.CheckpointEntries):
			_ = l.sign() // Stats tells
		case behind > 0 && !l.waiting:
			l.wait()
		}
	}
}

// wait makes the checkpoint due later.
func (l *Log) wait() {
	l.due.Reset(l.config.CheckpointAfter)
	l.waiting = true
}

// sign writes a checkpoint if there is something new. When it can not, it is
// due again later.
func (l *Log) sign() error {
	if err := l.writeCheckpoint(); err != nil {
		text := err.Error()
		l.signErr.Store(&text)
		l.wait()
		return err
	}
	l.signErr.Store(nil)
	l.due.Stop()
	l.waiting = false
	return nil
}

func (l *Log) shut() error {
	err := l.broken
	if err == nil {
		err = l.writeCheckpoint()
	}
	l.due.Stop()
	if l.bundle != nil {
		err = errors.Join(err, l.bundle.Close())
	}
	return errors.Join(err, l.lock.Close())
}

// serve commits r and what has queued up behind it, and reports whether there
// was any.
func (l *Log) serve(r *request) bool {
	l.batch = append(l.batch[:0], r)
	for entries, bytes := 0, 0; r != nil; {
		if entries, bytes = entries+len(r.entries), bytes+r.bytes; entries >= commitEntries || bytes >= commitBytes {
			break
		}
		select {
		case r = <-l.requests: // nil when they are closed
		default:
			r = nil
		}
		if r != nil {
			l.batch = append(l.batch, r)
		}
	}
	err := l.commit(l.batch)
	for i, r := range l.batch {
		if r.err = err; err != nil {
			r.first = 0
			l.failed.Add(uint64(len(r.entries)))
		}
		close(r.done)
		l.batch[i] = nil
	}
	if err == nil {
		// Nobody waits for it, and the next commit does it if it fails.
		_ = l.tree.writeFull()
	}
	return len(l.batch) > 1
}

func (l *Log) path(name string) string { return filepath.Join(l.dir, name) }
