package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"go.uber.org/zap"
)

// Badger's settings. Its defaults want gigabytes; these were measured, see
// docs/performance.md. The bound of a transaction is 15 % of the memtable, and
// ValueThreshold must be below it. Small memtables also make compaction, and
// with it the discovery of garbage in the value log, happen often.
const (
	memTableSize   = 128 << 10
	valueThreshold = 1 << 10
	valueLogSize   = 16 << 20
)

func badgerOptions(dir string, readOnly bool, log badger.Logger) badger.Options {
	o := badger.DefaultOptions(dir)
	o.Logger = log
	o.ReadOnly = readOnly
	o.MetricsEnabled = false
	o.MemTableSize = memTableSize
	o.NumMemtables = 2
	o.BaseTableSize = 1 << 20
	o.BaseLevelSize = 4 << 20
	o.NumLevelZeroTables = 1
	o.NumLevelZeroTablesStall = 8
	o.NumCompactors = 2
	o.NumGoroutines = 1
	o.Compression = options.None
	o.BlockCacheSize = 0
	o.IndexCacheSize = 0
	o.ValueThreshold = valueThreshold
	o.ValueLogFileSize = valueLogSize
	o.VerifyValueChecksum = true
	o.ChecksumVerificationMode = options.OnTableAndBlockRead
	o.DetectConflicts = false // there is one writer
	return o
}

// openBadger opens the database of the store in dir, after looking for what
// Badger answers by losing data, by panicking or by ending the process.
func openBadger(dir string, readOnly bool, log *zap.Logger) (db *badger.DB, err error) {
	path := filepath.Join(dir, dbDir)
	if !readOnly {
		if err := os.MkdirAll(path, 0o750); err != nil {
			return nil, err
		}
	}
	if err := checkFiles(path, readOnly); err != nil {
		return nil, err
	}
	if !readOnly {
		if err := checkOpenSpace(dir); err != nil {
			return nil, err
		}
	}
	logger := &badgerLog{log: log}
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, damaged(path, fmt.Errorf("%v", r))
		}
	}()
	db, err = badger.Open(badgerOptions(path, readOnly, logger))
	if err != nil {
		return nil, explain(path, err)
	}
	if ignored := logger.ignored(); ignored != "" {
		return nil, errors.Join(fmt.Errorf("%w: %s; %s", ErrCorrupt, ignored, whatToDo), db.Close())
	}
	return db, nil
}

// errUnclean is the error of a read-only open after the writer was killed.
var errUnclean = errors.New("the store was not closed")

const whatToDo = "restore the directory from a backup, or move it away to start with an empty store"

// explain adds what the user can do to an error of badger.Open.
func explain(path string, err error) error {
	switch text := err.Error(); {
	// Badger's own error does not survive its wrapping.
	case errors.Is(err, badger.ErrTruncateNeeded), strings.Contains(text, "Log truncate required"):
		return fmt.Errorf("%w: %w", errUnclean, err)
	case errors.Is(err, os.ErrPermission), strings.Contains(text, "read-only file system"):
		return err
	case strings.Contains(text, "directory lock"), strings.Contains(text, "Cannot create lock file"):
		return fmt.Errorf("%w: %w", ErrLocked, err)
	case strings.Contains(text, "no space left"):
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	default:
		return damaged(path, err)
	}
}

// badgerLog passes on what Badger says. Info and debug lines are about its
// inner life and go to debug.
type badgerLog struct {
	log *zap.Logger

	mu    sync.Mutex
	first string
}

func (l *badgerLog) Errorf(format string, args ...any) {
	line := strings.TrimSpace(fmt.Sprintf(format, args...))
	// newLevelsController goes on without a table whose checksum is wrong.
	if strings.HasPrefix(line, "Ignoring table") {
		l.mu.Lock()
		l.first = strings.TrimPrefix(line, "Ignoring table ") + " has a wrong checksum"
		l.mu.Unlock()
	}
	l.log.Error("badger: " + line)
}

func (l *badgerLog) Warningf(format string, args ...any) {
	l.log.Warn("badger: " + strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (l *badgerLog) Infof(format string, args ...any) {
	if ce := l.log.Check(zap.DebugLevel, ""); ce != nil {
		l.log.Debug("badger: " + strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}
func (l *badgerLog) Debugf(string, ...any) {}

func (l *badgerLog) ignored() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}
