package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"daemoneye/roles/api"
	"daemoneye/roles/metrics"
)

// metricsFile is what node_exporter's textfile collector reads. It is whole at
// all times: a new one takes the place of the old one. Its path may go through a
// descriptor; its name is for people.
type metricsFile struct {
	path, name string

	mu  sync.Mutex
	err error // of the last write; nil after a good one
}

// writeMetrics writes the file now and then until ctx ends, when it removes it:
// nobody shall take the last values for present ones.
func (a *agent) writeMetrics(ctx context.Context) {
	defer a.metrics.remove()
	timer := time.NewTicker(a.cfg.Config.Metrics.File.Interval)
	defer timer.Stop()
	for {
		h, err := a.state(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = a.metrics.write(h)
		}
		if a.metrics.note(err) {
			a.log.Warn("write the metrics file", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

func (f *metricsFile) write(h *api.HealthReply) error {
	var b bytes.Buffer
	if err := metrics.Write(&b, h); err != nil {
		return err
	}
	fresh := f.path + ".new"
	// Whatever has this name is not followed and not written to.
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return f.named(err)
	}
	file, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return f.named(err)
	}
	_, err = file.Write(b.Bytes())
	err = errors.Join(err, file.Chmod(0o644)) // whatever the umask: the directory says who may read it
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(fresh, f.path)
	}
	if err != nil {
		_ = os.Remove(fresh)
	}
	return f.named(err)
}

// named is err with the name that people know, nil for nil.
func (f *metricsFile) named(err error) error {
	var path *os.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		err = path.Err
	case errors.As(err, &link):
		err = link.Err
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", f.name, err)
	}
	return err
}

// note keeps the error of the last write and reports whether it is another one
// than that before.
func (f *metricsFile) note(err error) (news bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	news = err != nil && (f.err == nil || f.err.Error() != err.Error())
	f.err = err
	return news
}

func (f *metricsFile) problem() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		return ""
	}
	return "the metrics file could not be written: " + f.err.Error()
}

func (f *metricsFile) remove() { _ = os.Remove(f.path) }
