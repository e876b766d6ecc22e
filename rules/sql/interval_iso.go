package sql

import (
	"math"
	"strconv"
	"strings"
)

// isoReader reads ISO 8601's form of an interval.
type isoReader struct {
	*intervalParts
	rest string
}

// next reads a number (ParseISO8601Number of datetime.c).
func (r *isoReader) next() (n int64, fraction float64, err error) {
	end := 0
	for end < len(r.rest) && strings.IndexByte("0123456789+-.eE", r.rest[end]) >= 0 {
		end++
	}
	if end == 0 || r.rest[0] == '+' {
		return 0, 0, errIntervalFormat
	}
	// The longest start that is a number, as strtod takes it.
	for ; end > 0; end-- {
		if f, err := strconv.ParseFloat(r.rest[:end], 64); err == nil {
			if math.Abs(f) > 1e15 {
				return 0, 0, errIntervalField
			}
			r.rest = r.rest[end:]
			return int64(f), f - math.Trunc(f), nil
		}
	}
	return 0, 0, errIntervalFormat
}

// unit takes the next character, 0 at the end.
func (r *isoReader) unit() byte {
	if r.rest == "" {
		return 0
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	return c
}

// decodeISO reads P1Y2M3DT4H5M6S, P0001-02-03T04:05:06 or P00010203T040506
// (DecodeISO8601Interval).
func (p *intervalParts) decodeISO(text string) error {
	if len(text) < 2 || text[0] != 'P' {
		return errIntervalFormat
	}
	r := isoReader{p, text[1:]}
	inTime, any := false, false
	for r.rest != "" {
		if r.rest[0] == 'T' {
			inTime, any, r.rest = true, false, r.rest[1:]
			continue
		}
		width := len(r.rest) - len(strings.TrimLeft(strings.TrimPrefix(r.rest, "-"), "0123456789"))
		if r.rest[0] == '-' {
			width--
		}
		n, fraction, err := r.next()
		if err != nil {
			return err
		}
		unit := r.unit()
		units := map[byte]string{'Y': "year", 'M': "month", 'W': "week", 'D': "day"}
		if inTime {
			units = map[byte]string{'H': "hour", 'M': "minute", 'S': "second"}
		}
		if name := units[unit]; name != "" {
			if err := p.add(n, fraction, name); err != nil {
				return err
			}
			any = true
			continue
		}
		var done bool
		switch {
		case any:
			return errIntervalFormat
		case inTime:
			return r.isoClock(n, fraction, unit, width)
		default:
			if done, err = r.isoDate(n, fraction, unit, width); done || err != nil {
				return err
			}
			inTime = true
		}
	}
	return nil
}

// isoDate reads YYYYMMDD or YYYY-MM-DD; done at the end of the text, else T came.
func (r *isoReader) isoDate(n int64, fraction float64, unit byte, width int) (done bool, err error) {
	first := func(errs ...error) error {
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}
	if width == 8 && unit != '-' {
		if unit != 0 && unit != 'T' {
			return false, errIntervalFormat
		}
		return unit == 0, first(r.addYears(n/10000, 0, 1), r.addMonths(n/100%100, 0), r.addDays(n%100, fraction, 1))
	}
	for i := range 3 {
		if i > 0 {
			if n, fraction, err = r.next(); err != nil {
				return false, err
			}
			unit = r.unit()
		}
		switch i {
		case 0:
			err = r.addYears(n, fraction, 1)
		case 1:
			err = r.addMonths(n, fraction)
		default:
			err = r.addDays(n, fraction, 1)
		}
		if err != nil || unit == 0 || unit == 'T' {
			return unit == 0, err
		}
		if unit != '-' {
			break
		}
	}
	return false, errIntervalFormat
}

// isoClock reads HHMMSS or HH:MM:SS, to the end.
func (r *isoReader) isoClock(n int64, fraction float64, unit byte, width int) error {
	if width == 6 && unit == 0 {
		for _, part := range []struct{ n, scale int64 }{{n / 10000, hour}, {n / 100 % 100, minute}, {n % 100, second}} {
			if err := r.addTime(part.n, 0, part.scale); err != nil {
				return err
			}
		}
		return r.addFraction(fraction, 1)
	}
	for i, scale := range []int64{hour, minute, second} {
		if i > 0 {
			var err error
			if n, fraction, err = r.next(); err != nil {
				return err
			}
			unit = r.unit()
		}
		if err := r.addTime(n, fraction, scale); err != nil || unit == 0 {
			return err
		}
		if unit != ':' {
			break
		}
	}
	return errIntervalFormat
}
