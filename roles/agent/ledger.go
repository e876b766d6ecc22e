package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"go.uber.org/zap"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/ledger"
	"daemoneye/platform"
	"daemoneye/roles/api"
	"daemoneye/roles/fact"
)

const (
	// recordQueue and recordBytes bound the facts that wait for the ledger. One
	// that finds the queue full is lost and counted; a fact.LedgerGap tells of
	// it when the ledger can be written again.
	recordQueue = 4096
	recordBytes = 4 << 20
	// ledgerAnswer is how long the collector has to take a request, and then to
	// answer it.
	ledgerAnswer = 30 * time.Second
	// recordAgain is how long after a failure it is tried again.
	recordAgain = time.Second
)

// recorder has facts entered in the ledger, which only the collector writes.
// Nothing waits for it but close.
type recorder struct {
	log  *zap.Logger
	file string // keeps what waits while the agent does not run
	run  string
	turn chan struct{}          // of capacity 1: one request at a time
	ask  chan api.LedgerRequest // taken by a collector's connection
	wake chan struct{}          // of capacity 1

	mu       sync.Mutex
	queue    []api.LedgerEntry
	bytes    int
	kept     int // of the queue's first entries: they are in the file
	lost     lostFacts
	given    uint64 // lost, since the start
	recorded uint64
	err      error                 // of the last attempt; nil after a good one
	last     uint64                // number of a request
	asked    uint64                // that of the one that is being answered
	open     chan api.LedgerAnswer // to it; nil: nobody waits
}

// lostFacts are those of which no entry tells yet.
type lostFacts struct {
	count    uint64
	from, to time.Time
}

func newRecorder(log *zap.Logger, file string) *recorder {
	return &recorder{
		log: log, file: file, run: fmt.Sprintf("%016x", rand.Uint64()), turn: make(chan struct{}, 1),
		ask: make(chan api.LedgerRequest), wake: make(chan struct{}, 1),
	}
}

// record has a fact entered that the agent itself has made or seen.
func (r *recorder) record(action, subject, correlation string, fields fact.Fields) {
	r.recordOf(api.LedgerEntry{Role: Name}, action, subject, correlation, fields)
}

// operator has a fact entered of what a client has asked for.
func (r *recorder) operator(peer bus.Peer, action, subject string, fields fact.Fields) {
	r.recordOf(api.LedgerEntry{Role: string(bus.Operator), PID: uint32(peer.PID), UID: peer.UID}, action, subject, "", fields)
}

func (r *recorder) recordOf(e api.LedgerEntry, action, subject, correlation string, fields fact.Fields) {
	now := time.Now()
	payload, err := fields.Encode(now)
	if err != nil || len(payload) > ledger.MaxPayload {
		payload, _ = fact.Fields{"left_out": len(payload)}.Encode(now)
	}
	e.Action, e.Subject, e.Correlation, e.Payload = action, subjectText(subject), correlation, payload
	r.mu.Lock()
	defer r.mu.Unlock()
	size := entrySize(&e)
	if len(r.queue) >= recordQueue || r.bytes+size > recordBytes {
		r.lose(1, now)
		return
	}
	r.queue = append(r.queue, e)
	r.bytes += size
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// subjectText is what of a text becomes a subject.
func subjectText(s string) string { return event.CutText(event.Clean(s), 1024) }

func entrySize(e *api.LedgerEntry) int { return 128 + len(e.Subject) + len(e.Payload) }

func (r *recorder) lose(n uint64, now time.Time) {
	if r.lost.count == 0 {
		r.lost.from = now
	}
	r.lost.count += n
	r.lost.to = now
	r.given += n
}

// queueGap puts into the queue, be it full, what is lost.
func (r *recorder) queueGap() {
	l := r.lost
	payload, err := fact.Fields{"lost": l.count, "from": fact.Time(l.from), "to": fact.Time(l.to)}.Encode(time.Now())
	if err == nil {
		e := api.LedgerEntry{Role: Name, Action: fact.LedgerGap, Payload: payload}
		r.queue, r.bytes, r.lost = append(r.queue, e), r.bytes+entrySize(&e), lostFacts{}
	}
}

// follow sends what is recorded to the collector until ctx ends.
func (r *recorder) follow(ctx context.Context) {
	for {
		list := r.batch()
		if len(list) > 0 {
			if !r.deliver(ctx, api.LedgerRequest{Do: api.LedgerAppend, ID: r.number(), Entries: list}) {
				return
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
	}
}

// deliver asks for the same until it is done; false when ctx has ended.
func (r *recorder) deliver(ctx context.Context, q api.LedgerRequest) bool {
	for said := false; ; {
		answer, err := r.do(ctx, q)
		if err == nil {
			r.done(q.Entries, answer)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
		if !said {
			r.log.Warn("the ledger can not be written; what is to be entered waits", zap.Error(err))
			said = true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(recordAgain):
		}
	}
}

// number returns that of the next request.
func (r *recorder) number() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	return r.last
}

// batch returns the next entries, which stay in the queue until they are on the
// collector's disk.
func (r *recorder) batch() []api.LedgerEntry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 && r.lost.count > 0 {
		// The queue was full when they were lost, so all before has been entered.
		r.queueGap()
	}
	n, size := 0, 0
	for n < len(r.queue) && n < api.MaxLedgerEntries && size < api.MaxLedgerBytes-ledger.MaxPayload {
		size += entrySize(&r.queue[n])
		n++
	}
	return r.queue[:n:n]
}

// done notes that a batch is on the collector's disk.
func (r *recorder) done(list []api.LedgerEntry, answer api.LedgerAnswer) {
	r.mu.Lock()
	r.err = nil
	for i := range list {
		r.bytes -= entrySize(&list[i])
	}
	r.queue = r.queue[len(list):]
	if len(r.queue) == 0 {
		r.queue = nil // gives its memory back
	}
	r.recorded += uint64(len(list) - answer.Refused)
	if answer.Refused > 0 {
		r.lose(uint64(answer.Refused), time.Now())
	}
	was := r.kept
	r.kept = max(0, r.kept-len(list))
	remove := was > 0 && r.kept == 0
	r.mu.Unlock()
	if remove {
		if err := os.Remove(r.file); err != nil {
			r.log.Warn("remove what was entered in the ledger", zap.Error(err))
		}
	}
}

// do has the collector do what is asked and returns its answer. What is asked
// again with the same number is not done twice.
func (r *recorder) do(ctx context.Context, q api.LedgerRequest) (answer api.LedgerAnswer, err error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return answer, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, ledgerAnswer, errors.New("the collector, which writes the ledger, does not answer"))
	defer cancel()
	open := make(chan api.LedgerAnswer, 1)
	q.Run = r.run
	r.mu.Lock()
	r.asked, r.open = q.ID, open
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.open = nil
		r.mu.Unlock()
	}()
	select {
	case r.ask <- q:
	case <-ctx.Done():
		return answer, context.Cause(ctx)
	}
	select {
	case answer = <-open:
	case <-ctx.Done():
		return answer, context.Cause(ctx)
	}
	if answer.Error != "" {
		err = errors.New(event.Clean(answer.Error))
	}
	return answer, err
}

