package sql

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// intervalParts collects the parts of an interval's text, as PostgreSQL's
// pg_itm_in does.
type intervalParts struct{ years, months, days, us int64 }

var (
	errIntervalFormat = errors.New("bad format")
	errIntervalField  = errors.New("field overflow")
)

// parseInterval reads an interval: interval_in of PostgreSQL's timestamp.c.
func parseInterval(text string) (interval, error) {
	var p intervalParts
	err := p.decode(text)
	if err == errIntervalFormat {
		p = intervalParts{}
		err = p.decodeISO(text)
	}
	switch {
	case err == errIntervalField:
		return interval{}, fail(codeIntervalOverflow, "interval field value out of range: %q", text)
	case err != nil:
		return interval{}, fail(codeDatetimeFormat, "invalid input syntax for type interval: %q", text).hint("write it as '1 day 02:30:00' or '90 minutes'")
	}
	months := p.years*12 + p.months
	if months != int64(int32(months)) {
		return interval{}, errIntervalRange
	}
	return interval{int32(months), int32(p.days), p.us}, nil
}

// addInt adds n times scale to a part that has 32 bits.
func addInt(part *int64, n, scale int64) error {
	if n != int64(int32(n)) {
		return errIntervalField
	}
	sum := *part + n*scale
	if n*scale != int64(int32(n*scale)) || sum != int64(int32(sum)) {
		return errIntervalField
	}
	*part = sum
	return nil
}

// addTime adds n and a fraction of a unit of scale µs (AdjustMicroseconds).
func (p *intervalParts) addTime(n int64, fraction float64, scale int64) error {
	us := n * scale
	if n != 0 && us/n != scale || (p.us+us < p.us) != (us < 0) {
		return errIntervalField
	}
	p.us += us
	return p.addFraction(fraction, scale)
}

// addFraction adds a fraction of a unit of scale µs, a half toward zero.
func (p *intervalParts) addFraction(fraction float64, scale int64) error {
	f := fraction * float64(scale)
	us := int64(f)
	if f -= float64(us); f > 0.5 {
		us++
	} else if f < -0.5 {
		us--
	}
	if (p.us+us < p.us) != (us < 0) {
		return errIntervalField
	}
	p.us += us
	return nil
}

func (p *intervalParts) addDays(n int64, fraction float64, scale int64) error {
	if err := addInt(&p.days, n, scale); err != nil {
		return err
	}
	if scale == 1 {
		return p.addFraction(fraction, day)
	}
	return p.addFractionDays(fraction, scale)
}

func (p *intervalParts) addFractionDays(fraction float64, scale int64) error {
	f := fraction * float64(scale)
	if err := addInt(&p.days, int64(f), 1); err != nil {
		return err
	}
	return p.addFraction(f-math.Trunc(f), day)
}

func (p *intervalParts) addMonths(n int64, fraction float64) error {
	if err := addInt(&p.months, n, 1); err != nil {
		return err
	}
	return p.addFractionDays(fraction, 30)
}

func (p *intervalParts) addYears(n int64, fraction float64, scale int64) error {
	if err := addInt(&p.years, n, scale); err != nil {
		return err
	}
	return addInt(&p.months, int64(math.RoundToEven(fraction*float64(scale)*12)), 1)
}

// add adds n and a fraction of a unit.
func (p *intervalParts) add(n int64, fraction float64, unit string) error {
	if us := timeUnits[unit]; us != 0 {
		return p.addTime(n, fraction, us)
	}
	switch unit {
	case "day":
		return p.addDays(n, fraction, 1)
	case "week":
		return p.addDays(n, fraction, 7)
	case "month":
		return p.addMonths(n, fraction)
	}
	if years := yearUnits[unit]; years != 0 {
		return p.addYears(n, fraction, years)
	}
	return errIntervalFormat
}

