// Package supervisor is the role behind "daemoneye run": it starts collector
// and agent, starts whichever dies again, passes signals on, and does nothing
// else. It parses no event and no rule and opens no socket.
package supervisor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"daemoneye/platform"
	"daemoneye/roles/config"
	"daemoneye/roles/handoff"
)

// Config is what Run needs.
type Config struct {
	Config      *config.Config
	Log         *zap.Logger
	Correlation string
	Print       bool   // the agent prints for a person on standard output
	Verbose     bool   // and each new process
	Invocation  string // how a person runs the client for this instance
}

// Run keeps collector and agent running until SIGINT or SIGTERM, or until ctx
// ends, and returns when both have closed: first the collector, so that its
// last batches are stored, then the agent. A second signal kills both, unless
// it comes within forceAfter of the first.
func Run(ctx context.Context, cfg Config) error {
	s, err := newSupervisor(cfg)
	if err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	signal.Ignore(syscall.SIGPIPE) // of a log that nobody reads any more
	return s.run(ctx, signals)
}

// forceAfter sets a user who insists apart from a program that signals the
// process and its group: timeout(1) does both.
const forceAfter = time.Second

type supervisor struct {
	Config
	agent, collector *child
	stopTimeout      time.Duration

	mu    sync.Mutex
	token handoff.Token // of the running collector
}

func newSupervisor(cfg Config) (*supervisor, error) {
	s := &supervisor{Config: cfg, stopTimeout: cfg.Config.Supervisor.StopTimeout}
	encoded, err := cfg.Config.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	base := func(restarts int) handoff.Start {
		return handoff.Start{
			Config: encoded, Correlation: cfg.Correlation, Restarts: restarts, Supervisor: os.Getpid(),
			Print: cfg.Print, Verbose: cfg.Verbose, Invocation: cfg.Invocation,
		}
	}
	agentUser, collectorUser, err := users(cfg.Config, cfg.Log)
	if err != nil {
		return nil, err
	}
	var dirs map[string]int
	s.agent = &child{
		role: "daemoneye-agent", log: cfg.Log,
		launch: func() (launch platform.Launch, err error) {
			launch, dirs, err = agentLaunch(cfg.Config, agentUser, ledgerOwner(agentUser, collectorUser))
			return launch, err
		},
		start: func(_, restarts int) handoff.Start {
			start := base(restarts)
			start.Dirs = dirs
			s.mu.Lock()
			start.Token = s.token
			s.mu.Unlock()
			return start
		},
	}
	s.collector = &child{
		role: "procmond", log: cfg.Log,
		launch: func() (platform.Launch, error) {
			ledger, err := openOwned(cfg.Config.Paths.Ledger, ledgerOwner(agentUser, collectorUser), ledgerMode)
			return platform.Launch{
				Name: "procmond", Args: []string{"--supervised"}, User: collectorUser, Groups: []int{agentUser.GID},
				Keep:  platform.CollectorCapabilities(),
				Files: []*os.File{nil, ledger},
			}, err
		},
		started: s.newToken,
		start: func(_, restarts int) handoff.Start {
			start := base(restarts)
			start.Dirs = map[string]int{cfg.Config.Paths.Ledger: handoff.FD + 1}
			s.mu.Lock()
			start.Token = s.token
			s.mu.Unlock()
			return start
		},
	}
	return s, nil
}

// check finds out before anything is started whether the agent has its
// directories.
func (s *supervisor) check() error {
	launch, err := s.agent.launch()
	if err != nil {
		return fmt.Errorf("%s: %w", s.agent.role, &permanentError{err})
	}
	closeAll(launch.Files[1:])
	return nil
}

// ledgerMode gives what is made in the ledger's directory to its group: the
// agent's, which reads it.
const ledgerMode = os.ModeSetgid | 0o750

// ledgerOwner is whose the ledger's directory is: the collector writes it.
func ledgerOwner(agent, collector platform.User) platform.User {
	collector.GID = agent.GID
	return collector
}

// newToken makes a token for the collector that runs as pid and tells the
// agent of it before the collector can use it.
func (s *supervisor) newToken(pid int) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails; crypto/rand ends the program instead
	t := handoff.Token{Key: key, PID: pid}
	s.mu.Lock()
	s.token = t
	s.mu.Unlock()
	s.agent.token(t)
}

// users finds out as whom the roles run: nothing changes without root,
// nor for a root that can not change it, which the log then says.
func users(c *config.Config, log *zap.Logger) (agent, collector platform.User, err error) {
	if os.Geteuid() != 0 {
		self := platform.Self()
		return self, self, nil
	}
	find := func(name, key string) (platform.User, error) {
		u, err := platform.RoleUser(name)
		if err != nil {
			return u, fmt.Errorf("%s: %w", key, err)
		}
		return u, nil
	}
	if agent, err = find(c.Agent.User, "agent.user"); err != nil {
		return agent, collector, err
	}
	if collector, err = find(c.Collector.User, "collector.user"); err != nil {
		return agent, collector, err
	}
	if err := canChange(c.Paths, agent, collector); err != nil {
		self := platform.Self()
		log.Warn("the roles run as "+self.String()+", because root can not change users here: "+err.Error(),
			zap.String("user", self.String()), zap.Stringer("instead_of", agent),
			zap.String("hint", "grant cap_setuid, cap_setgid, cap_kill and cap_chown in a user namespace that has these users, or start it as an unprivileged user"))
		return self, self, nil
	}
	return agent, collector, nil
}

