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

// Digest holds the digests of one file in hex.
type Digest struct {
	SHA256 string
	BLAKE3 string
}

// Executable is the file that a process runs, to be read within a budget.
type Executable struct {
	PID     int32
	ID      FileID
	MaxFile int64 // bytes; a larger one is not read
	Rate    int64 // bytes read per second
}

// Lane is 1 for large files, of which reading one takes more than a second, and
// 0 for others: these do not wait for those.
func (r Executable) Lane() int {
	if r.ID.Size > r.Rate {
		return 1
	}
	return 0
}

// Lanes is how many there are.
const Lanes = 2

// Why there is no digest.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrTooLarge   = errors.New("larger than the limit")
	ErrOther      = errors.New("another file by now")
	ErrStalled    = errors.New("the read does not come back")
)

// Digester computes the digests of executables, in each lane one after another.
// While both are busy each has half of the bytes per second. A file is read
// through /proc/PID/exe, so one that has been deleted is read like any other.
type Digester struct {
	stall time.Duration // for how long one read may take
	limit *rate.Limiter
	turns [Lanes]sync.Mutex

	mu    sync.Mutex
	stuck [Lanes]int
}

// Limits of the reading of one file.
const (
	hashChunk = 256 << 10
	maxStuck  = 4 // reads of a lane that hang in the kernel; more are not begun
)

// NewDigester returns a Digester; a stall of 0 is 10 s.
func NewDigester(stall time.Duration) *Digester {
	if stall <= 0 {
		stall = 10 * time.Second
	}
	return &Digester{stall: stall, limit: rate.NewLimiter(0, hashChunk)}
}

// chunk is what the reading goroutine hands over.
type chunk struct {
	data []byte
	err  error // io.EOF at the end
}

// Digest reads the file once, and returns how many bytes that was. The reads are
// made by another goroutine, since one from a dead file server may never return;
// after the stall it is left behind.
func (g *Digester) Digest(ctx context.Context, r Executable) (d Digest, n int64, err error) {
	lane := r.Lane()
	g.turns[lane].Lock()
	defer g.turns[lane].Unlock()
	g.mu.Lock()
	if g.stuck[lane] >= maxStuck {
		g.mu.Unlock()
		return d, 0, fmt.Errorf("%d reads hang: %w", maxStuck, ErrStalled)
	}
	g.stuck[lane]++ // until read ends
	g.mu.Unlock()
	chunks, free := make(chan chunk), make(chan []byte, 2)
	free <- make([]byte, hashChunk)
	free <- make([]byte, hashChunk)
	left := make(chan struct{})
	defer close(left)
	go func() {
		r.read(chunks, free, left)
		g.mu.Lock()
		g.stuck[lane]--
		g.mu.Unlock()
	}()
	g.limit.SetLimit(rate.Limit(r.Rate))
	sha, blake := sha256.New(), blake3.New()
	timer := time.NewTimer(g.stall)
	defer timer.Stop()
	for {
		timer.Reset(g.stall)
		select {
		case <-ctx.Done():
			return d, n, ctx.Err()
		case <-timer.C:
			return d, n, ErrStalled
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
			if err := g.limit.WaitN(ctx, len(c.data)); err != nil {
				return d, n, err
			}
			free <- c.data[:hashChunk]
		}
	}
}

// read sends the file's contents, then io.EOF, or another error.
func (r Executable) read(chunks chan<- chunk, free <-chan []byte, left <-chan struct{}) {
	send := func(c chunk) bool {
		select {
		case chunks <- c:
			return true
		case <-left:
			return false
		}
	}
	f, err := r.open()
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
		if total += int64(n); total > r.MaxFile {
			err = ErrTooLarge
		}
		if n > 0 && err == nil {
			if !send(chunk{data: buf[:n]}) {
				return
			}
			continue
		}
		if err == io.EOF {
			// Written to meanwhile: what was read is nothing that the file ever was.
			if id, statErr := openedID(f); statErr != nil || id != r.ID {
				err = ErrOther
			}
		}
		send(chunk{err: err})
		return
	}
}

// open opens the process's executable and makes sure that it is the one asked
// for: the pid may be another process's by now.
func (r Executable) open() (*os.File, error) {
	f, err := openExecutable(r.PID)
	if err != nil {
		return nil, err
	}
	id, err := openedID(f)
	switch {
	case err != nil:
	case id != r.ID:
		err = ErrOther
	case id.Size > r.MaxFile:
		err = ErrTooLarge
	default:
		return f, nil
	}
	_ = f.Close()
	return nil, err
}
