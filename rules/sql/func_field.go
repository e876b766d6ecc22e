package sql

import "math/big"

// addTimeFields defines extract, date_part and date_trunc.
func (c *catalog) addTimeFields() {
	const g = "Times"
	field := func(asFloat bool, get func(name string, v value) (*numeric, error)) func(a []value) (value, error) {
		return func(a []value) (value, error) {
			n, err := get(timeUnit(a[0].s), a[1])
			if err != nil || n == nil {
				return null, err
			}
			if asFloat {
				f, err := floatField(timeUnit(a[0].s), a[1], n)
				return floatValue(f), err
			}
			return numValue(n), nil
		}
	}
	ofTime := func(t Type) func(name string, v value) (*numeric, error) {
		return func(name string, v value) (*numeric, error) { return timeField(name, v.i, t) }
	}
	ofDate := func(name string, v value) (*numeric, error) {
		switch name {
		case "hour", "minute", "second", "millisecond", "microsecond", "timezone", "timezone_hour", "timezone_minute":
			return nil, unitError("unit", name, Date)
		}
		switch {
		case v.i == plusInfDate || v.i == minusInfDate:
			return timeField(name, midnight(v.i), Date)
		case name == "epoch":
			return numericInt(v.i * (day / second)), nil
		case name == "julian":
			return numericInt(v.i + unixJulian), nil
		}
		return dateField(name, v.i, Date)
	}
	ofInterval := func(name string, v value) (*numeric, error) { return intervalField(name, v.interval()) }
	c.fn(g, "extract", "field of a time or interval, as numeric: extract(hour FROM time); century, day, decade, dow, doy, epoch, hour, isodow, isoyear, microseconds, millennium, milliseconds, minute, month, quarter, second, timezone, week or year",
		"SELECT extract(hour FROM timestamp '2024-03-01 20:38:40')", pairs{
			"text,timestamptz:numeric", stableFn(func(_ *env, a []value) (value, error) { return field(false, ofTime(Timestamptz))(a) }),
			"text,timestamp:numeric", field(false, ofTime(Timestamp)), "text,time:numeric", field(false, timeOfDayField), "text,date:numeric", field(false, ofDate), "text,interval:numeric", field(false, ofInterval),
		})
	c.fn(g, "date_part", "the same as double precision: date_part('hour', time)", "SELECT date_part('day', interval '3 days 2 hours')", pairs{
		"text,timestamptz:float8", stableFn(func(_ *env, a []value) (value, error) { return field(true, ofTime(Timestamptz))(a) }),
		"text,timestamp:float8", field(true, ofTime(Timestamp)), "text,time:float8", field(true, timeOfDayField), "text,interval:float8", field(true, ofInterval),
		"text,date:float8", field(true, func(name string, v value) (*numeric, error) {
			us, err := dateToTimestamp(v.i)
			if err != nil {
				return nil, err
			}
			return timeField(name, us, Timestamp)
		}),
	})
	trunc := func(t Type) func(a []value) (value, error) {
		return func(a []value) (value, error) { return timeValue(truncTime(timeUnit(a[0].s), a[1].i, t)) }
	}
	c.fn(g, "date_trunc", "start of the field that a time lies in: date_trunc('hour', time)", "SELECT date_trunc('hour', timestamp '2024-03-01 20:38:40')", pairs{
		"text,timestamptz:timestamptz", stableFn(func(_ *env, a []value) (value, error) { return trunc(Timestamptz)(a) }),
		"text,timestamp:timestamp", trunc(Timestamp),
		"text,interval:interval", func(a []value) (value, error) {
			v, err := truncInterval(timeUnit(a[0].s), a[1].interval())
			return intervalValue(v), err
		},
	})
}

// floatField is n, a field of v, as date_part gives it: PostgreSQL adds up
// its parts in double precision, which may round more than once.
func floatField(name string, v value, n *numeric) (float64, error) {
	span, isInterval := v.o.(interval)
	switch {
	case n.kind != finite:
	case name == "second":
		us := n.coef.Int64()
		return float64(us/second) + float64(us%second)/1e6, nil
	case name == "millisecond":
		us := n.coef.Int64()
		return float64(us/second)*1000 + float64(us%second)/1000, nil
	case name == "epoch" && isInterval:
		f := float64(span.us) / 1e6
		f += 365.25 * 86400 * float64(span.months/12)
		f += 30 * 86400 * float64(span.months%12)
		return f + 86400*float64(span.days), nil
	}
	return n.float()
}

