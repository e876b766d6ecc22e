package sql

import (
	"fmt"
	"math"
	"math/big"
	"strings"
)

// interval is PostgreSQL's interval: three parts that do not convert into
// each other until they are compared (30 days a month, 24 hours a day).
type interval struct {
	months, days int32
	us           int64
}

// span is the interval in days and µs below a day, for comparison.
func (v interval) span() (days, us int64) {
	days = int64(v.months)*30 + int64(v.days) + floorDiv(v.us, day)
	return days, v.us - floorDiv(v.us, day)*day
}

func (v interval) cmp(w interval) int {
	a, b := v.spanBig(), w.spanBig()
	return a.Cmp(b)
}

func (v interval) spanBig() *big.Int {
	d, us := v.span()
	n := new(big.Int).Mul(big.NewInt(d), big.NewInt(day))
	return n.Add(n, big.NewInt(us))
}

var errIntervalRange = fail(codeDatetimeOverflow, "interval out of range")

func (v interval) add(w interval) (interval, error) {
	m, d := int64(v.months)+int64(w.months), int64(v.days)+int64(w.days)
	us := v.us + w.us
	if m != int64(int32(m)) || d != int64(int32(d)) || (us > v.us) != (w.us > 0) && w.us != 0 {
		return v, errIntervalRange
	}
	return interval{int32(m), int32(d), us}, nil
}

func (v interval) neg() (interval, error) {
	if v.months == math.MinInt32 || v.days == math.MinInt32 || v.us == math.MinInt64 {
		return v, errIntervalRange
	}
	return interval{-v.months, -v.days, -v.us}, nil
}

// mul follows interval_mul: fractions of a month become days, of a day time.
func (v interval) mul(f float64) (interval, error) {
	months, days := float64(v.months)*f, float64(v.days)*f
	if !fitsInt32(months) || !fitsInt32(days) {
		return v, errIntervalRange
	}
	out := interval{months: int32(months), days: int32(days)}
	monthDays := roundTo6((months - float64(out.months)) * 30)
	secs := roundTo6((days - float64(out.days) + monthDays - math.Trunc(monthDays)) * 86400)
	if math.Abs(secs) >= 86400 {
		out.days += int32(secs / 86400)
		secs -= float64(int(secs/86400) * 86400)
	}
	out.days += int32(monthDays)
	us := math.RoundToEven(float64(v.us)*f + secs*1e6)
	if math.IsNaN(us) || us >= math.MaxInt64 || us <= math.MinInt64 {
		return v, errIntervalRange
	}
	out.us = int64(us)
	return out, nil
}

// fitsInt32 reports whether f is a number of 32 bits once its fraction is cut off.
func fitsInt32(f float64) bool { return f <= math.MaxInt32 && f >= math.MinInt32 }

// div follows interval_div.
func (v interval) div(f float64) (interval, error) {
	if f == 0 {
		return v, errDivisionByZero
	}
	months, days := float64(v.months)/f, float64(v.days)/f
	if !fitsInt32(months) || !fitsInt32(days) {
		return v, errIntervalRange
	}
	out := interval{months: int32(months), days: int32(days)}
	monthDays := roundTo6((float64(v.months)/f - float64(out.months)) * 30)
	secs := roundTo6((float64(v.days)/f - float64(out.days) + monthDays - math.Trunc(monthDays)) * 86400)
	if math.Abs(secs) >= 86400 {
		out.days += int32(secs / 86400)
		secs -= float64(int(secs/86400) * 86400)
	}
	out.days += int32(monthDays)
	us := math.RoundToEven(float64(v.us)/f + secs*1e6)
	if math.IsNaN(us) || us >= math.MaxInt64 || us <= math.MinInt64 {
		return v, errIntervalRange
	}
	out.us = int64(us)
	return out, nil
}

// roundTo6 is PostgreSQL's TSROUND.
func roundTo6(f float64) float64 { return math.RoundToEven(f*1e6) / 1e6 }

// addTo adds v to a time: months first (the day is cut to the month's
// length), then days, then time.
func (v interval) addTo(us int64) (int64, error) {
	if isInfinite(us) {
		return us, nil
	}
	if v.months != 0 {
		c := breakDown(us)
		m := c.year*12 + int64(c.month) - 1 + int64(v.months)
		c.year, c.month = floorDiv(m, 12), int(m-floorDiv(m, 12)*12)+1
		c.day = min(c.day, daysInMonth(c.year, c.month))
		var err error
		if us, err = c.micros(); err != nil {
			return 0, err
		}
	}
	if v.days != 0 {
		days := floorDiv(us, day) + int64(v.days)
		if days < minDate-1 || days >= maxTimestamp/day {
			return 0, errTimestampRange
		}
		us += int64(v.days) * day
	}
	sum := us + v.us
	if (sum > us) != (v.us > 0) && v.us != 0 {
		return 0, errTimestampRange
	}
	return checkTimestamp(sum)
}

// append appends the text of IntervalStyle postgres (EncodeInterval).
func (v interval) append(dst []byte) []byte {
	start, before := len(dst), false
	part := func(n int64, unit string) {
		if n == 0 {
			return
		}
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		if before && n > 0 {
			dst = append(dst, '+')
		}
		dst = fmt.Appendf(dst, "%d %s", n, unit)
		if n != 1 {
			dst = append(dst, 's')
		}
		before = n < 0
	}
	part(int64(v.months/12), "year")
	part(int64(v.months%12), "mon")
	part(int64(v.days), "day")
	if v.us == 0 && len(dst) > start {
		return dst
	}
	if len(dst) > start {
		dst = append(dst, ' ')
	}
	us := uint64(v.us)
	if v.us < 0 {
		dst = append(dst, '-')
		us = -us
	} else if before {
		dst = append(dst, '+')
	}
	dst = fmt.Appendf(dst, "%02d:%02d:%02d", us/uint64(hour), us%uint64(hour)/uint64(minute), us%uint64(minute)/uint64(second))
	return appendFraction(dst, int(us%uint64(second)))
}

// unitAliases are the other spellings that PostgreSQL knows.
var unitAliases = map[string]string{
	"millennia": "millennium", "mil": "millennium", "mils": "millennium", "millenniums": "millennium",
	"c": "century", "cent": "century", "centuries": "century",
	"dec": "decade", "decs": "decade", "decades": "decade",
	"y": "year", "yr": "year", "yrs": "year", "years": "year",
	"qtr": "quarter", "mon": "month", "mons": "month", "months": "month",
	"j": "julian", "jd": "julian", "timezone_h": "timezone_hour", "timezone_m": "timezone_minute",
	"w": "week", "weeks": "week", "d": "day", "days": "day",
	"h": "hour", "hr": "hour", "hrs": "hour", "hours": "hour",
	"m": "minute", "min": "minute", "mins": "minute", "minutes": "minute",
	"s": "second", "sec": "second", "secs": "second", "seconds": "second",
	"ms": "millisecond", "msec": "millisecond", "msecs": "millisecond", "msecond": "millisecond", "mseconds": "millisecond", "milliseconds": "millisecond",
	"us": "microsecond", "usec": "microsecond", "usecs": "microsecond", "usecond": "microsecond", "useconds": "microsecond", "microseconds": "microsecond",
}

func timeUnit(s string) string {
	s = strings.ToLower(s)
	if u, ok := unitAliases[s]; ok {
		return u
	}
	return s
}