// serve answers api.LedgerAppend until the connection ends.
func (r *recorder) serve(ctx context.Context, c *bus.Call) error {
	taken := uint64(0)
	defer func() { _ = r.answered(api.LedgerAnswer{ID: taken, Error: "the collector went away"}) }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case q := <-r.ask:
			taken = q.ID
			body, err := encode(&q)
			if err != nil {
				return err
			}
			if err := c.Reply(ctx, body); err != nil {
				return err
			}
		}
	}
}

// take answers api.LedgerAppended.
func (r *recorder) take(_ context.Context, c *bus.Call) error {
	var answer api.LedgerAnswer
	if err := msgpack.Unmarshal(c.Body, &answer); err != nil {
		return fmt.Errorf("decode the ledger's answer: %w", err)
	}
	return r.answered(answer)
}

func (r *recorder) answered(answer api.LedgerAnswer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil || answer.ID != r.asked {
		return fmt.Errorf("nobody waits for an answer about the ledger with number %d", answer.ID)
	}
	r.open <- answer
	r.open = nil
	return nil
}

// pass answers a request of an operator with what the collector says. What
// changes the ledger is entered with who asked for it.
func (r *recorder) pass(do string) bus.Handler {
	return func(ctx context.Context, c *bus.Call) error {
		if do != api.LedgerCheckpoint {
			r.operator(c.Peer, do, "", nil)
		}
		answer, err := r.do(ctx, api.LedgerRequest{Do: do, ID: r.number(), Signed: slices.Clone(c.Body)})
		if err != nil {
			return err
		}
		return finish(ctx, c, &answer)
	}
}

// restore takes up what the agent before this one could not have entered.
func (r *recorder) restore() {
	data, err := platform.ReadRegular(r.file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var list []api.LedgerEntry
	if err == nil {
		err = json.Unmarshal(data, &list) // msgpack believes lengths
	}
	if err != nil {
		r.log.Error("read what waits for the ledger", zap.Error(err))
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lose(1, time.Now())
		return
	}
	list = list[:min(len(list), recordQueue)]
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue, r.kept = append(list, r.queue...), len(list)
	for i := range list {
		r.bytes += entrySize(&list[i])
	}
}

// close keeps what waits for the next start.
func (r *recorder) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost.count > 0 {
		r.queueGap()
	}
	if len(r.queue) == 0 {
		return nil
	}
	data, err := json.Marshal(r.queue)
	if err == nil {
		err = platform.ReplaceFile(r.file, data, 0o640, true)
	}
	if err != nil {
		return fmt.Errorf("keep %d entries for the ledger: %w", len(r.queue), err)
	}
	return nil
}

// status completes what the collector has said of the ledger.
func (r *recorder) status(s *api.LedgerStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Recorded, s.Waiting, s.Lost = r.recorded, len(r.queue), r.given
	if s.Error == "" && r.err != nil {
		s.Error = r.err.Error()
	}
}

// ledgerFile is what waits for the ledger while no agent runs.
func (a *agent) ledgerFile() string {
	return filepath.Join(a.dirs.path(a.cfg.Config.Paths.Store), "ledger.pending")
}

// ledgerStatus is what is known of the ledger.
func (a *agent) ledgerStatus() (s api.LedgerStatus) {
	if told := a.registry.ledger(); told != nil {
		s = *told
	}
	s.Dir = a.cfg.Config.Paths.Ledger
	a.recorder.status(&s)
	return s
}