// knownFields are the fields that some type has.
var knownFields = map[string]bool{
	"microsecond": true, "millisecond": true, "second": true, "minute": true, "hour": true, "day": true, "week": true,
	"month": true, "quarter": true, "year": true, "decade": true, "century": true, "millennium": true, "isoyear": true,
	"dow": true, "isodow": true, "doy": true, "epoch": true, "timezone": true, "timezone_hour": true, "timezone_minute": true, "julian": true,
}

func unitError(kind, name string, t Type) error {
	if knownFields[name] {
		return fail(codeUnsupported, "%s %q not supported for type %v", kind, name, t)
	}
	return fail(codeInvalidParameter, "%s %q not recognized for type %v", kind, name, t)
}

// scaled is n × 10^-scale.
func scaled(n int64, scale int) *numeric {
	out := &numeric{scale: scale}
	out.coef.SetInt64(n)
	return out
}

// timeField is extract for a time. Of infinite times, fields that grow with
// time are infinite and the others NULL.
func timeField(name string, us int64, t Type) (*numeric, error) {
	if isInfinite(us) {
		switch name {
		case "year", "decade", "century", "millennium", "isoyear", "epoch", "julian":
			if us == plusInfinity {
				return &numeric{kind: posInfinity}, nil
			}
			return &numeric{kind: negInfinity}, nil
		}
		if knownFields[name] {
			return nil, nil
		}
		return nil, unitError("unit", name, t)
	}
	c := breakDown(us)
	days := floorDiv(us, day)
	switch name {
	case "microsecond":
		return numericInt(int64(c.secs)*second + int64(c.us)), nil
	case "millisecond":
		return scaled(int64(c.secs)*second+int64(c.us), 3), nil
	case "second":
		return scaled(int64(c.secs)*second+int64(c.us), 6), nil
	case "minute":
		return numericInt(int64(c.minute)), nil
	case "hour":
		return numericInt(int64(c.hour)), nil
	case "epoch":
		return scaled(us, 6), nil
	case "julian":
		// Whole days since 4714-11-24 BC, and the part of the day.
		whole := numericInt(days + unixJulian)
		part, err := numericDiv(numericInt(us-days*day), numericInt(day))
		if err != nil {
			return nil, err
		}
		return numericAdd(whole, part)
	case "timezone", "timezone_hour", "timezone_minute":
		if t == Timestamptz {
			return numericInt(0), nil
		}
	}
	return dateField(name, days, t)
}

// unixJulian is the Julian day of 1970-01-01.
const unixJulian = 2440588

// dateField is extract for the day that a time of type t lies in.
func dateField(name string, days int64, t Type) (*numeric, error) {
	var c civil
	c.year, c.month, c.day = civilFromDays(days)
	switch name {
	case "day":
		return numericInt(int64(c.day)), nil
	case "month":
		return numericInt(int64(c.month)), nil
	case "quarter":
		return numericInt(int64(c.month-1)/3 + 1), nil
	case "week":
		_, w := isoWeek(days)
		return numericInt(w), nil
	case "isoyear":
		y, _ := isoWeek(days)
		return numericInt(bcYear(y)), nil
	case "year":
		return numericInt(bcYear(c.year)), nil
	case "decade":
		return numericInt(floorDiv(c.year, 10)), nil
	case "century":
		return numericInt(periodOf(c.year, 100)), nil
	case "millennium":
		return numericInt(periodOf(c.year, 1000)), nil
	case "dow":
		return numericInt(weekday(days)), nil
	case "isodow":
		return numericInt((weekday(days)+6)%7 + 1), nil
	case "doy":
		return numericInt(days - daysFromCivil(c.year, 1, 1) + 1), nil
	}
	return nil, unitError("unit", name, t)
}

