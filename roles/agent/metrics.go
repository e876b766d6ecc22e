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

	"daemoneye/platform"
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
	return f.named(platform.ReplaceFile(f.path, b.Bytes(), 0o644, false)) // the directory says who may read it
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