// timeUnits are units of time in µs, and yearUnits of years.
var (
	timeUnits = map[string]int64{"hour": hour, "minute": minute, "second": second, "millisecond": 1000, "microsecond": 1}
	yearUnits = map[string]int64{"year": 1, "decade": 10, "century": 100, "millennium": 1000}
)

// intervalMask has a bit for each unit, since none may come twice.
var intervalMask = map[string]int{
	"microsecond": 1, "millisecond": 2, "second": 4, "minute": 8, "hour": 16, "day": 32, "week": 64, "month": 128,
	"year": 256, "decade": 512, "century": 1024, "millennium": 2048,
}

// shortUnits may stand before a digit, as in 1h30m: they are words of dates too.
var shortUnits = map[string]bool{"d": true, "h": true, "m": true, "y": true, "s": true, "mon": true, "dec": true}

const clockMask = 1 | 2 | 4 | 8 | 16

// decode reads PostgreSQL's verbose form, such as 1 year -2 days 03:04:05 ago,
// and from its end, as DecodeInterval of datetime.c does.
func (p *intervalParts) decode(text string) error {
	fields, err := intervalFields(text)
	if err != nil {
		return err
	}
	seen, ago, unit := 0, false, ""
	for i := len(fields) - 1; i >= 0; i-- {
		f, mask := fields[i], 0
		body := strings.TrimLeft(f, "+-")
		switch {
		case f[0] >= 'a' && f[0] <= 'z':
			if f == "ago" {
				ago, unit = true, "ago"
			} else if unit = timeUnit(f); intervalMask[unit] == 0 {
				return errIntervalFormat
			}
			continue
		case strings.Contains(body, ":"):
			if err = p.clock(body); err == nil && f[0] == '-' {
				p.us = -p.us
			}
			mask, unit = clockMask, "day"
		default:
			if unit == "" {
				unit = "second"
			}
			mask, err = p.number(f, &unit)
		}
		if err != nil {
			return err
		}
		if mask&seen != 0 {
			return errIntervalFormat
		}
		seen |= mask
	}
	if seen == 0 {
		return errIntervalFormat
	}
	if ago {
		for _, part := range []*int64{&p.years, &p.months, &p.days} {
			if *part = -*part; *part != int64(int32(*part)) {
				return errIntervalField
			}
		}
		if p.us == math.MinInt64 {
			return errIntervalField
		}
		p.us = -p.us
	}
	return nil
}

// number reads n, n.n or years-months and adds so many of unit, which becomes
// that of a number before it. It returns the bits of what was given.
func (p *intervalParts) number(f string, unit *string) (mask int, err error) {
	end := 0
	for end < len(f) && (end == 0 && (f[0] == '-' || f[0] == '+') || f[end] >= '0' && f[end] <= '9') {
		end++
	}
	n, err := strconv.ParseInt(f[:end], 10, 64)
	if err != nil && errors.Is(err, strconv.ErrRange) {
		return 0, errIntervalField
	}
	if err != nil && strings.Trim(f[:end], "+-") != "" {
		return 0, errIntervalFormat
	}
	fraction := 0.0
	switch rest := f[end:]; {
	case rest == "":
	case rest[0] == '-':
		months, digits := 0, 1
		for ; digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9'; digits++ {
			months = min(months*10+int(rest[digits]-'0'), 12)
		}
		if months == 12 {
			return 0, errIntervalField
		}
		if digits < len(rest) {
			return 0, errIntervalFormat
		}
		if f[0] == '-' {
			months = -months
		}
		*unit = "month"
		if n != int64(int32(n)) {
			return 0, errIntervalField
		}
		n = n*12 + int64(months)
	case rest == ".":
	case rest[0] == '.':
		if fraction, err = strconv.ParseFloat("0"+rest, 64); err != nil || strings.Trim(rest[1:], "0123456789") != "" {
			return 0, errIntervalFormat
		}
		if f[0] == '-' {
			fraction = -fraction
		}
	default:
		return 0, errIntervalFormat
	}
	mask = intervalMask[*unit]
	if *unit == "second" && fraction != 0 {
		mask |= intervalMask["millisecond"] | intervalMask["microsecond"]
	}
	err = p.add(n, fraction, *unit)
	if *unit == "hour" {
		*unit = "day" // 1 02 hours
	}
	return mask, err
}

