package sql

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Times are µs since the Unix epoch in UTC; the extremes of int64 stand for
// -infinity and infinity, as in PostgreSQL (which counts from 2000).
const (
	microsecond   int64 = 1
	second              = 1_000_000 * microsecond
	minute              = 60 * second
	hour                = 60 * minute
	day                 = 24 * hour
	minusInfinity       = math.MinInt64
	plusInfinity        = math.MaxInt64
	epoch2000           = 10957                               // days from the Unix epoch to 2000-01-01
	minTimestamp        = -211813488000000000 + epoch2000*day // 4714-11-24 BC
	maxTimestamp        = math.MaxInt64 - 1
	minDate             = minTimestamp / day
	maxDate             = 2145031948 + epoch2000 // 5874897-12-31
	minusInfDate        = math.MinInt32
	plusInfDate         = math.MaxInt32
)

func isInfinite(us int64) bool { return us == minusInfinity || us == plusInfinity }

// civil is a moment broken down in the proleptic Gregorian calendar; year 0
// is 1 BC.
type civil struct {
	year               int64
	month, day         int
	hour, minute, secs int
	us                 int
}

// daysFromCivil and civilFromDays convert to and from days since the Unix
// epoch (algorithm of Howard Hinnant, "chrono-compatible low-level date algorithms").
func daysFromCivil(y int64, m, d int) int64 {
	if m <= 2 {
		y--
	}
	era := floorDiv(y, 400)
	yoe := y - era*400
	doy := int64((153*((m+9)%12)+2)/5 + d - 1)
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146097 + doe - 719468
}

