package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A bundle is a file of up to 256 records: length of the entry (4 bytes, big
// endian), the first 8 bytes of its leaf hash, the entry.
const (
	bundleEntries = 256
	recordHead    = lengthSize + checkSize
	lengthSize    = 4
	checkSize     = 8
	maxBundle     = bundleEntries * (recordHead + maxEntry)
)

// appendRecord appends e and returns its leaf hash.
func appendRecord(dst []byte, e *Entry) ([]byte, Hash) {
	start := len(dst)
	dst = append(dst, make([]byte, recordHead)...)
	dst = e.appendHeader(dst)
	leaf := leafHash(dst[start+recordHead:])
	dst = append(dst, e.Payload...)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-recordHead))
	copy(dst[start+lengthSize:], leaf[:checkSize])
	return dst, leaf
}

// nextRecord decodes the first record of b, which must be the entry with the
// sequence, and returns how long it is.
func nextRecord(b []byte, sequence uint64) (view, Hash, int, error) {
	if len(b) < recordHead {
		return view{}, Hash{}, 0, fmt.Errorf("%d bytes are left, a record begins with %d", len(b), recordHead)
	}
	length := binary.BigEndian.Uint32(b)
	if length > maxEntry || int(length) > len(b)-recordHead {
		return view{}, Hash{}, 0, fmt.Errorf("entry of %d bytes, the limit is %d and %d are left", length, maxEntry, len(b)-recordHead)
	}
	n := recordHead + int(length)
	v, err := decodeEntry(b[recordHead:n])
	if err != nil {
		return v, Hash{}, 0, err
	}
	leaf := leafHash(v.header)
	if [checkSize]byte(leaf[:]) != [checkSize]byte(b[lengthSize:]) {
		return v, Hash{}, 0, errors.New("the entry does not hash to what stands before it")
	}
	if v.sequence != sequence {
		return v, Hash{}, 0, fmt.Errorf("the entry says that it is %d", v.sequence)
	}
	return v, leaf, n, nil
}

// A bundle is what readRecords found.
type bundle struct {
	leaves []Hash
	last   int64 // time of the last entry, ms
	end    int   // of the last whole record, in bytes
	bad    error // why what follows is no record; nil at the end of the file
}

// readRecords decodes the records of a bundle from the entry with a sequence
// on, and calls each for every one, until the end or the first that is none.
func readRecords(b []byte, sequence uint64, each func(v *view, leaf Hash) error) (bundle, error) {
	var found bundle
	room := bundleEntries - int(sequence%bundleEntries)
	for found.end < len(b) {
		if len(found.leaves) == room {
			found.bad = fmt.Errorf("%d bytes follow the last entry of the bundle", len(b)-found.end)
			break
		}
		v, leaf, n, err := nextRecord(b[found.end:], sequence+uint64(len(found.leaves)))
		if err != nil {
			found.bad = err
			break
		}
		if each != nil {
			if err := each(&v, leaf); err != nil {
				return found, err
			}
		}
		found.leaves = append(found.leaves, leaf)
		found.last = v.time
		found.end += n
	}
	return found, nil
}

// skipRecords returns what follows n records, as far as their lengths lead.
func skipRecords(b []byte, n int) []byte {
	for range n {
		if len(b) < recordHead {
			return nil
		}
		length := binary.BigEndian.Uint32(b)
		if uint64(length) > uint64(len(b)-recordHead) {
			return nil
		}
		b = b[recordHead+int(length):]
	}
	return b
}
