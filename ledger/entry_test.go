package ledger

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/blake3"
)

func sample(sequence uint64, payload string) Entry {
	return Entry{
		Sequence: sequence, Time: time.UnixMilli(1_700_000_000_000 + int64(sequence)).UTC(),
		Actor: Actor{"daemoneye-agent", 4711, 998}, Action: "alert.raised", Subject: "web shell ☠ /tmp/x\n", Correlation: "01HF",
		PayloadHash: blake3.Sum256([]byte(payload)), Payload: []byte(payload),
	}
}

func marshal(t testing.TB, e Entry) []byte {
	t.Helper()
	b, err := e.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEntryRoundTrip(t *testing.T) {
	largest := sample(math.MaxUint64, strings.Repeat("p", MaxPayload))
	largest.Actor = Actor{strings.Repeat("r", MaxName), math.MaxUint32, math.MaxUint32}
	largest.Action = strings.Repeat("a", MaxName)
	largest.Correlation = strings.Repeat("c", MaxCorrelation)
	largest.Subject = strings.Repeat("s", MaxSubject)
	smallest := Entry{Time: time.UnixMilli(0).UTC(), Actor: Actor{Role: "r"}, Action: "a", PayloadHash: blake3.Sum256(nil)}
	for _, want := range []Entry{sample(7, "\x80"), largest, smallest} {
		b := marshal(t, want)
		got, err := ParseEntry(b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("ParseEntry = %+v, want %+v", got, want)
		}
		if got, want := got.LeafHash(), leafHash(b[:len(b)-len(want.Payload)]); got != want {
			t.Errorf("LeafHash = %v, want %v", got, want)
		}
	}
	if got := len(marshal(t, smallest)); got != headerFixed+2 {
		t.Errorf("smallest entry has %d bytes, want %d", got, headerFixed+2)
	}
	if got := len(marshal(t, largest)); got != maxEntry {
		t.Errorf("largest entry has %d bytes, want %d", got, maxEntry)
	}
}

func TestInvalidEntries(t *testing.T) {
	for name, change := range map[string]func(*Entry){
		"no role":          func(e *Entry) { e.Actor.Role = "" },
		"role":             func(e *Entry) { e.Actor.Role = "Agent" },
		"no action":        func(e *Entry) { e.Action = "" },
		"action":           func(e *Entry) { e.Action = "a b" },
		"long action":      func(e *Entry) { e.Action = strings.Repeat("a", MaxName+1) },
		"long subject":     func(e *Entry) { e.Subject = strings.Repeat("s", MaxSubject+1) },
		"subject":          func(e *Entry) { e.Subject = "\xff" },
		"correlation":      func(e *Entry) { e.Correlation = "\xff" },
		"long correlation": func(e *Entry) { e.Correlation = strings.Repeat("c", MaxCorrelation+1) },
		"payload":          func(e *Entry) { e.Payload = make([]byte, MaxPayload+1) },
		"payload hash":     func(e *Entry) { e.PayloadHash[0]++ },
		"time":             func(e *Entry) { e.Time = time.UnixMilli(-1) },
	} {
		e := sample(1, "p")
		change(&e)
		if b, err := e.MarshalBinary(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: MarshalBinary = %x, %v, want ErrInvalid", name, b, err)
		}
	}
}

// No other bytes than the canonical ones decode: every flip of a bit is an
// error, except in fields that hold any value.
func TestEntryIsStrict(t *testing.T) {
	b := marshal(t, sample(7, "payload"))
	for n := range b {
		if _, err := ParseEntry(b[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are an entry", n, len(b))
		}
	}
	if _, err := ParseEntry(append(slices.Clone(b), 0)); err == nil {
		t.Error("an entry with a byte after it is an entry")
	}
	b[0]++
	if _, err := ParseEntry(b); err == nil {
		t.Error("an entry of another version is an entry")
	}
}

func FuzzEntry(f *testing.F) {
	f.Add(marshal(f, sample(7, "payload")))
	f.Add(marshal(f, sample(0, "")))
	f.Add([]byte{entryVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEntry(b)
		if err != nil {
			return
		}
		if again, err := e.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("ParseEntry(%x) = %+v, which is %x, %v", b, e, again, err)
		}
	})
}

func FuzzBundle(f *testing.F) {
	one, two := sample(0, "payload"), sample(1, "")
	b, _ := appendRecord(nil, &one)
	f.Add(b)
	b, _ = appendRecord(b, &two)
	f.Add(b)
	f.Add(append(b, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		var leaves []Hash
		found, err := readRecords(b, 0, func(v *view, _ Hash) error {
			e := v.entry()
			var leaf Hash
			again, leaf = appendRecord(again, &e)
			leaves = append(leaves, leaf)
			return nil
		})
		if err != nil || !bytes.Equal(again, b[:found.end]) || !slices.Equal(leaves, found.leaves) {
			t.Errorf("readRecords(%x) = %+v, %v", b, found, err)
		}
		if found.bad == nil && found.end != len(b) {
			t.Errorf("readRecords(%x) ends at %d of %d without saying why", b, found.end, len(b))
		}
		if rest := skipRecords(b, len(found.leaves)); !bytes.Equal(rest, b[found.end:]) {
			t.Errorf("skipRecords(%x, %d) = %x", b, len(found.leaves), rest)
		}
	})
}