func civilFromDays(z int64) (y int64, m, d int) {
	z += 719468
	era := floorDiv(z, 146097)
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d = int(doy - (153*mp+2)/5 + 1)
	m = int((mp+2)%12 + 1)
	y = yoe + era*400
	if m <= 2 {
		y++
	}
	return y, m, d
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

func daysInMonth(y int64, m int) int {
	if m == 2 {
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	}
	return [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[m-1]
}

func breakDown(us int64) civil {
	days := floorDiv(us, day)
	rest := us - days*day
	c := civil{hour: int(rest / hour), minute: int(rest % hour / minute), secs: int(rest % minute / second), us: int(rest % second)}
	c.year, c.month, c.day = civilFromDays(days)
	return c
}

var errTimestampRange = fail(codeDatetimeOverflow, "timestamp out of range")

func (c civil) micros() (int64, error) {
	days, us := daysFromCivil(c.year, c.month, c.day), c.sinceMidnight()
	if days < minDate-1 || days > maxTimestamp/day {
		return 0, errTimestampRange
	}
	if days == maxTimestamp/day && us > maxTimestamp%day {
		return 0, errTimestampRange
	}
	return checkTimestamp(days*day + us)
}

// sinceMidnight is the time of day in µs.
func (c civil) sinceMidnight() int64 {
	return int64(c.hour)*hour + int64(c.minute)*minute + int64(c.secs)*second + int64(c.us)
}

func checkTimestamp(us int64) (int64, error) {
	if us < minTimestamp || us > maxTimestamp {
		return 0, errTimestampRange
	}
	return us, nil
}

func appendYear(dst []byte, c civil) ([]byte, string) {
	y, era := c.year, ""
	if y <= 0 {
		y, era = 1-y, " BC"
	}
	return fmt.Appendf(dst, "%04d-%02d-%02d", y, c.month, c.day), era
}

func appendDate(dst []byte, days int64) []byte {
	switch days {
	case minusInfDate:
		return append(dst, "-infinity"...)
	case plusInfDate:
		return append(dst, "infinity"...)
	}
	var c civil
	c.year, c.month, c.day = civilFromDays(days)
	dst, era := appendYear(dst, c)
	return append(dst, era...)
}

// appendTimestamp appends the ISO form with zone ("+00") at the end, or none.
func appendTimestamp(dst []byte, us int64, zone string) []byte {
	switch us {
	case minusInfinity:
		return append(dst, "-infinity"...)
	case plusInfinity:
		return append(dst, "infinity"...)
	}
	c := breakDown(us)
	dst, era := appendYear(dst, c)
	dst = fmt.Appendf(dst, " %02d:%02d:%02d", c.hour, c.minute, c.secs)
	dst = appendFraction(dst, c.us)
	dst = append(dst, zone...)
	return append(dst, era...)
}

// appendFraction appends .ffffff without trailing zeros.
func appendFraction(dst []byte, us int) []byte {
	if us == 0 {
		return dst
	}
	return append(dst, strings.TrimRight(fmt.Sprintf(".%06d", us), "0")...)
}

// parseTimestamp reads a time for type t (Timestamptz, Timestamp or Date) in
// ISO 8601's order: date, then optionally time, zone and "BC". A zone is
// ignored for types without one, as PostgreSQL does.
func parseTimestamp(s string, t Type) (int64, error) {
	bad := func() error { return badTimestamp(s, t) }
	text := strings.ToLower(strings.TrimSpace(s))
	switch text {
	case "epoch":
		return 0, nil
	case "infinity", "+infinity":
		return plusInfinity, nil
	case "-infinity":
		return minusInfinity, nil
	case "now", "today", "tomorrow", "yesterday":
		return 0, fail(codeUnsupported, "the time %q is not supported", text).hint("write now(), or date_trunc('day', now())")
	}
	bc := false
	if rest, ok := strings.CutSuffix(text, " bc"); ok {
		text, bc = rest, true
	} else if rest, ok := strings.CutSuffix(text, " ad"); ok {
		text = rest
	}
	c, rest, ok := parseDatePart(text)
	if !ok {
		return 0, bad()
	}
	overflow := func() error {
		return fail(codeDatetimeOverflow, "date/time field value out of range: %q", s)
	}
	if bc {
		c.year = 1 - c.year
	} else if c.year == 0 {
		return 0, overflow()
	}
	var offset int64
	if rest != "" {
		if rest[0] != ' ' && rest[0] != 't' {
			return 0, bad()
		}
		if rest, ok = c.parseTime(strings.TrimLeft(rest[1:], " ")); !ok {
			return 0, bad()
		}
		if offset, ok = parseZone(strings.TrimSpace(rest)); !ok {
			return 0, bad()
		}
	}
	if c.month < 1 || c.month > 12 || c.day < 1 || c.day > daysInMonth(c.year, c.month) ||
		c.hour > 24 || c.minute > 59 || c.secs > 60 || c.sinceMidnight() > day {
		return 0, overflow()
	}
	if offset <= -16*hour || offset >= 16*hour {
		return 0, fail("22009", "time zone displacement out of range: %q", s)
	}
	if t == Date {
		c.hour, c.minute, c.secs, c.us = 0, 0, 0, 0
	}
	us, err := c.micros()
	if err != nil {
		return 0, fail(codeDatetimeOverflow, "timestamp out of range: %q", s)
	}
	if t == Timestamptz {
		us -= offset
	}
	if us, err = checkTimestamp(us); err != nil {
		return 0, fail(codeDatetimeOverflow, "timestamp out of range: %q", s)
	}
	return us, nil
}

// badTimestamp is the error for a text that is no time of type t.
func badTimestamp(s string, t Type) error {
	e := fail(codeDatetimeFormat, "invalid input syntax for type %v: %q", t, s)
	if _, err := parseInterval(s); err == nil && strings.ContainsAny(s, "abcdefghijklmnopqrstuvwxyz") {
		return e.hint("a span of time is written interval '%s'", s)
	}
	return e.hint("write it as 2006-01-02 15:04:05.999999+00")
}

// parseDatePart reads YYYY-MM-DD, YYYY/MM/DD or YYYYMMDD.
func parseDatePart(s string) (c civil, rest string, ok bool) {
	n := digits(s)
	if n == 8 && (len(s) == 8 || s[8] == ' ' || s[8] == 't') {
		c.year, c.month, c.day = int64(number(s[:4])), number(s[4:6]), number(s[6:8])
		return c, s[8:], true
	}
	if n < 3 || n > 7 || n >= len(s) || s[n] != '-' && s[n] != '/' {
		return c, "", false
	}
	sep := s[n]
	c.year, s = int64(number(s[:n])), s[n+1:]
	if n = digits(s); n < 1 || n > 2 || n >= len(s) || s[n] != sep {
		return c, "", false
	}
	c.month, s = number(s[:n]), s[n+1:]
	if n = digits(s); n < 1 || n > 2 {
		return c, "", false
	}
	c.day = number(s[:n])
	return c, s[n:], true
}

// parseClock reads HH:MM[:SS[.ffffff]]; digits beyond µs are rounded.
func (c *civil) parseClock(s string) (rest string, ok bool) {
	n := digits(s)
	if n < 1 || n > 2 || n >= len(s) || s[n] != ':' {
		return "", false
	}
	c.hour, s = number(s[:n]), s[n+1:]
	if n = digits(s); n < 1 || n > 2 {
		return "", false
	}
	c.minute, s = number(s[:n]), s[n:]
	if s == "" || s[0] != ':' {
		return s, true
	}
	s = s[1:]
	if n = digits(s); n < 1 || n > 2 {
		return "", false
	}
	c.secs, s = number(s[:n]), s[n:]
	if s != "" && s[0] == '.' {
		n = digits(s[1:])
		f, _ := strconv.ParseFloat("0."+s[1:n+1]+"0", 64)
		c.us = int(math.RoundToEven(f * 1e6))
		s = s[n+1:]
	}
	return s, true
}

// parseZone reads Z, UTC, GMT or ±HH[[:]MM[:SS]], east positive.
func parseZone(s string) (offset int64, ok bool) {
	switch s {
	case "", "z", "utc", "gmt", "zulu", "uct":
		return 0, true
	}
	if s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	sign := int64(1)
	if s[0] == '-' {
		sign = -1
	}
	parts := strings.Split(s[1:], ":")
	if len(parts) == 1 && len(s) == 5 {
		parts = []string{s[1:3], s[3:5]}
	}
	if len(parts) > 3 {
		return 0, false
	}
	for i, unit := range []int64{hour, minute, second}[:len(parts)] {
		if n := digits(parts[i]); n != len(parts[i]) || n < 1 || n > 2 || i > 0 && number(parts[i]) > 59 {
			return 0, false
		}
		offset += sign * int64(number(parts[i])) * unit
	}
	return offset, true
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// parseDate reads a date into days since the Unix epoch.
func parseDate(s string) (int64, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	if c, rest, ok := parseDatePart(text); ok && rest == "" && c.year > 294246 {
		if c.month < 1 || c.month > 12 || c.day < 1 || c.day > daysInMonth(c.year, c.month) {
			return 0, fail(codeDatetimeOverflow, "date/time field value out of range: %q", s)
		}
		if d := daysFromCivil(c.year, c.month, c.day); d <= maxDate {
			return d, nil
		}
		return 0, fail(codeDatetimeOverflow, "date out of range: %q", s)
	}
	us, err := parseTimestamp(s, Date)
	switch {
	case err != nil:
		return 0, err
	case us == minusInfinity:
		return minusInfDate, nil
	case us == plusInfinity:
		return plusInfDate, nil
	}
	return floorDiv(us, day), nil
}

// dateToTimestamp gives midnight of the date.
func dateToTimestamp(days int64) (int64, error) {
	switch {
	case days == minusInfDate:
		return minusInfinity, nil
	case days == plusInfDate:
		return plusInfinity, nil
	case days > maxTimestamp/day:
		return 0, fail(codeDatetimeOverflow, "date out of range for timestamp")
	}
	return days * day, nil
}

func timestampToDate(us int64) int64 {
	switch us {
	case minusInfinity:
		return minusInfDate
	case plusInfinity:
		return plusInfDate
	}
	return floorDiv(us, day)
}
