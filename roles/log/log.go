// Package log makes the zap loggers of all roles but the collector, which uses
// roles/log/core by itself.
package log

import (
	"go.uber.org/zap"

	"daemoneye/roles/log/core"
)

// Config says how to log.
type Config = core.Config

// NewCorrelation is a random id for one start of a whole instance.
func NewCorrelation() string { return core.NewCorrelation() }

// New makes a logger. There is nothing to close: each line is written before
// the call returns.
func New(cfg Config) (*zap.Logger, error) {
	c, err := core.New(cfg)
	if err != nil {
		return nil, err
	}
	return zap.New(c), nil
}
