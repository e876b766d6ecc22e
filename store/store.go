// Package store keeps what the agent knows: batches of events as they arrived,
// and in Parquet files those that rules have seen, the present state of
// processes, alerts, and how far each collector and the matcher have come. It
// is one directory that one process writes.
//
// # Disk format
//
// The directory holds FORMAT (a line with the version), LOCK (flock'd by who
// has the store open; the writer's pid is its content), MANIFEST-SIZE (see
// sizeFile), segments and db, a Badger database with these keys, numbers big
// endian:
//
//	b position          a batch: see appendRecord. In Badger's value log.
//	m position          the batch's Meta
//	p                   the positions that are gone: their batches were sealed or deleted
//	g id                a segment: see segmentFile
//	d id                the positions that a segment covers and its segment.Info
//	q id                a Loss
//	c collector         the collector's cursor
//	a alert             an alert, msgpack
//	i last_seen alert   the index of alerts by time, empty
//	r                   the position up to which rules have run
//	S                   the header of the state snapshot
//	s generation chunk  ≤ 1,000 rows of the state snapshot
//	f                   format 1 only: every position below this is gone
//
// Positions are consecutive: the n-th batch ever stored has position n. A
// batch, its Meta and its collector's cursor change in one transaction.
//
// # Segments
//
// segments/TABLE/TIME-ID.parquet holds rows of a table in the form of package
// segment, which any reader of Parquet reads; TIME is of its first row. Sealing
// writes a file under the same name with .new behind it, syncs it, renames it
// and syncs its directory. Then one transaction puts the segment into the catalog
// (g, d) and its batches' positions among those that are gone (p). That is the
// moment at which the segment takes the place of the batches: what is gone is
// not read, be its keys there or not. They are deleted after it, about fifty
// batches at a time, which is what a transaction of Badger takes. Retention
// deletes in the same order: catalog or positions first, then files or keys.
//
// So a crash leaves either a file that the catalog does not name, or keys
// of batches that are gone; Open removes both. A segment whose file is missing,
// has another size, or does not read back by its checksums is a Loss: it leaves
// the catalog, and its file goes to segments/quarantine.
//
// A value of g is small and so in Badger's tree, which Open verifies as a
// whole. One of d is in the value log; when it is damaged the file's footer says
// the same. Bloom filters are in the segment files: with a hundred bytes of each
// key's place, checksum and size known, a look-up reads a few blocks of each file.
//
// # Durability
//
// Append returns after the batch lies in mapped files: it survives the death
// of the process (kill -9), not that of the machine. The files are synced
// every Config.SyncInterval, so a power cut costs at most the batches of about
// the last second; what it left half written is reported by Damage and as
// DamagedError by the reads that meet it. Sealed batches are deleted after the
// segment and its catalog entry are on the disk.
package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"

	"daemoneye/bus/event"
	"daemoneye/store/segment"
)

// What a caller may test for.
var (
	ErrLocked    = errors.New("the store is in use")
	ErrReaders   = errors.New("the store is being read by another process, which will end")
	ErrClosed    = errors.New("the store is closed")
	ErrReadOnly  = errors.New("the store is open for reading only")
	ErrNotFound  = errors.New("not found")
	ErrAmbiguous = errors.New("more than one match")
	ErrDiskFull  = errors.New("not enough free disk space")
	ErrInvalid   = errors.New("invalid batch")
	ErrCorrupt   = errors.New("the store is damaged")
	ErrVersion   = errors.New("the store has a newer format")
	ErrNotExist  = errors.New("there is no store")
)

// LockedError is the ErrLocked that knows who holds the store.
type LockedError struct {
	PID int // 0: not known
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return ErrLocked.Error() + " by another process"
	}
	return fmt.Sprintf("%v by process %d", ErrLocked, e.PID)
}

// Is makes it an ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// Config configures a Store. The zero value is the default.
type Config struct {
	MaxAge         time.Duration // batches and alerts older than this are deleted; 0: 30 days, negative: never
	MaxBytes       int64         // bound of the directory's size on disk; 0: 2 GiB, negative: none
	MaxProcesses   int           // rows of processes kept; 0: 262,144. More are counted, see Stats
	MinFree        int64         // Append refuses when less would be free on the disk; 0: 64 MiB, negative: no check
	SyncInterval   time.Duration // 0: one second
	RetainInterval time.Duration // how often retention runs by itself; 0: one minute, negative: never
	SealRows       int           // rows of a table that make a segment, at most and by default event.MaxRows; negative: any number
	SealAge        time.Duration // for how long a batch waits at most; 0: ten minutes, negative: for ever
	SealInterval   time.Duration // how often sealing looks by itself; 0: ten seconds, negative: never
	SealUnmatched  bool          // seal without waiting for PutAlerts, for a store over which no rules run
	OnSealed       func(Segment) // is told of each segment once it is in the catalog; nil: nobody
	Log            *zap.Logger   // nil: none
	Now            func() time.Time
}

