package core

import (
	"math"
	"time"

	"go.uber.org/zap/zapcore"
)

// Logger is the little of zap.Logger that the collector needs.
type Logger struct {
	core zapcore.Core
}

// NewLogger makes a Logger that writes to c.
func NewLogger(c zapcore.Core) *Logger { return &Logger{core: c} }

// With is a Logger that adds fields to every line.
func (l *Logger) With(fields ...zapcore.Field) *Logger { return &Logger{core: l.core.With(fields)} }

// Debug logs what helps to find a defect.
func (l *Logger) Debug(message string, fields ...zapcore.Field) {
	l.log(zapcore.DebugLevel, message, fields)
}

// Info logs what happened as it should.
func (l *Logger) Info(message string, fields ...zapcore.Field) {
	l.log(zapcore.InfoLevel, message, fields)
}

// Warn logs what an operator should look at.
func (l *Logger) Warn(message string, fields ...zapcore.Field) {
	l.log(zapcore.WarnLevel, message, fields)
}

// Error logs what could not be done.
func (l *Logger) Error(message string, fields ...zapcore.Field) {
	l.log(zapcore.ErrorLevel, message, fields)
}

func (l *Logger) log(level zapcore.Level, message string, fields []zapcore.Field) {
	if l.core.Enabled(level) {
		// There is no place left to report a log that cannot be written.
		_ = l.core.Write(zapcore.Entry{Level: level, Time: time.Now(), Message: message}, fields)
	}
}

// String is a field of text.
func String(key, value string) zapcore.Field {
	return zapcore.Field{Key: key, Type: zapcore.StringType, String: value}
}

// Int is a field with a whole number.
func Int(key string, value int) zapcore.Field { return Int64(key, int64(value)) }

// Int64 is a field with a whole number.
func Int64(key string, value int64) zapcore.Field {
	return zapcore.Field{Key: key, Type: zapcore.Int64Type, Integer: value}
}

// Float64 is a field with a number.
func Float64(key string, value float64) zapcore.Field {
	return zapcore.Field{Key: key, Type: zapcore.Float64Type, Integer: int64(math.Float64bits(value))}
}

// Bool is a field that is true or false.
func Bool(key string, value bool) zapcore.Field {
	f := zapcore.Field{Key: key, Type: zapcore.BoolType}
	if value {
		f.Integer = 1
	}
	return f
}

// Duration is a field with a time span.
func Duration(key string, value time.Duration) zapcore.Field {
	return zapcore.Field{Key: key, Type: zapcore.DurationType, Integer: int64(value)}
}

// Err is the field "error", none when err is nil.
func Err(err error) zapcore.Field {
	if err == nil {
		return zapcore.Field{Type: zapcore.SkipType}
	}
	return zapcore.Field{Key: "error", Type: zapcore.ErrorType, Interface: err}
}

// Strings is a field with a list of text.
func Strings(key string, values []string) zapcore.Field {
	return zapcore.Field{Key: key, Type: zapcore.ArrayMarshalerType, Interface: texts(values)}
}

type texts []string

// MarshalLogArray implements zapcore.ArrayMarshaler.
func (t texts) MarshalLogArray(e zapcore.ArrayEncoder) error {
	for _, s := range t {
		e.AppendString(s)
	}
	return nil
}