// clock reads HH:MM, HH:MM:SS[.S] or MM:SS.S, in place of the time read so far.
func (p *intervalParts) clock(s string) error {
	parts := strings.Split(s, ":")
	if len(parts) > 3 {
		return errIntervalFormat
	}
	last, fraction := parts[len(parts)-1], 0.0
	if i := strings.IndexByte(last, '.'); i >= 0 {
		f, err := strconv.ParseFloat("0"+last[i:]+"0", 64)
		if err != nil {
			return errIntervalFormat
		}
		fraction = math.RoundToEven(f * float64(second))
		if parts[len(parts)-1] = last[:i]; len(parts) == 2 {
			parts = append([]string{"0"}, parts...)
		}
	}
	var n [3]int64
	for i, part := range parts {
		if part == "" {
			continue
		}
		var err error
		if n[i], err = strconv.ParseInt(part, 10, 64); err != nil {
			if errors.Is(err, strconv.ErrRange) {
				return errIntervalField
			}
			return errIntervalFormat
		}
	}
	if n[0] < 0 || n[1] < 0 || n[1] > 59 || n[2] < 0 || n[2] > 60 {
		return errIntervalField
	}
	p.us = int64(fraction)
	for i, scale := range []int64{hour, minute, second} {
		if err := p.addTime(n[i], 0, scale); err != nil {
			return err
		}
	}
	return nil
}

// intervalFields cuts an interval's text into numbers, clock times and words
// in lower case (ParseDateTime of datetime.c). Punctuation only separates.
func intervalFields(text string) ([]string, error) {
	var out []string
	t := strings.ToLower(text)
	isDigit := func(c byte) bool { return c >= '0' && c <= '9' }
	isLetter := func(c byte) bool { return c >= 'a' && c <= 'z' }
	run := func(i int, in func(c byte) bool) int {
		for i < len(t) && in(t[i]) {
			i++
		}
		return i
	}
	for i := 0; i < len(t); {
		c, end := t[i], i
		switch {
		case strings.IndexByte(" \t\n\r\f\v", c) >= 0:
			i++
			continue
		case c == '.':
			end = run(i+1, isDigit)
		case isDigit(c):
			end = run(i, isDigit)
			if end < len(t) && t[end] == ':' {
				end = run(end, func(c byte) bool { return isDigit(c) || c == ':' || c == '.' })
			} else if end < len(t) && strings.IndexByte("-/.", t[end]) >= 0 {
				mark := t[end]
				word := end+1 < len(t) && isLetter(t[end+1])
				end = run(end, func(c byte) bool { return isDigit(c) || c == mark || word && isLetter(c) })
			}
		case c == '+' || c == '-':
			start := run(i+1, func(c byte) bool { return strings.IndexByte(" \t\n\r\f\v", c) >= 0 })
			if start == len(t) || !isDigit(t[start]) {
				return nil, errIntervalFormat
			}
			end = run(start, func(c byte) bool { return isDigit(c) || strings.IndexByte(":.-", c) >= 0 })
			out = append(out, t[i:i+1]+t[start:end])
			i = end
			continue
		case isLetter(c):
			end = run(i, isLetter)
			// Before these PostgreSQL takes a word for one of a date.
			if end < len(t) && (strings.IndexByte("-/.", t[end]) >= 0 || (isDigit(t[end]) || t[end] == '+') && !shortUnits[t[i:end]]) {
				return nil, errIntervalFormat
			}
		case c > ' ' && c < 0x7f:
			i++
			continue
		default:
			return nil, errIntervalFormat
		}
		out = append(out, t[i:end])
		i = end
	}
	return out, nil
}
