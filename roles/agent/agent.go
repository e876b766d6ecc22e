// Package agent is the role that faces the world: the broker of the bus, the
// store, the rules, and the answers to clients. It holds no privileges.
package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"go.uber.org/zap"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/platform"
	"daemoneye/roles/api"
	"daemoneye/roles/config"
	"daemoneye/roles/fact"
	"daemoneye/roles/handoff"
	"daemoneye/roles/history"
	"daemoneye/roles/ruleset"
	"daemoneye/roles/term"
	"daemoneye/rules"
	"daemoneye/store"
)

// Config is what Run needs.
type Config struct {
	Config     *config.Config
	Log        *zap.Logger
	Version    string
	Token      handoff.Token                                            // of the collector that runs already; without a key there is none yet
	TokenFile  string                                                   // where a token is written for a collector that is started by hand; "": nowhere
	Tokens     func(ctx context.Context, add func(handoff.Token)) error // of later ones; returns when the supervisor is gone. May be nil
	Dirs       map[string]int                                           // directory → descriptor, see handoff.Start
	Reload     <-chan os.Signal                                         // each value reloads the rules and opens the alert file anew
	Restarts   int
	Killed     *handoff.Killed // the agent before this one, when a signal ended it
	Program    *fact.Program   // nil: its hash is not entered in the ledger
	Supervisor int             // pid, 0 when there is none
	Out        *term.Output    // for a person: opening lines and alerts; nil: none
	Verbose    bool            // to Out also each new process
	Invocation string          // how a person runs the client
	Cores      int             // that a query may use; as many as GOMAXPROCS
	Users      userNames       // of the roles
	Walls      *platform.Walls // of the cage that it is in; nil: none

	readPatience time.Duration // for how long a client may leave an answer unread while others wait; 10 s
}

// PermanentError is an error that would come again if the agent were started
// again as it is.
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return e.Err.Error() }
func (e *PermanentError) Unwrap() error { return e.Err }

type agent struct {
	cfg       Config
	log       *zap.Logger
	started   time.Time
	host      string
	store     *store.Store
	view      *history.View
	matcher   *rules.Matcher
	detect    *detector
	ingest    *ingester
	gaps      *gapLog
	broker    *bus.Broker
	registry  *registry
	jsonl     *jsonlSink   // nil when there is none
	metrics   *metricsFile // nil when there is none
	token     *tokenFile   // nil when there is none
	out       *term.Output // Config.Out behind the curtain; nil when there is none
	curtain   *curtain
	display   *display // nil when there is none
	turns     *turns
	seldom    seldom
	questions *questions
	recorder  *recorder
	queries   queryLog
	dirs      dirs

	unpublished atomic.Int64 // alerts that the bus did not take

	reloading sync.Mutex
	switched  ruleset.Switches // guarded by reloading

	past         pastRules
	switchesLost string                    // why it is not known which rules were switched; set before it serves
	onDisk       uint64                    // the fingerprint of what was read last; guarded by reloading
	rejected     atomic.Pointer[rules.Set] // what was read last and is not in force; nil: it is
}

// Run runs the agent until ctx ends or the supervisor is gone, and returns
// when everything is stored and closed.
func Run(ctx context.Context, cfg Config) error {
	a := newAgent(cfg)
	if cfg.Out != nil {
		a.display = newDisplay(cfg.Out.Writer, cfg.Log)
		defer a.display.close()
		out := *cfg.Out
		out.Writer = a.display
		a.cfg.Out = &out
	}
	if err := a.open(ctx); err != nil {
		return errors.Join(err, a.close())
	}
	err := a.serve(ctx)
	return errors.Join(err, a.close())
}

func newAgent(cfg Config) *agent {
	cfg.Cores = cmp.Or(cfg.Cores, runtime.GOMAXPROCS(0))
	return &agent{
		cfg: cfg, log: cfg.Log, started: time.Now(), host: hostName(), dirs: cfg.Dirs,
		gaps: &gapLog{}, registry: newRegistry(), turns: newTurns(cmp.Or(cfg.readPatience, readPatience)),
		questions: newQuestions(),
	}
}

