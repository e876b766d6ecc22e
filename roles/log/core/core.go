// Package core writes log lines: JSON for services, lines for people on a
// terminal. Every line names the role and the correlation id of the whole
// instance. Nothing is sampled. A reader that does not read delays a role for
// a moment and then costs lines, which are counted; it never stops it.
//
// Of zap it needs zapcore only: zap itself brings net/http, which the
// collector must not link. The collector logs with Logger, the other roles
// with zap's own by way of roles/log.
package core

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"

	"go.uber.org/zap/zapcore"
)

// Config says how to log. The zero value logs JSON at level info to stderr.
type Config struct {
	Role        string    // supervisor, procmond, daemoneye-agent, …; "": daemoneye
	Level       string    // debug, info, warn or error; "": info
	Format      string    // auto, json or console; "": auto
	Correlation string    // of this start of the instance, see NewCorrelation; "": a new one
	Terminal    bool      // Writer is a terminal: auto means console
	Color       bool      // console: colour the level
	Writer      io.Writer // nil: os.Stderr
}

// NewCorrelation is a random id for one start of a whole instance. Its
// supervisor makes it and hands it to the roles that it starts.
func NewCorrelation() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // it never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// New makes the end of a logger. There is nothing to close: each line is
// written before Write returns.
func New(cfg Config) (zapcore.Core, error) {
	level := zapcore.InfoLevel
	switch cfg.Level {
	case "", "info":
	case "debug":
		level = zapcore.DebugLevel
	case "warn":
		level = zapcore.WarnLevel
	case "error":
		level = zapcore.ErrorLevel
	default:
		return nil, fmt.Errorf("log level %q: expected debug, info, warn or error", cfg.Level)
	}
	if cfg.Role == "" {
		cfg.Role = "daemoneye"
	}
	if cfg.Correlation == "" {
		cfg.Correlation = NewCorrelation()
	}
	if cfg.Writer == nil {
		cfg.Writer = os.Stderr
	}
	return cfg.core(level, newSink(cfg.Writer, cfg.lost))
}

func (cfg Config) core(level zapcore.Level, out *sink) (zapcore.Core, error) {
	switch {
	case cfg.Format == "console", cfg.Terminal && (cfg.Format == "" || cfg.Format == "auto"):
		return &console{LevelEnabler: level, role: cfg.Role, correlation: cfg.Correlation, color: cfg.Color, out: out}, nil
	case cfg.Format == "json", cfg.Format == "", cfg.Format == "auto":
		return jsonCore(cfg, level, out), nil
	}
	return nil, fmt.Errorf("log format %q: expected auto, json or console", cfg.Format)
}

// lost is the line that stands for lines that were dropped.
func (cfg Config) lost(lines int64) []byte {
	var b bytes.Buffer
	core, err := cfg.core(zapcore.DebugLevel, newSink(&b, nil))
	if err != nil {
		panic("log: " + err.Error()) // New has checked it
	}
	entry := zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), Message: "log lines dropped, nobody read them"}
	// Writing to a buffer does not fail.
	_ = core.Write(entry, []zapcore.Field{Int64("dropped", lines)})
	return b.Bytes()
}

func jsonCore(cfg Config, level zapcore.Level, sink *sink) zapcore.Core {
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", NameKey: "logger", MessageKey: "message",
		LineEnding:     zapcore.DefaultLineEnding,
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeTime:     zapcore.TimeEncoderOfLayout("2006-01-02T15:04:05.000000Z07:00"),
		EncodeDuration: zapcore.StringDurationEncoder,
		EncodeName:     zapcore.FullNameEncoder,
	})
	return utc{zapcore.NewCore(encoder, sink, level).With([]zapcore.Field{
		String("role", cfg.Role), String("correlation", cfg.Correlation),
	})}
}

// utc writes all times in UTC.
type utc struct{ zapcore.Core }

func (c utc) With(fields []zapcore.Field) zapcore.Core { return utc{c.Core.With(fields)} }

func (c utc) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c utc) Write(e zapcore.Entry, fields []zapcore.Field) error {
	e.Time = e.Time.UTC()
	return c.Core.Write(e, fields)
}
