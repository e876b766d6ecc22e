package eventfile

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
)

// parquetType returns how values of a type are kept, and how their text is
// read. A value may keep the text.
func parquetType(name string) (parquet.Node, func([]byte) (parquet.Value, error)) {
	dictionary := func(n parquet.Node) parquet.Node { return parquet.Encoded(n, &parquet.RLEDictionary) }
	plain := func(n parquet.Node) parquet.Node { return n }
	integer := func(bits int, wrap func(int64) parquet.Value) func([]byte) (parquet.Value, error) {
		return func(s []byte) (parquet.Value, error) {
			n, err := strconv.ParseInt(string(s), 10, bits)
			return wrap(n), numberError(err)
		}
	}
	int32Value := func(n int64) parquet.Value { return parquet.Int32Value(int32(n)) }
	switch name {
	case "boolean":
		return plain(parquet.Leaf(parquet.BooleanType)), parseBoolean
	case "smallint":
		return dictionary(parquet.Int(16)), integer(16, int32Value)
	case "integer":
		return dictionary(parquet.Int(32)), integer(32, int32Value)
	case "bigint":
		return dictionary(parquet.Int(64)), integer(64, parquet.Int64Value)
	case "double precision":
		return plain(parquet.Leaf(parquet.DoubleType)), func(s []byte) (parquet.Value, error) {
			f, err := strconv.ParseFloat(string(s), 64)
			return parquet.DoubleValue(f), numberError(err)
		}
	case "timestamp with time zone", "timestamptz":
		return parquet.Encoded(parquet.TimestampAdjusted(parquet.Microsecond, true), &parquet.DeltaBinaryPacked), parseMoment
	case "timestamp without time zone", "timestamp":
		return parquet.Encoded(parquet.TimestampAdjusted(parquet.Microsecond, false), &parquet.DeltaBinaryPacked), parseMoment
	case "date":
		return dictionary(parquet.Date()), func(s []byte) (parquet.Value, error) {
			us, err := micros(string(s))
			return parquet.Int32Value(int32(floorDiv(us, int64(24*time.Hour/time.Microsecond)))), err
		}
	case "time without time zone", "time":
		return plain(parquet.TimeAdjusted(parquet.Microsecond, false)), func(s []byte) (parquet.Value, error) {
			us, err := clock(string(s))
			return parquet.Int64Value(us), err
		}
	case "bytea":
		return plain(parquet.Leaf(parquet.ByteArrayType)), func(s []byte) (parquet.Value, error) {
			text, ok := strings.CutPrefix(string(s), `\x`)
			b, err := hex.DecodeString(text)
			if !ok || err != nil {
				return parquet.Value{}, errors.New(`want hex digits after \x`)
			}
			return parquet.ByteArrayValue(b), nil
		}
	case "uuid":
		return plain(parquet.UUID()), func(s []byte) (parquet.Value, error) {
			b, err := hex.DecodeString(strings.ReplaceAll(string(s), "-", ""))
			if err != nil || len(b) != 16 {
				return parquet.Value{}, errors.New("want 32 hex digits")
			}
			return parquet.FixedLenByteArrayValue(b), nil
		}
	case "jsonb", "json":
		return dictionary(parquet.JSON()), func(s []byte) (parquet.Value, error) {
			if !json.Valid(s) {
				return parquet.Value{}, errors.New("want JSON")
			}
			return parquet.ByteArrayValue(s), nil
		}
	}
	return dictionary(parquet.String()), func(s []byte) (parquet.Value, error) { return parquet.ByteArrayValue(s), nil }
}

func numberError(err error) error {
	if err != nil {
		return errors.New("not a number in its range")
	}
	return nil
}

func parseBoolean(s []byte) (parquet.Value, error) {
	if string(s) != "t" && string(s) != "f" {
		return parquet.Value{}, errors.New("want t or f")
	}
	return parquet.BooleanValue(s[0] == 't'), nil
}

func parseMoment(s []byte) (parquet.Value, error) {
	us, err := micros(string(s))
	return parquet.Int64Value(us), err
}

// micros reads a date or timestamp as PostgreSQL writes it in UTC, with years
// of any length and before Christ, as µs since 1970.
func micros(s string) (int64, error) {
	bad := errors.New("not a date or time")
	if strings.HasSuffix(s, "infinity") {
		return 0, errors.New("an infinite time has no place in Parquet: leave it out, or write ::text")
	}
	s, before := strings.CutSuffix(s, " BC")
	date, day, timed := strings.Cut(strings.TrimSuffix(s, "+00"), " ")
	parts := strings.Split(date, "-")
	if len(parts) != 3 {
		return 0, bad
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 24)
		if err != nil || v == 0 {
			return 0, bad
		}
		n[i] = int(v)
	}
	if before {
		n[0] = 1 - n[0]
	}
	if n[1] > 12 || n[2] > 31 {
		return 0, bad
	}
	at := time.Date(n[0], time.Month(n[1]), n[2], 0, 0, 0, 0, time.UTC)
	seconds := at.Unix()
	if at.Day() != n[2] {
		return 0, bad
	}
	us := int64(0)
	if timed {
		var err error
		if us, err = clock(day); err != nil {
			return 0, err
		}
	}
	if seconds > (math.MaxInt64-us)/1_000_000 || seconds < math.MinInt64/1_000_000 {
		return 0, errors.New("outside of what 64 bits of microseconds hold")
	}
	return seconds*1_000_000 + us, nil
}

// clock reads a time of day, 00:00:00 to 24:00:00, as µs.
func clock(s string) (int64, error) {
	bad := errors.New("not a time of day")
	whole, fraction, dotted := strings.Cut(s, ".")
	parts := strings.Split(whole, ":")
	if len(parts) != 3 {
		return 0, bad
	}
	us := int64(0)
	for i, most := range [3]uint64{24, 59, 60} {
		v, err := strconv.ParseUint(parts[i], 10, 8)
		if err != nil || v > most {
			return 0, bad
		}
		us = us*60 + int64(v)
	}
	us *= 1_000_000
	if dotted {
		v, err := strconv.ParseUint((fraction + "000000")[:max(6, len(fraction))], 10, 64)
		if err != nil || len(fraction) > 6 {
			return 0, bad
		}
		us += int64(v)
	}
	if us > int64(24*time.Hour/time.Microsecond) {
		return 0, bad
	}
	return us, nil
}