// open makes everything that serve then runs.
func (a *agent) open(ctx context.Context) (err error) {
	c := a.cfg.Config
	a.recorder = newRecorder(a.log, a.ledgerFile())
	if err := a.openStore(ctx); err != nil {
		return err
	}
	a.recorder.restore() // the file is ours now that the store is locked
	if a.cfg.TokenFile != "" {
		if a.token, err = writeToken(a.cfg.TokenFile); err != nil {
			return &PermanentError{err}
		}
	}
	if c.Alerts.JSONL.Path != "" {
		if a.jsonl, err = newJSONLSink(a.dirs.path(c.Alerts.JSONL.Path)); err != nil {
			return &PermanentError{err}
		}
	}
	if a.switched, err = ruleset.ReadSwitches(a.stateDir()); err != nil {
		a.switchesLost = a.named(err).Error() // the rules are run as their files say
		a.log.Error("read which rules are switched", zap.String("error", a.switchesLost))
	}
	if path := c.Paths.Metrics; path != "" {
		a.metrics = &metricsFile{path: a.dirs.path(path), name: path}
	}
	a.recordStart()
	set := a.firstRules()
	a.recordRules(set)
	a.matcher = rules.NewMatcher(set, history.MatcherConfig(c, history.Stored(c, a.store)))
	a.view = &history.View{Store: a.store, Rules: a.ruleRows, Connected: a.connected, Ledger: a.dirs.path(c.Paths.Ledger), Connections: a.questions.connections}
	if a.broker, err = bus.NewBroker(bus.Config{Access: access(), MaxConns: maxConnections, Log: a.busEvent}); err != nil {
		return err
	}
	grouper := rules.NewGrouper(rules.GrouperConfig{Host: a.host})
	if err := a.restore(ctx, grouper, set); err != nil {
		return err
	}
	a.detect = &detector{
		store: a.store, view: a.view, matcher: a.matcher, grouper: grouper, gaps: a.gaps,
		publish: a.publishAlert, record: a.recorder.record, log: a.log, queue: make(chan stored, detectQueue),
	}
	a.ingest = &ingester{
		store: a.store, detect: a.detect, log: a.log,
		queue: make(chan *bus.Ingest, ingestQueue), own: make(chan *event.Batch, ownQueue), refused: map[string]uint64{},
	}
	if err := a.broker.HandleIngest(api.EventsTopic+"+", a.ingest); err != nil {
		return err
	}
	for name, handler := range a.handlers() {
		if err := a.broker.HandleRequest(name, handler); err != nil {
			return err
		}
	}
	return nil
}

// readersPatience bounds the wait for clients that read the store at rest.
const readersPatience = time.Minute

