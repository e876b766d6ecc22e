package store

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/dgraph-io/badger/v4"
	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/bus/event"
)

// maxAlertID bounds the id of an alert, in bytes.
const maxAlertID = 128

// PutAlerts stores alerts, each in the place of the one with its id, and sets
// the position up to which rules have run. Up to about fifty alerts change in
// one transaction with the position; more are split, the position with the
// last of them: after a crash between, these rules run again, and OpenAlerts
// holds what they raised before.
func (s *Store) PutAlerts(ctx context.Context, alerts []event.Alert, matched uint64) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	values := make([][]byte, len(alerts))
	total := int64(0)
	for i := range alerts {
		value, err := encodeAlert(&alerts[i])
		if err != nil {
			return fmt.Errorf("store alert %q: %w", alerts[i].ID, err)
		}
		values[i] = value
		total += int64(len(value))
	}
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	if err := s.checkSpace(total); err != nil {
		return err
	}
	if err := s.putAlerts(alerts, values, matched); err != nil {
		return fmt.Errorf("store %d alerts: %w", len(alerts), err)
	}
	return nil
}

func encodeAlert(a *event.Alert) ([]byte, error) {
	if a.ID == "" || len(a.ID) > maxAlertID {
		return nil, fmt.Errorf("id of %d bytes, want 1 to %d", len(a.ID), maxAlertID)
	}
	for _, text := range []json.RawMessage{a.Row, a.Process} {
		if text != nil && (!json.Valid(text) || !utf8.Valid(text)) {
			return nil, fmt.Errorf("invalid JSON %.80q", text)
		}
	}
	if a.Row == nil {
		return nil, errors.New("no matched row")
	}
	return msgpack.Marshal(a)
}

func decodeAlert(data []byte) (event.Alert, error) {
	var a event.Alert
	if err := msgpack.Unmarshal(data, &a); err != nil {
		return event.Alert{}, err
	}
	a.Time, a.FirstSeen, a.LastSeen = a.Time.UTC(), a.FirstSeen.UTC(), a.LastSeen.UTC()
	return a, nil
}

func (s *Store) putAlerts(alerts []event.Alert, values [][]byte, matched uint64) error {
	txn := s.db.NewTransaction(true)
	defer func() { txn.Discard() }()
	entries, inline, added := 0, int64(0), int64(0)
	for i := range alerts {
		a := &alerts[i]
		old, err := getAlert(txn, a.ID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err != nil {
			added++
		} else if err := txn.Delete(alertTimeKey(old.LastSeen.UnixMicro(), a.ID)); err != nil {
			return err
		}
		if err := errors.Join(
			txn.Set(stringKey(alertPrefix, a.ID), values[i]),
			txn.Set(alertTimeKey(a.LastSeen.UnixMicro(), a.ID), nil),
		); err != nil {
			return err
		}
		entries += 3
		inline += int64(3*len(a.ID) + 100)
		if len(values[i]) < valueThreshold {
			inline += int64(len(values[i]))
		}
		if entries > 120 || inline > s.db.MaxBatchSize()*3/4 {
			if err := commit(txn); err != nil {
				return err
			}
			txn = s.db.NewTransaction(true)
			entries, inline = 0, 0
		}
	}
	if err := txn.Set(matchedKey(), binary.AppendUvarint(nil, matched)); err != nil {
		return err
	}
	if err := commit(txn); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.matched, s.dirty = matched, true
	s.count.Alerts += added
	return nil
}

// MatchedPosition returns the position up to which rules have run.
func (s *Store) MatchedPosition() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.matched
}

func getAlert(txn *badger.Txn, id string) (a event.Alert, err error) {
	item, err := txn.Get(stringKey(alertPrefix, id))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return a, ErrNotFound
	}
	if err == nil {
		err = item.Value(func(data []byte) error {
			a, err = decodeAlert(data)
			return err
		})
	}
	if err != nil {
		return a, fmt.Errorf("alert %q: %w", id, err)
	}
	return a, nil
}

// Alert returns the alert with the id, or the only one whose id starts with
// it. The error is ErrNotFound or ErrAmbiguous.
func (s *Store) Alert(id string) (a event.Alert, err error) {
	if err := s.enter(); err != nil {
		return a, err
	}
	defer s.leave()
	err = s.view(func(txn *badger.Txn) error {
		if a, err = getAlert(txn, id); id == "" || !errors.Is(err, ErrNotFound) {
			return err
		}
		found := ""
		err := each(txn, stringKey(alertPrefix, id), nil, func(key []byte, _ *badger.Item) error {
			if found != "" {
				return fmt.Errorf("%w: %s and %s", ErrAmbiguous, found, key[1:])
			}
			found = string(key[1:])
			return nil
		})
		if err != nil {
			return err
		}
		if found == "" {
			return ErrNotFound
		}
		a, err = getAlert(txn, found)
		return err
	})
	return a, err
}

// Alerts yields the alerts last seen at from ≤ time < to (µs), newest first.
func (s *Store) Alerts(ctx context.Context, from, to int64, yield func(event.Alert) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.alerts(ctx, from, to, yield)
}

func (s *Store) alerts(ctx context.Context, from, to int64, yield func(event.Alert) error) error {
	return s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{alertTimePrefix}, Reverse: true})
		defer it.Close()
		for it.Seek(alertTimeKey(to, "\xff")); it.Valid(); it.Next() {
			us, id, ok := splitAlertTimeKey(it.Item().Key())
			if !ok || us >= to {
				continue
			}
			if us < from {
				return nil
			}
			if err := s.stopped(ctx); err != nil {
				return err
			}
			a, err := getAlert(txn, id)
			if err != nil {
				return err
			}
			if err := yield(a); err != nil {
				return err
			}
		}
		return nil
	})
}

func splitAlertTimeKey(key []byte) (us int64, id string, ok bool) {
	if len(key) < 10 {
		return 0, "", false
	}
	return int64(binary.BigEndian.Uint64(key[1:]) ^ 1<<63), string(key[9:]), true
}

// OpenAlerts yields the alerts seen at or after since, newest first: those
// whose dedup windows may still be open.
func (s *Store) OpenAlerts(ctx context.Context, since time.Time, yield func(event.Alert) error) error {
	return s.Alerts(ctx, since.UnixMicro(), 1<<62, yield)
}

// alertBatches yields alerts as rows of the alerts table.
func (s *Store) alertBatches(ctx context.Context, from, to int64, yield func(*event.Batch) error) error {
	b := event.NewBuilder(event.Lookup("alerts"))
	err := s.alerts(ctx, from, to, func(a event.Alert) error {
		a.AppendTo(b)
		if b.Rows() < stateChunk {
			return nil
		}
		return yield(b.Batch())
	})
	if err == nil && b.Rows() > 0 {
		err = yield(b.Batch())
	}
	return err
}
