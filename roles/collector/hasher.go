package collector

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"daemoneye/platform"
	"daemoneye/roles/api"
	"daemoneye/roles/hasher"
	"daemoneye/roles/log/core"
)

// startHasher starts what reads and hashes for a collector that gives its
// privileges up, as user if this process is root and can become that; nil where
// there are none. It must come before platform.Confine.
func startHasher(ctx context.Context, cfg Config, user string) (*hasher.Process, error) {
	if cfg.NoHash && cfg.NoKernel {
		return nil, nil // nothing to do for it
	}
	as := platform.Self()
	if as.UID == 0 {
		u, err := platform.RoleUser(user)
		if err != nil {
			return nil, fmt.Errorf("collector.user: %w", err)
		}
		switch {
		case platform.CanBecome(u) == nil:
			as = u
		case cfg.Cage == nil: // and it is not the supervisor that has started this one
			return nil, nil
		}
	}
	seccomp := ""
	if cfg.Cage != nil {
		seccomp = cfg.Cage.Seccomp
	}
	h, err := hasher.Start(ctx, as, seccomp)
	if err != nil || h == nil {
		return nil, err
	}
	cfg.Log.Info("hasher started", core.Int("pid", h.PID()), core.Strings("kept", h.Kept()))
	return h, nil
}

// reachable returns a name of the socket that stays good without privileges: its
// directory may lie in one that only root may enter. dir must stay open.
func reachable(socket string) (name string, dir *os.File) {
	dir, err := os.Open(filepath.Dir(socket))
	if err != nil {
		return socket, nil
	}
	if name = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(socket)); !sameDir(filepath.Dir(name), dir) {
		_ = dir.Close() // no /proc
		return socket, nil
	}
	return name, dir
}

func sameDir(name string, dir *os.File) bool {
	a, err := os.Stat(name)
	if err != nil {
		return false
	}
	b, err := dir.Stat()
	return err == nil && os.SameFile(a, b)
}

func closeHasher(cfg Config) {
	if cfg.Hasher == nil {
		return
	}
	if err := cfg.Hasher.Close(); err != nil {
		cfg.Log.Warn("close the hasher", core.Err(err))
	}
}

// giveUp gives up what only the opening of the kernel's source took. With the
// source and a hasher nothing privileged is left to do.
func (c *collector) giveUp() {
	var err error
	if c.source() == api.SourceKernel && c.cfg.Hasher != nil {
		c.enumerator.ReadThrough(c.cfg.Hasher)
		err = platform.GiveUpAll()
	} else {
		err = platform.GiveUp(platform.OpeningCapabilities()...)
	}
	if err != nil {
		c.log.Warn("confine", core.Err(err))
	}
}

// hasherDone is closed when the hasher has gone.
func (c *collector) hasherDone() <-chan struct{} {
	if c.cfg.Hasher == nil {
		return nil
	}
	return c.cfg.Hasher.Done()
}
