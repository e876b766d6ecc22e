package collector

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/zeebo/blake3"

	"daemoneye/bus"
	"daemoneye/ledger"
	"daemoneye/roles/api"
	"daemoneye/roles/fact"
	"daemoneye/roles/hasher"
	"daemoneye/roles/log/core"
)

// LedgerConfig is where the collector writes the ledger and what it says of
// itself in it.
type LedgerConfig struct {
	Dir           string // "": there is none
	Name          string // Dir as people know it
	Program       *fact.Program
	Configuration string   // hash
	Restarts      int      // of this role
	Witnesses     []string // public keys
}

const (
	// reopenAfter is between two attempts to open a ledger that can not be.
	reopenAfter = 5 * time.Second
	// ledgerTime bounds what is not an append: that ends when it is done.
	ledgerTime = 30 * time.Second
	// knownEntries are looked at, of the last ones, for entries that were
	// appended and whose answer was lost with the process.
	knownEntries = 2 * api.MaxLedgerEntries
)

// ledgerKeeper has the ledger open. While it can not be opened it tries again;
// what comes then is refused, and the agent keeps it.
type ledgerKeeper struct {
	cfg   LedgerConfig
	log   *core.Logger
	wg    sync.WaitGroup
	stop  chan struct{}
	tried chan struct{} // closed after the first attempt to open it
	turn  sync.Mutex    // of a request: one at a time, whatever the connection

	mu       sync.Mutex
	open     *ledger.Log // nil: not
	err      error       // why not, or why it could not be written last
	signedAt time.Time

	// Of who has turn.
	done   api.LedgerRequest // the last one that was done, without its content
	answer api.LedgerAnswer  // to the last one
	known  map[string]bool   // entries at the end of the log when it was opened; nil once one was appended
}

func newLedgerKeeper(cfg LedgerConfig, log *core.Logger) *ledgerKeeper {
	k := &ledgerKeeper{cfg: cfg, log: log, stop: make(chan struct{}), tried: make(chan struct{}), err: errors.New("it is being opened")}
	if cfg.Dir == "" {
		k.err = errors.New("the collector has none")
		close(k.tried)
	}
	return k
}

// describe says what is to be entered of this start. It reads /proc, which the
// cage may close.
func (c *collector) describe() (list []fact.Fields) {
	own := fact.Process(os.Getpid())
	own["version"], own["configuration"], own["source"], own["restarts"] = c.cfg.Version, c.cfg.Ledger.Configuration, c.source(), c.cfg.Ledger.Restarts
	if killed := c.cfg.Killed; killed != nil {
		own["killed"] = map[string]int{"pid": killed.PID, "signal": killed.Signal}
	}
	list = append(list, own)
	if c.cfg.Hasher != nil {
		list = append(list, fact.Process(c.cfg.Hasher.PID()))
	}
	return list
}

// recordStart opens the ledger and enters what describe has said, and the cage.
func (c *collector) recordStart(started []fact.Fields) {
	c.agent.mu.Lock()
	confined := c.agent.confined
	c.agent.mu.Unlock()
	if confined != nil {
		w := &confined.walls
		started[0]["filter"], started[0]["landlock"], started[0]["missing"] = w.Seccomp, w.Landlock, w.Missing
	}
	c.agent.ledger.start(started)
}

// start opens the ledger beside what the collector does, and enters that this
// role, and with a second description the hasher, have started.
func (k *ledgerKeeper) start(started []fact.Fields) {
	if k.cfg.Dir == "" {
		return
	}
	k.wg.Go(func() {
		err := k.tryOpen()
		close(k.tried)
		for said := ""; err != nil; err = k.tryOpen() {
			if text := err.Error(); text != said {
				k.log.Error("open the ledger", core.String("dir", k.cfg.Name), core.Err(err))
				said = text
			}
			select {
			case <-k.stop:
				return
			case <-time.After(reopenAfter):
			}
		}
		if k.cfg.Program != nil {
			started[0]["program"] = k.cfg.Program.Hash()
		}
		for i, role := range []string{Name, hasher.Name}[:len(started)] {
			k.enter(fact.RoleStart, role, started[i])
		}
	})
}

func (k *ledgerKeeper) tryOpen() error {
	log, err := ledger.Open(k.cfg.Dir, ledger.Config{
		Actor: ownActor(), Witnesses: k.cfg.Witnesses,
		OnCheckpoint: func([]byte) {
			k.mu.Lock()
			k.signedAt = time.Now()
			k.mu.Unlock()
		},
	})
	known := map[string]bool{}
	if err == nil {
		var last []ledger.Entry
		if last, err = log.Reader().Last(knownEntries); err == nil {
			for i := range last {
				known[identity(&last[i])] = true
			}
		} else {
			err = errors.Join(err, log.Close())
		}
	}
	if err != nil {
		k.failed(err)
		return err
	}
	k.turn.Lock()
	k.known = known
	k.turn.Unlock()
	k.mu.Lock()
	k.open, k.err = log, nil
	k.mu.Unlock()
	k.log.Info("ledger opened", core.String("dir", k.cfg.Name), core.Int64("entries", int64(log.Size())), core.String("public_key", log.PublicKey()))
	if r := log.Recovery(); r.Mended() {
		k.log.Warn("the ledger's end was torn and is gone; nothing that was acknowledged", core.Int64("entry", int64(r.TornAt)), core.Int64("bytes", r.Torn))
		k.enter(fact.LedgerMended, "", fact.Fields{
			"checkpoint": r.Checkpoint, "entries": r.Entries, "torn": r.Torn, "torn_at": r.TornAt, "torn_hash": r.TornHash.String(), "reason": r.Reason.Error(),
		})
	}
	return nil
}