// openStore opens the store. A client that found no agent may be reading it
// for a moment; any other failure would be the same the next time.
func (a *agent) openStore(ctx context.Context) (err error) {
	c := a.cfg.Config
	config := store.Config{
		MaxAge: unlimited(c.Store.Retention.Age), MaxBytes: unlimited(c.Store.Retention.Bytes), Log: a.log, OnSealed: a.recordSealed,
	}
	for begun := time.Now(); ; {
		a.store, err = store.Open(a.dirs.path(c.Paths.Store), config)
		if !errors.Is(err, store.ErrReaders) || ctx.Err() != nil {
			break
		}
		if time.Since(begun) > readersPatience {
			return a.named(err) // the supervisor starts this role again
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	switch {
	case errors.Is(err, store.ErrLocked):
		running := &runningError{dir: c.Paths.State}
		var locked *store.LockedError
		if errors.As(err, &locked) {
			running.pid = locked.PID
		}
		return &PermanentError{running}
	case errors.Is(err, store.ErrDiskFull):
		return a.named(err) // the supervisor tries again
	case err != nil:
		return &PermanentError{a.named(err)}
	}
	if err := a.store.Space(); err != nil {
		a.log.Warn(a.named(err).Error())
	}
	return nil
}

// runningError says that another agent has the data directory.
type runningError struct {
	pid int // 0: not known
	dir string
}

func (e *runningError) Error() string {
	if e.pid == 0 {
		return "another agent is already running on " + e.dir
	}
	return fmt.Sprintf("already running as pid %d on %s", e.pid, e.dir)
}

// HintText says what can be done about it.
func (e *runningError) HintText() string {
	return "leave it and ask it with the client commands, or stop it first; --data-dir DIR starts another instance beside it"
}

// named tells an error of the store or the socket with the name of its directory
// as people know it: the agent may have it only as a descriptor.
func (a *agent) named(err error) error {
	text := err.Error()
	for _, dir := range []string{a.cfg.Config.Paths.Store, a.cfg.Config.Paths.Run} {
		if as := a.dirs.path(dir); as != dir { // "…/7" is no part of "…/71"
			text = regexp.MustCompile(regexp.QuoteMeta(as)+`\b`).ReplaceAllLiteralString(text, dir)
		}
	}
	return &namedError{err, text}
}

type namedError struct {
	err  error
	text string
}

func (e *namedError) Error() string { return e.text }
func (e *namedError) Unwrap() error { return e.err }

// maxConnections bounds the clients that are connected at once.
const maxConnections = 256

// unlimited turns the configuration's 0, no limit, into the store's.
func unlimited[T ~int64](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

// restore takes up open alerts and known gaps where the last run left them.
func (a *agent) restore(ctx context.Context, grouper *rules.Grouper, set *rules.Set) error {
	longest := time.Hour
	for _, r := range set.Rules {
		longest = max(longest, r.Window)
	}
	var open []event.Alert
	err := a.store.OpenAlerts(ctx, a.started.Add(-longest), func(alert event.Alert) error {
		open = append(open, alert)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read open alerts: %w", err)
	}
	grouper.Restore(open, set)
	request := store.ScanRequest{Table: event.Lookup("event_gaps")}
	err = a.store.Scan(ctx, request, func(_ uint64, b *event.Batch) error {
		a.gaps.add(b)
		return nil
	})
	var damaged *store.DamagedError
	if errors.As(err, &damaged) {
		a.log.Warn("some event gaps can not be read", zap.Error(err))
		return nil
	}
	return err
}

// serve runs until ctx ends. What is started here is stopped here, in the
// order of the data: connections, ingest, rules, sinks.
func (a *agent) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sinks, stopSinks := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSinks()
	var sinkDone, busDone, ingestDone, detectDone sync.WaitGroup
	if err := a.startSinks(sinks, &sinkDone); err != nil {
		return err
	}
	defer sinkDone.Wait()
	defer stopSinks()

	if err := a.detect.catchUp(ctx); err != nil {
		return err
	}
	background := context.WithoutCancel(ctx)
	detectDone.Go(func() { a.detect.run(background) })
	defer detectDone.Wait()
	defer close(a.detect.queue)

	ingesting, stopIngest := context.WithCancel(background)
	ingestDone.Go(func() { a.ingest.run(ingesting) })
	defer ingestDone.Wait()
	defer stopIngest()

	recording, stopRecording := context.WithCancel(background)
	var recordDone sync.WaitGroup
	recordDone.Go(func() { a.recorder.follow(recording) })
	defer recordDone.Wait()
	defer stopRecording()

	listener, err := bus.Listen(a.dirs.path(a.cfg.Config.Paths.Socket))
	if err != nil {
		return &PermanentError{a.named(err)}
	}
	a.seal()
	beats, err := a.broker.Subscribe(api.HeartbeatTopic, bus.Shed)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	busDone.Go(func() { a.followHeartbeats(ctx, beats) })
	busDone.Go(func() { served <- a.broker.Serve(listener) })
	busDone.Go(func() { a.followSignals(ctx) })
	busDone.Go(func() { a.followRules(ctx) })
	busDone.Go(func() { a.announce(ctx) })
	busDone.Go(func() { a.recordFailures(ctx) })
	if a.metrics != nil {
		busDone.Go(func() { a.writeMetrics(ctx) })
	}
	if a.cfg.Tokens != nil {
		busDone.Go(func() {
			defer cancel() // the supervisor is gone
			if err := a.cfg.Tokens(ctx, a.allow); err != nil {
				a.log.Error("follow the supervisor", zap.Error(err))
			}
		})
	}
	a.allow(a.cfg.Token)
	a.allowFile()
	a.log.Info("agent serves", zap.String("socket", a.cfg.Config.Paths.Socket), zap.String("store", a.cfg.Config.Paths.Store))
	select {
	case <-ctx.Done():
	case err = <-served:
	}
	cancel()
	if a.display != nil {
		a.display.end()
	}
	// The rules still raise alerts from what is stored, and the sinks hear them.
	err = errors.Join(err, a.broker.Disconnect())
	busDone.Wait()
	return err
}

// close closes what open opened.
func (a *agent) close() error {
	var errs []error
	if a.broker != nil {
		errs = append(errs, a.broker.Close())
	}
	if a.jsonl != nil {
		errs = append(errs, a.jsonl.close())
	}
	if a.store != nil { // while the store is still locked
		a.recorder.record(fact.RoleStop, Name, "", fact.Fields{"reason": "it was told to"})
		errs = append(errs, a.recorder.close())
	}
	a.closeToken() // likewise
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	return errors.Join(errs...)
}

func (a *agent) allow(t handoff.Token) {
	if len(t.Key) != len(bus.Token{}) {
		return
	}
	a.broker.AllowToken(bus.Token(t.Key), t.PID)
}

// publishAlert puts a new alert on the bus, where the sinks listen.
func (a *agent) publishAlert(alert *event.Alert) {
	body, err := msgpack.Marshal(alert)
	if err == nil {
		err = a.broker.Publish(context.Background(), api.AlertsTopic+alert.Severity, body)
	}
	if err != nil {
		a.unpublished.Add(1)
		a.log.Error("publish alert", zap.String("alert", alert.ID), zap.String("rule", alert.RuleID), zap.Error(err))
	}
}

func (a *agent) busEvent(e bus.Event) {
	fields := []zap.Field{zap.Error(e.Err)}
	if e.Peer.Role != "" {
		fields = append(fields, zap.String("peer", string(e.Peer.Role)))
	}
	if e.Peer.PID != 0 { // else the kernel did not say
		fields = append(fields, zap.Int("pid", e.Peer.PID), zap.Uint32("uid", e.Peer.UID))
	}
	switch e.Kind {
	case bus.EventConnected, bus.EventClosed:
		a.connection(e)
		if e.Kind == bus.EventClosed && e.Peer.Role == bus.Collector {
			a.allowFile()
		}
		a.log.Debug("connection "+string(e.Kind), fields...)
	default:
		if more, ok := a.seldom.allow(e.Kind, time.Now()); ok {
			a.recorder.record(fact.PeerRefused, string(e.Kind), "", fact.Fields{
				"peer": string(e.Peer.Role), "pid": e.Peer.PID, "uid": e.Peer.UID, "reason": event.CutText(event.Clean(fmt.Sprint(e.Err)), 1024), "more": more,
			})
			a.log.Warn("connection "+string(e.Kind), append(fields, zap.Int("more_not_logged", more))...)
		}
	}
}

// seldom bounds what peers can write into the log: of each kind of event one
// a second.
type seldom struct {
	mu   sync.Mutex
	kind map[bus.EventKind]*repeated
}

type repeated struct {
	last time.Time
	more int // since then
}

// allow reports whether an event is to be logged, and how many were not since
// the last one that was.
func (r *seldom) allow(kind bus.EventKind, now time.Time) (more int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kind == nil {
		r.kind = map[bus.EventKind]*repeated{}
	}
	x := r.kind[kind]
	if x == nil {
		x = &repeated{}
		r.kind[kind] = x
	}
	if now.Sub(x.last) < time.Second {
		x.more++
		return 0, false
	}
	more = x.more
	x.last, x.more = now, 0
	return more, true
}

// followSignals reloads on each value of Config.Reload.
func (a *agent) followSignals(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.cfg.Reload:
			a.followed("SIGHUP")
			if a.jsonl != nil {
				if err := a.jsonl.Reopen(); err != nil {
					a.log.Error("open alert file anew", zap.Error(err))
				}
			}
		}
	}
}
