package supervisor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"daemoneye/platform"
	"daemoneye/roles/handoff"
)

const (
	firstDelay = 200 * time.Millisecond // before the first restart; doubled at each further one
	maxDelay   = 30 * time.Second
	settled    = time.Minute // a child that ran this long starts again at firstDelay
)

// permanentError is the end of a child that restarting will not mend.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// child keeps one role running.
type child struct {
	role    string
	log     *zap.Logger
	launch  func() (platform.Launch, error) // what to start, made anew at each start
	start   func(pid, restarts int) handoff.Start
	started func(pid int) // before the Start message is sent; may be nil

	mu       sync.Mutex
	process  *platform.Process // nil while it is not running
	pipe     *handoff.Parent
	restarts int
	ran      bool            // it could be started
	killed   *handoff.Killed // its last process, when a signal ended that
}

// run starts the role and restarts it whenever it ends, until ctx ends; then
// it asks the role to stop, waits up to stopTimeout and kills it. It returns
// an error when the role can not be run at all, or had to be killed.
func (c *child) run(ctx context.Context, stopTimeout time.Duration) error {
	delay := firstDelay
	for {
		begun := time.Now()
		done, err := c.begin()
		if err == nil {
			select {
			case err = <-done:
			case <-ctx.Done():
				return c.stop(done, stopTimeout)
			}
		}
		c.forget()
		if ctx.Err() != nil {
			return nil
		}
		if permanent(err) || delay == firstDelay && !c.ranOnce() {
			return fmt.Errorf("%s: %w", c.role, &permanentError{err})
		}
		if time.Since(begun) >= settled {
			delay = firstDelay
		}
		wait := delay/2 + rand.N(delay)
		c.log.Warn("role ended, starting it again", zap.String("child", c.role), zap.Error(err),
			zap.Duration("ran", time.Since(begun)), zap.Duration("in", wait), zap.Int("restarts", c.restarts+1))
		delay = min(2*delay, maxDelay)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		c.mu.Lock()
		c.restarts++
		c.mu.Unlock()
	}
}

// ranOnce reports whether the role could ever be started.
func (c *child) ranOnce() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ran
}

// permanent reports whether the way in which a child ended, or could not be
// started, would be the same the next time.
func permanent(err error) bool {
	var exit *platform.ExitError
	if errors.As(err, &exit) {
		return exit.Code == platform.ExitConfig
	}
	return errors.Is(err, os.ErrPermission)
}

// begin starts the process and hands it what it needs. The channel gets the
// end of the process once.
func (c *child) begin() (<-chan error, error) {
	launch, err := c.launch()
	if err != nil {
		return nil, err
	}
	dirs := launch.Files[1:]
	defer closeAll(dirs)
	pipe, end, err := handoff.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = end.Close() }()
	launch.Files[0] = end
	reason, told, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make pipe: %w", err), pipe.Close())
	}
	defer func() { _ = told.Close() }()
	launch.Files = append(launch.Files, told)
	process, err := platform.Start(launch)
	if err != nil {
		return nil, errors.Join(err, pipe.Close(), reason.Close())
	}
	done := make(chan error, 1)
	go func() {
		err := ending(process.Wait(), reason)
		var exit *platform.ExitError
		c.mu.Lock()
		c.killed = nil
		if errors.As(err, &exit) && exit.Signal != 0 {
			c.killed = &handoff.Killed{PID: process.PID, Signal: int(exit.Signal)}
		}
		c.mu.Unlock()
		done <- err
	}()
	c.log.Info("role started", zap.String("child", c.role), zap.Int("pid", process.PID),
		zap.String("user", launch.User.String()), zap.Strings("kept", process.Kept), zap.Strings("unavailable", process.Unavailable))
	if c.started != nil {
		c.started(process.PID)
	}
	// Locked, so that no token overtakes the first message.
	c.mu.Lock()
	defer c.mu.Unlock()
	c.process, c.pipe, c.ran = process, pipe, true
	start := c.start(process.PID, c.restarts)
	start.Killed = c.killed
	start.Reason = handoff.FD + len(launch.Files) - 1
	if err := pipe.Start(start); err != nil {
		c.log.Warn("hand over", zap.String("child", c.role), zap.Error(err))
	}
	return done, nil
}

// endError is the end of a role with what it said about it.
type endError struct {
	exit   error
	reason *handoff.Reason
}

func (e *endError) Error() string   { return e.reason.Message }
func (e *endError) Unwrap() []error { return []error{e.exit, e.reason} }

// ending adds what the role said to the way in which its process ended.
func ending(exit error, f *os.File) error {
	reason := handoff.ReadReason(f)
	_ = f.Close()
	if exit == nil || reason == nil {
		return exit
	}
	return &endError{exit, reason}
}

// stop asks the process to end and waits for it.
func (c *child) stop(done <-chan error, timeout time.Duration) error {
	c.signal(syscall.SIGTERM)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	defer c.forget()
	select {
	case err := <-done:
		if err != nil {
			c.log.Warn("role ended", zap.String("child", c.role), zap.Error(err))
		}
		return nil
	case <-timer.C:
		c.signal(os.Kill)
		<-done
		return fmt.Errorf("%s did not stop within %v and was killed", c.role, timeout)
	}
}

func (c *child) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pipe != nil {
		_ = c.pipe.Close()
	}
	c.process, c.pipe = nil, nil
}

// signal passes sig on when the role runs.
func (c *child) signal(sig os.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != nil {
		_ = c.process.Signal(sig)
	}
}

// token tells the role of a collector's token when it runs.
func (c *child) token(t handoff.Token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pipe == nil {
		return // its first message will have it
	}
	if err := c.pipe.Token(t); err != nil {
		c.log.Warn("hand over token", zap.String("child", c.role), zap.Error(err))
	}
}