// bcYear is the year as written: there is no year 0.
func bcYear(y int64) int64 {
	if y <= 0 {
		return y - 1
	}
	return y
}

// periodOf is the century or millennium; the first starts with the year 1.
func periodOf(y, n int64) int64 {
	if y > 0 {
		return (y + n - 1) / n
	}
	return -((n - 1 - (y - 1)) / n)
}

// weekday is 0 for Sunday; 1970-01-01 was a Thursday.
func weekday(days int64) int64 { return ((days+4)%7 + 7) % 7 }

// isoWeek is the year and week of ISO 8601: weeks start on Monday, and belong
// to the year of their Thursday.
func isoWeek(days int64) (year, week int64) {
	thursday := days - (weekday(days)+6)%7 + 3
	year, _, _ = civilFromDays(thursday)
	return year, (thursday-daysFromCivil(year, 1, 1))/7 + 1
}

func intervalField(name string, v interval) (*numeric, error) {
	us := v.us
	switch name {
	case "microsecond":
		return numericInt(us % minute), nil
	case "millisecond":
		return scaled(us%minute, 3), nil
	case "second":
		return scaled(us%minute, 6), nil
	case "minute":
		return numericInt(us % hour / minute), nil
	case "hour":
		return numericInt(us / hour), nil
	case "day":
		return numericInt(int64(v.days)), nil
	case "month":
		return numericInt(int64(v.months % 12)), nil
	case "quarter":
		return numericInt(int64(v.months%12/3) + 1), nil
	case "year":
		return numericInt(int64(v.months / 12)), nil
	case "decade":
		return numericInt(int64(v.months / 120)), nil
	case "century":
		return numericInt(int64(v.months / 1200)), nil
	case "millennium":
		return numericInt(int64(v.months / 12000)), nil
	case "epoch":
		// A year counts 365.25 days, a month 30.
		secs := int64(v.months/12)*31557600 + int64(v.months%12)*30*86400 + int64(v.days)*86400
		n := &numeric{scale: 6}
		n.coef.Mul(big.NewInt(secs), big.NewInt(second))
		n.coef.Add(&n.coef, big.NewInt(us))
		return n, nil
	}
	return nil, unitError("unit", name, Interval)
}

// truncTime is timestamp_trunc.
func truncTime(unit string, us int64, t Type) (int64, error) {
	if isInfinite(us) {
		return us, nil // whatever the unit
	}
	c := breakDown(us)
	switch unit {
	case "millennium", "century", "decade", "year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond", "microsecond":
	default:
		return 0, unitError("unit", unit, t)
	}
	first := func(year int64, month int) (int64, error) {
		return civil{year: year, month: month, day: 1}.micros()
	}
	switch unit {
	case "millennium":
		return first(floorDiv(c.year-1, 1000)*1000+1, 1)
	case "century":
		return first(floorDiv(c.year-1, 100)*100+1, 1)
	case "decade":
		return first(floorDiv(c.year, 10)*10, 1)
	case "year":
		return first(c.year, 1)
	case "quarter":
		return first(c.year, (c.month-1)/3*3+1)
	case "month":
		return first(c.year, c.month)
	case "week":
		days := floorDiv(us, day)
		return checkTimestamp((days - (weekday(days)+6)%7) * day)
	}
	size := map[string]int64{"day": day, "hour": hour, "minute": minute, "second": second, "millisecond": 1000, "microsecond": 1}[unit]
	return floorDiv(us, size) * size, nil
}

// truncInterval is interval_trunc.
func truncInterval(unit string, v interval) (interval, error) {
	months := map[string]int32{"millennium": 12000, "century": 1200, "decade": 120, "year": 12, "quarter": 3, "month": 1}
	if m, ok := months[unit]; ok {
		return interval{months: v.months / m * m}, nil
	}
	size := map[string]int64{"day": 0, "hour": hour, "minute": minute, "second": second, "millisecond": 1000, "microsecond": 1}
	n, ok := size[unit]
	switch {
	case !ok:
		return v, unitError("unit", unit, Interval)
	case n == 0:
		return interval{months: v.months, days: v.days}, nil
	}
	v.us = v.us / n * n
	return v, nil
}
