package hasher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"daemoneye/platform"
	"daemoneye/platform/procfs"
)

const (
	startTime = 30 * time.Second // until the first answer
	endTime   = 2 * time.Second  // until it has ended after the connection has
)

// Process is a hasher that this process has started.
type Process struct {
	*Client
	process *platform.Process
	ended   chan error // gets its end, once
}

// Start starts the hasher, as user if this process is root, and returns it when
// it answers; seccomp is as in platform.Cage. It must be called before platform.Confine, after which there is no
// capability to hand on. A process without any has no use for a hasher: it gets
// nil, as it may read as much by itself.
func Start(ctx context.Context, user platform.User, seccomp string) (*Process, error) {
	if seccomp == "" {
		seccomp = platform.SeccompErrno
	}
	missing, err := platform.Missing(platform.HasherCapabilities()...)
	if err != nil {
		return nil, err
	}
	if len(missing) == len(platform.HasherCapabilities()) {
		return nil, nil
	}
	ours, its, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("start hasher: %w", err)
	}
	started, err := platform.Start(platform.Launch{
		Name: "procmond", Args: []string{Name, seccomp}, User: user, Keep: platform.HasherCapabilities(), Files: []*os.File{its},
	})
	_ = its.Close()
	if err != nil {
		_ = ours.Close()
		return nil, err
	}
	p := &Process{Client: newClient(ours), process: started, ended: make(chan error, 1)}
	go func() { p.ended <- started.Wait() }()
	if len(started.Kept) == 0 {
		return nil, p.Close() // what this process has can not be handed on
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := p.Read(ctx, &procfs.Ask{PIDs: []int32{int32(started.PID)}, Files: procfs.Set(procfs.FileStat)}, &procfs.Answer{}); err != nil {
		return nil, errors.Join(fmt.Errorf("start hasher: %w", err), p.Close())
	}
	return p, nil
}

// socketPair returns two connected descriptors, the first of which does not
// block a thread.
func socketPair() (ours, its *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	return os.NewFile(uintptr(pair[0]), "hasher"), os.NewFile(uintptr(pair[1]), "collector"), nil
}

// PID is the hasher's.
func (p *Process) PID() int { return p.process.PID }

// Kept are the names of its capabilities.
func (p *Process) Kept() []string { return p.process.Kept }

// Err returns why the hasher is done.
func (p *Process) Err() error {
	err := p.Client.Err()
	if !errors.Is(err, errGone) {
		return err
	}
	timer := time.NewTimer(endTime)
	defer timer.Stop()
	select {
	case end := <-p.ended:
		p.ended <- end
		if end != nil {
			return fmt.Errorf("the hasher has %w", end)
		}
	case <-timer.C:
	}
	return err
}

// Close ends the hasher and waits for it.
func (p *Process) Close() error {
	p.close()
	timer := time.NewTimer(endTime)
	defer timer.Stop()
	select {
	case <-p.ended:
		return nil
	case <-timer.C:
	}
	if err := p.process.Signal(os.Kill); err != nil {
		return fmt.Errorf("end the hasher: %w", err)
	}
	<-p.ended
	return nil
}