func (c Config) withDefaults() Config {
	orDefault := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	orDefault(&c.MaxAge, 30*24*time.Hour)
	orDefault(&c.SyncInterval, time.Second)
	orDefault(&c.RetainInterval, time.Minute)
	orDefault(&c.SealAge, 10*time.Minute)
	orDefault(&c.SealInterval, 10*time.Second)
	if c.SealRows == 0 || c.SealRows > event.MaxRows {
		c.SealRows = event.MaxRows
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 2 << 30
	}
	if c.MaxProcesses <= 0 {
		c.MaxProcesses = 1 << 18
	}
	if c.MinFree == 0 {
		c.MinFree = 64 << 20
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Store is an open store. Its methods may be called from any goroutine.
type Store struct {
	dir      string
	temp     string // see TempDir
	cfg      Config
	readOnly bool
	db       *badger.DB
	lock     *dirLock

	decoder *segment.Decoder

	// maintain is held by who changes which batches and segments there are:
	// sealing, retention, quarantine. It is taken before the right to write.
	maintain sync.Mutex
	write    chan struct{} // holds one token: who takes it may write
	kick     chan struct{} // has a value when a table has enough to seal
	lost     chan struct{} // has a value when there is a new Loss

	// maps is held for reading by reads, and only tried for writing, by the
	// collection of garbage: so reads may nest.
	maps sync.RWMutex

	mu          sync.RWMutex // guards what follows
	state       *processTable
	collectors  map[string]*cursor
	count       counters
	last        uint64         // position of the newest batch
	gone        *positions     // of batches that were sealed or deleted
	segments    []*segmentFile // by ID; replaced, never changed
	losses      []*Loss        // likewise
	nextID      uint64         // the greatest ID of a segment or loss
	sealErr     error          // of the last attempt
	sealedBytes int64          // of batches, whose space is still to be reclaimed
	matched     uint64
	snapshot    snapshotHeader
	folded      int // rows folded into state since the snapshot
	dirty       bool
	garbage     bool  // deleted batches whose space is still to be reclaimed
	touched     int64 // bytes of mapped files read or written since the last release
	synced      time.Time
	syncErr     error
	manifest    string // what sizeFile holds

	life   sync.Mutex
	closed bool
	users  sync.WaitGroup
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup
}

// Open opens the store in dir for reading and writing, and creates it if it is
// not there. The error is ErrLocked when another process has it open,
// ErrReaders when others only read it and will soon be done,
// ErrVersion when a newer build wrote it, and ErrCorrupt, with the file and
// what to do about it, when it can not be opened without losing batches.
func Open(dir string, cfg Config) (*Store, error) {
	s, err := open(dir, cfg, false)
	if err != nil {
		return nil, fmt.Errorf("open store %q: %w", dir, err)
	}
	return s, nil
}

// OpenReadOnly opens the store in dir for reading. Several readers can have it
// open at once, but none while a writer has: then the error is ErrLocked. A
// store whose writer was killed is first opened for writing and closed again,
// which needs the permission to write there.
func OpenReadOnly(dir string, cfg Config) (*Store, error) {
	s, err := open(dir, cfg, true)
	if err != nil {
		return nil, fmt.Errorf("open store %q for reading: %w", dir, err)
	}
	return s, nil
}

func open(dir string, cfg Config, readOnly bool) (*Store, error) {
	if readOnly {
		if _, err := os.Stat(filepath.Join(dir, formatFile)); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil, ErrNotExist
			}
			return nil, err
		}
	} else if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir, readOnly)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, cfg: cfg.withDefaults(), readOnly: readOnly, lock: lock,
		write: make(chan struct{}, 1), kick: make(chan struct{}, 1), lost: make(chan struct{}, 1),
		collectors: map[string]*cursor{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.write <- struct{}{}
	if s.decoder, err = segment.NewDecoder(); err != nil {
		return nil, errors.Join(err, lock.release())
	}
	if err := s.start(); err != nil {
		s.cancel()
		return nil, errors.Join(err, lock.release())
	}
	return s, nil
}

func (s *Store) start() error {
	old, err := checkFormat(s.dir, s.readOnly)
	if err != nil {
		return err
	}
	db, err := openBadger(s.dir, s.readOnly, s.cfg.Log)
	if errors.Is(err, errUnclean) && s.readOnly {
		if err = s.recoverUnclean(); err == nil {
			db, err = openBadger(s.dir, true, s.cfg.Log)
		}
	}
	if err != nil {
		return err
	}
	s.db = db
	if err := s.load(); err != nil {
		return errors.Join(err, db.Close())
	}
	if !s.readOnly {
		if old { // a build that does not know segments must not miss them
			if err := writeFormat(filepath.Join(s.dir, formatFile)); err != nil {
				return errors.Join(err, db.Close())
			}
		}
		if err := s.noteManifest(); err != nil {
			return errors.Join(err, db.Close())
		}
		if err := s.emptyTemp(); err != nil {
			s.cfg.Log.Warn("there are no temporary files: queries must do with memory", zap.Error(err))
		}
		s.task(s.cfg.SyncInterval, s.syncIfDirty)
		s.task(s.cfg.RetainInterval, s.retainInBackground)
		s.sealInBackground()
	}
	return nil
}

const tempDir = "tmp"

