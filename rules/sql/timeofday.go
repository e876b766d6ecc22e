package sql

import (
	"fmt"
	"strings"
)

// parseTimeOfDay is time_in: HH:MM[:SS[.f]], HHMM[SS[.f]] or either with AM
// or PM, a date before it, or a zone after it; the latter are not kept.
func parseTimeOfDay(s string) (int64, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	bad := fail(codeDatetimeFormat, "invalid input syntax for type time: %q", s).hint("write it as 15:04:05.999999")
	switch text {
	case "allballs":
		return 0, nil
	case "now":
		return 0, fail(codeUnsupported, "the time %q is not supported", text).hint("write localtime")
	}
	if _, rest, ok := parseDatePart(text); ok && rest != "" {
		if rest[0] == 't' {
			return 0, bad // as PostgreSQL
		}
		if _, err := parseTimestamp(s, Timestamp); err != nil {
			return 0, err
		}
		if text = strings.TrimLeft(rest, " "); digits(text) > 2 {
			return 0, bad
		}
	}
	text = strings.TrimPrefix(text, "t")
	var c civil
	rest, ok := c.parseTime(text)
	if !ok {
		return 0, bad
	}
	overflow := fail(codeDatetimeOverflow, "date/time field value out of range: %q", s)
	if c.hour > 24 {
		return 0, overflow
	}
	offset, ok := parseZone(rest)
	if !ok {
		return 0, bad
	}
	if offset <= -16*hour || offset >= 16*hour {
		return 0, fail("22009", "time zone displacement out of range: %q", s)
	}
	us := c.sinceMidnight()
	if c.minute > 59 || c.secs > 60 || us > day {
		return 0, overflow
	}
	return us, nil
}

// parseTime reads a clock time, perhaps without colons and with AM or PM; with
// these an hour above 12 becomes one above 24.
func (c *civil) parseTime(s string) (rest string, ok bool) {
	if rest, ok = c.parseClock(s); !ok {
		if rest, ok = c.parseCompactClock(s); !ok {
			return "", false
		}
	}
	half := ""
	rest = strings.TrimLeft(rest, " ")
	for _, h := range []string{"am", "pm"} {
		if after, found := strings.CutPrefix(rest, h); found {
			half, rest = h, strings.TrimLeft(after, " ")
			break
		}
	}
	switch {
	case half != "" && c.hour > 12:
		c.hour += 24
	case half == "am" && c.hour == 12:
		c.hour = 0
	case half == "pm" && c.hour != 12:
		c.hour += 12
	}
	return rest, true
}

// parseCompactClock reads HHMM or HHMMSS, the latter with decimals.
func (c *civil) parseCompactClock(s string) (rest string, ok bool) {
	n := digits(s)
	if n != 4 && n != 6 || strings.HasPrefix(s[n:], ".") && digits(s[n+1:]) == 0 {
		return "", false
	}
	text := s[:2] + ":" + s[2:4]
	if n == 6 {
		text += ":" + s[4:]
	} else {
		text += s[4:]
	}
	return c.parseClock(text)
}

func appendTimeOfDay(dst []byte, us int64) []byte {
	dst = fmt.Appendf(dst, "%02d:%02d:%02d", us/hour, us%hour/minute, us%minute/second)
	return appendFraction(dst, int(us%second))
}

// timeOfDay is the part of a time below a day.
func timeOfDay(us int64) int64 { return us - floorDiv(us, day)*day }

func (c *catalog) timeOfDayCasts() {
	c.cast(Time, Interval, func(a []value) (value, error) { return intervalValue(interval{us: a[0].i}), nil })
	c.cast(Interval, Time, func(a []value) (value, error) { return intValue(timeOfDay(a[0].interval().us)), nil })
	ofTimestamp := func(a []value) (value, error) {
		if isInfinite(a[0].i) {
			return null, nil
		}
		return intValue(timeOfDay(a[0].i)), nil
	}
	c.cast(Timestamp, Time, ofTimestamp)
	c.cast(Timestamptz, Time, ofTimestamp)
}

// addTimesOfDay defines what is special to the type time.
func (c *catalog) addTimesOfDay() {
	const g = "Times"
	c.fn(g, "localtime", "the time of day of now(), in UTC", "SELECT localtime = now()::time", pairs{
		":time", stableFn(func(x *env, _ []value) (value, error) { return intValue(timeOfDay(x.now)), nil }),
	})
	shifted := func(sign int64, at, span int) func(a []value) value {
		// A sum beyond 64 bits wraps around, as PostgreSQL's.
		return func(a []value) value { return intValue(timeOfDay(a[at].i + sign*a[span].interval().us)) }
	}
	joined := func(date, at int) func(a []value) (value, error) {
		return func(a []value) (value, error) {
			us, err := dateToTimestamp(a[date].i)
			if err != nil || isInfinite(us) {
				return intValue(us), err
			}
			return timeValue(checkTimestamp(us + a[at].i))
		}
	}
	c.op(g, "+", "", "", pairs{
		"time,interval:time", shifted(1, 0, 1), "interval,time:time", shifted(1, 1, 0),
		"date,time:timestamp", joined(0, 1), "time,date:timestamp", joined(1, 0),
	})
	c.op(g, "-", "", "", pairs{
		"time,interval:time", shifted(-1, 0, 1),
		"time,time:interval", func(a []value) value { return intervalValue(interval{us: a[0].i - a[1].i}) },
	})
}

// timeOfDayField is extract for the type time.
func timeOfDayField(name string, v value) (*numeric, error) {
	switch name {
	case "hour", "minute", "second", "millisecond", "microsecond":
		if name == "hour" {
			return numericInt(v.i / hour), nil // 24 at the end of a day
		}
		return timeField(name, v.i%hour, Time)
	case "epoch":
		return scaled(v.i, 6), nil
	}
	return nil, unitError("unit", name, Time)
}