// canChange reports why root can not run the roles as those users, or nil.
func canChange(paths config.Paths, agent, collector platform.User) error {
	for _, u := range []platform.User{agent, collector} {
		if err := platform.CanBecome(u); err != nil {
			return fmt.Errorf("%v: %w", u, err)
		}
	}
	if ownedBy(paths.Store, agent) && ownedBy(paths.Run, agent) && ownedBy(paths.Ledger, collector) {
		return nil
	}
	return platform.CanChown()
}

// agentLaunch opens the directories that the agent uses and describes its
// process. The agent gets each as a descriptor, with the number in dirs.
func agentLaunch(c *config.Config, user, ledgerOwner platform.User) (platform.Launch, map[string]int, error) {
	paths := c.Paths
	launch := platform.Launch{Name: "daemoneye-agent", Args: []string{"--supervised"}, User: user, Files: []*os.File{nil}}
	dirs := map[string]int{}
	inherit := func(path string, f *os.File) {
		dirs[path] = handoff.FD + len(launch.Files)
		launch.Files = append(launch.Files, f)
	}
	var foreign *ownerError // all that are somebody else's, so that one command puts it right
	for _, dir := range []struct {
		path  string
		owner platform.User
		mode  os.FileMode
	}{{paths.Store, user, 0o750}, {paths.Run, user, 0o750}, {paths.Ledger, ledgerOwner, ledgerMode}} {
		f, err := openOwned(dir.path, dir.owner, dir.mode)
		var e *ownerError
		switch {
		case err == nil:
			inherit(dir.path, f)
			continue
		case errors.As(err, &e) && foreign == nil:
			foreign = e
			continue
		case errors.As(err, &e) && e.user.UID != foreign.user.UID:
			continue // one command after the other
		case errors.As(err, &e):
			foreign.dirs = append(foreign.dirs, e.dirs...)
			continue
		}
		closeAll(launch.Files[1:])
		return platform.Launch{}, nil, err
	}
	if foreign != nil {
		closeAll(launch.Files[1:])
		return platform.Launch{}, nil, foreign
	}
	// The default directory of rules must be there for the agent to find rules in
	// it later: its cage opens to what exists.
	if paths.RulesDefault {
		for _, path := range paths.RulesDirs {
			_ = os.MkdirAll(path, 0o755) // else the agent says that it is not there
		}
	}
	// Rules may lie where only root may enter. A directory that can not be
	// opened is the agent's to report.
	for _, path := range paths.RulesDirs {
		if f, err := os.Open(path); err == nil {
			inherit(path, f)
		}
	}
	return launch, dirs, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

func (s *supervisor) run(ctx context.Context, signals <-chan os.Signal) error {
	agentCtx, stopAgent := context.WithCancel(context.Background())
	defer stopAgent()
	collectorCtx, stopCollector := context.WithCancel(context.Background())
	defer stopCollector()

	agentDone, collectorDone := make(chan error, 1), make(chan error, 1)
	go func() { agentDone <- s.agent.run(agentCtx, s.stopTimeout) }()
	go func() { collectorDone <- s.collector.run(collectorCtx, s.stopTimeout) }()

	var agentErr, collectorErr error
	gone := terminals()
	stopping := false
	var asked time.Time // when stopping began
	done := ctx.Done()
	for agentDone != nil || collectorDone != nil {
		select {
		case agentErr = <-agentDone:
			agentDone = nil
		case collectorErr = <-collectorDone:
			collectorDone = nil
		case <-done:
			done, stopping, asked = nil, true, time.Now()
		case sig := <-signals:
			switch {
			case sig == syscall.SIGHUP && !gone():
				s.agent.signal(sig)
				s.collector.signal(sig)
				continue
			case stopping && time.Since(asked) >= forceAfter:
				s.agent.signal(os.Kill)
				s.collector.signal(os.Kill)
			}
			if !stopping {
				stopping, asked = true, time.Now()
			}
		}
		// Neither role is of use without the other for good.
		stopping = stopping || agentDone == nil || collectorDone == nil
		if stopping {
			stopCollector()
		}
		if stopping && collectorDone == nil {
			stopAgent()
		}
	}
	s.removeSocket()
	if agentErr != nil {
		return agentErr
	}
	return collectorErr
}

// removeSocket removes what an agent that was killed has left. One that ends by
// itself removes its own; and where none of ours came to be there may be
// another instance's.
func (s *supervisor) removeSocket() {
	s.agent.mu.Lock()
	killed := s.agent.killed != nil
	s.agent.mu.Unlock()
	path := s.Config.Config.Paths.Socket
	if info, err := os.Lstat(path); !killed || err != nil || info.Mode()&os.ModeSocket == 0 {
		return
	}
	if err := os.Remove(path); err != nil {
		s.Log.Warn("remove socket", zap.Error(err))
	}
}