// emptyTemp makes the directory for temporary files, without those that a
// crash left.
func (s *Store) emptyTemp() error {
	path := filepath.Join(s.dir, tempDir)
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	s.temp = path
	return nil
}

// TempDir is where queries may put temporary files, "" if nowhere.
func (s *Store) TempDir() string { return s.temp }

// recoverUnclean opens and closes a store for writing whose writer was killed.
func (s *Store) recoverUnclean() error {
	if err := s.lock.upgrade(); err != nil {
		return err
	}
	db, err := openBadger(s.dir, false, s.cfg.Log)
	if err != nil {
		return fmt.Errorf("its writer was killed and it must be opened for writing once, it or a copy: %w", err)
	}
	err = db.Close()
	return errors.Join(err, adoptFiles(s.dir), s.lock.downgrade())
}

// task runs f every interval until Close.
func (s *Store) task(interval time.Duration, f func()) {
	if interval < 0 {
		return
	}
	s.tasks.Add(1)
	go func() {
		defer s.tasks.Done()
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-s.ctx.Done():
				return
			case <-tick.C:
				f()
			}
		}
	}()
}

// enter keeps the store open until leave is called.
func (s *Store) enter() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.users.Add(1)
	return nil
}

func (s *Store) leave() { s.users.Done() }

// acquire takes the right to write; release gives it back.
func (s *Store) acquire(ctx context.Context) error {
	if s.readOnly {
		return ErrReadOnly
	}
	select {
	case <-s.write:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return ErrClosed
	}
}

func (s *Store) release() { s.write <- struct{}{} }

// Close stops what runs, waits for it, writes the state snapshot, syncs and
// closes the files. Reads under way end with ErrClosed.
func (s *Store) Close() error {
	s.life.Lock()
	if s.closed {
		s.life.Unlock()
		return nil
	}
	s.closed = true
	s.life.Unlock()
	s.cancel()
	s.tasks.Wait()
	s.users.Wait()
	var errs []error
	if !s.readOnly && s.folded > 0 {
		// Without a snapshot the next Open reads the batches since the last one.
		if err := s.writeSnapshot(); errors.Is(err, ErrDiskFull) {
			s.cfg.Log.Warn("the state was not saved", zap.Error(err))
		} else {
			errs = append(errs, err)
		}
	}
	errs = append(errs, s.db.Close())
	if !s.readOnly && s.Present() == nil {
		errs = append(errs, s.noteManifest())
	}
	errs = append(errs, s.lock.release())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close store %q: %w", s.dir, err)
	}
	return nil
}

// Present returns an error when the store's files are no longer where they
// were: then what is written is lost at the end.
func (s *Store) Present() error {
	opened, err := s.lock.f.Stat()
	if err != nil {
		return fmt.Errorf("store %q: %w", s.dir, err)
	}
	now, err := os.Stat(filepath.Join(s.dir, "LOCK"))
	if err != nil || !os.SameFile(opened, now) {
		return fmt.Errorf("the files of store %q were removed or replaced; what is stored now will be lost: restart", s.dir)
	}
	return nil
}

// Dir returns the directory of the store.
func (s *Store) Dir() string { return s.dir }

func (s *Store) syncIfDirty() {
	s.mu.Lock()
	dirty := s.dirty
	s.dirty = false
	s.mu.Unlock()
	if !dirty {
		return
	}
	if err := s.sync(); err != nil {
		s.cfg.Log.Error("sync store", zap.Error(err))
	}
	s.touchRead(0)
}

// maxTouched bounds the mapped pages that count as ours.
const maxTouched = 16 << 20

// touch counts bytes of mapped files that were read or written, and gives the
// pages back when they have become many. That is safe only while no value log
// file can be unmapped: Badger does so when a commit fills one and when it
// collects garbage. Who calls it holds the right to write, or has none to give.
func (s *Store) touch(n int) {
	s.mu.Lock()
	s.touched += int64(n)
	many := s.touched >= maxTouched
	if many && s.maps.TryRLock() {
		s.touched = 0
		defer s.maps.RUnlock()
	} else {
		many = false
	}
	s.mu.Unlock()
	if many {
		releaseMapped(s.dir)
	}
}

// touchRead is touch for readers: it waits for no writer.
func (s *Store) touchRead(n int) {
	if s.readOnly {
		s.touch(n)
		return
	}
	select {
	case <-s.write:
		s.touch(n)
		s.release()
	default:
		s.mu.Lock()
		s.touched += int64(n)
		s.mu.Unlock()
	}
}

// view is a read of the database. While one runs, no garbage is collected.
func (s *Store) view(f func(*badger.Txn) error) error {
	s.maps.RLock()
	defer s.maps.RUnlock()
	return s.db.View(f)
}

// Sync makes everything that was appended survive the loss of power.
func (s *Store) Sync() error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.sync()
}

func (s *Store) sync() error {
	err := s.db.Sync()
	if err == nil {
		err = s.noteManifest()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncErr = err
	if err != nil {
		s.dirty = true
		return fmt.Errorf("sync store %q: %w", s.dir, err)
	}
	s.synced = s.cfg.Now()
	return nil
}