// identity tells entries apart that are not the same fact: payloads hold the
// time of it.
func identity(e *ledger.Entry) string {
	return e.Action + "\n" + e.Subject + "\n" + e.Correlation + "\n" + e.PayloadHash.String()
}

func ownActor() ledger.Actor {
	return ledger.Actor{Role: Name, PID: uint32(os.Getpid()), UID: uint32(os.Geteuid())}
}

// enter appends a fact of this role's own; it waits for the disk.
func (k *ledgerKeeper) enter(action, subject string, fields fact.Fields) {
	k.mu.Lock()
	log := k.open
	k.mu.Unlock()
	if log == nil {
		return
	}
	payload, err := fields.Encode(time.Now())
	if err == nil {
		_, err = log.Append(context.Background(), ledger.Entry{Actor: ownActor(), Action: action, Subject: subject, Payload: payload})
	}
	if err != nil {
		k.failed(err)
		k.log.Error("enter in the ledger", core.String("action", action), core.Err(err))
	}
}

func (k *ledgerKeeper) failed(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

// close enters that the collector stops, and closes the ledger.
func (k *ledgerKeeper) close(why error) {
	close(k.stop)
	k.wg.Wait()
	if k.open == nil {
		return
	}
	fields := fact.Fields{"reason": "it was told to"}
	if why != nil {
		fields["reason"] = why.Error()
	}
	k.enter(fact.RoleStop, Name, fields)
	if err := k.open.Close(); err != nil {
		k.log.Error("close the ledger", core.Err(err))
	}
}

// status is what heartbeats tell.
func (k *ledgerKeeper) status() *api.LedgerStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &api.LedgerStatus{Dir: k.cfg.Name, SignedAt: k.signedAt}
	if k.err != nil {
		s.Error = k.err.Error()
	}
	if k.open != nil {
		stats := k.open.Stats()
		s.Size, s.Checkpoint, s.PublicKey = stats.Size, stats.Checkpoint, k.open.PublicKey()
		if s.Error == "" {
			s.Error = stats.CheckpointError
		}
	}
	return s
}

// serve does what the agent asks for on a connection and answers.
func (k *ledgerKeeper) serve(ctx context.Context, conn *bus.Conn, r api.LedgerRequest) {
	select {
	case <-k.tried:
	case <-ctx.Done():
		return
	}
	k.turn.Lock()
	if r.Run != k.done.Run || r.ID != k.done.ID {
		answer := k.perform(ctx, conn.Peer(), &r)
		answer.ID = r.ID
		k.done, k.answer = api.LedgerRequest{}, answer
		if answer.Error == "" {
			k.done = api.LedgerRequest{Run: r.Run, ID: r.ID}
		}
	}
	body, err := msgpack.Marshal(&k.answer)
	k.turn.Unlock()
	if err == nil {
		_, err = conn.Call(ctx, api.LedgerAppended, body)
	}
	if err != nil && ctx.Err() == nil {
		k.log.Debug("answer about the ledger", core.Err(err)) // the agent asks again
	}
}

func (k *ledgerKeeper) perform(ctx context.Context, agent bus.Peer, r *api.LedgerRequest) (answer api.LedgerAnswer) {
	k.mu.Lock()
	log, err := k.open, k.err
	k.mu.Unlock()
	if log == nil {
		return api.LedgerAnswer{Error: err.Error()}
	}
	if r.Do == api.LedgerAppend {
		answer, err = k.append(ctx, log, agent, r.Entries)
		k.failed(err)
		if err != nil {
			answer.Error = err.Error()
		}
		return answer
	}
	ctx, cancel := context.WithTimeout(ctx, ledgerTime)
	defer cancel()
	switch r.Do {
	case api.LedgerCheckpoint:
		answer.Signed, err = log.Checkpoint(ctx)
	case api.LedgerCosign:
		err = log.AddCosignature(ctx, r.Signed)
	case api.LedgerRotate:
		answer.PublicKey, err = log.RotateKey(ctx)
	default:
		err = errors.New("the collector does not know what to do: " + r.Do)
	}
	if err != nil {
		answer.Error = err.Error()
	}
	return answer
}

// append enters what the agent tells. An entry that the ledger can not hold is
// left out and counted; of those at its end when it was opened none is entered
// twice.
func (k *ledgerKeeper) append(ctx context.Context, log *ledger.Log, agent bus.Peer, told []api.LedgerEntry) (answer api.LedgerAnswer, err error) {
	var list []ledger.Entry
	for i := range told {
		e := entry(&told[i], agent)
		if e.Actor.Role == Name || e.Actor.Role == "ledger" || strings.HasPrefix(e.Action, "ledger.key.") { // none of the agent's
			answer.Refused++
			continue
		}
		b, err := e.MarshalBinary()
		switch {
		case err != nil || len(b) > api.MaxLedgerBytes:
			answer.Refused++
		case !k.known[identity(&e)]:
			list = append(list, e)
		}
	}
	if len(list) > 0 {
		answer.First, err = log.Append(ctx, list...)
	}
	if err == nil {
		k.known = nil
	}
	return answer, err
}

// entry is what the agent tells, of whom the kernel says who it is.
func entry(told *api.LedgerEntry, agent bus.Peer) ledger.Entry {
	e := ledger.Entry{
		Actor:  ledger.Actor{Role: told.Role, PID: told.PID, UID: told.UID},
		Action: told.Action, Subject: told.Subject, Correlation: told.Correlation, Payload: told.Payload,
		PayloadHash: blake3.Sum256(told.Payload),
		Time:        time.Unix(0, 0), // the ledger sets it
	}
	if told.Role == "daemoneye-agent" {
		e.Actor.PID, e.Actor.UID = uint32(agent.PID), agent.UID
	}
	return e
}
