package sql

import "math"

func timeValue(us int64, err error) (value, error) { return intValue(us), err }

func (c *catalog) addTimes() {
	const g = "Times"
	now := stableFn(func(x *env, _ []value) (value, error) { return intValue(x.now), nil })
	today := stableFn(func(x *env, _ []value) (value, error) { return intValue(floorDiv(x.now, day)), nil })
	c.fn(g, "now", "time at which the query was started, one value throughout", "SELECT now() > '2020-01-01'", pairs{":timestamptz", now})
	c.fn(g, "current_timestamp", "the same, without parentheses", "SELECT current_timestamp = now()", pairs{":timestamptz", now})
	c.fn(g, "localtimestamp", "the same as timestamp", "SELECT localtimestamp = now()", pairs{":timestamp", now})
	c.fn(g, "current_date", "the day of now(), in UTC", "SELECT current_date = now()::date", pairs{":date", today})
	c.functions["transaction_timestamp"] = c.functions["now"]
	c.functions["statement_timestamp"] = c.functions["now"]

	add := func(a []value) (value, error) { return timeValue(a[1].interval().addTo(a[0].i)) }
	addLeft := func(a []value) (value, error) { return timeValue(a[0].interval().addTo(a[1].i)) }
	sub := func(a []value) (value, error) {
		v, err := a[1].interval().neg()
		if err != nil {
			return null, err
		}
		return timeValue(v.addTo(a[0].i))
	}
	onDate := func(sign int64, date, span int) func(a []value) (value, error) {
		return func(a []value) (value, error) {
			us, err := dateToTimestamp(a[date].i)
			if err != nil {
				return null, err
			}
			v := a[span].interval()
			if sign < 0 {
				if v, err = v.neg(); err != nil {
					return null, err
				}
			}
			return timeValue(v.addTo(us))
		}
	}
	// timestamptz ± interval depends on the time zone in PostgreSQL, which
	// does not fold it when planning.
	stable := func(f func(a []value) (value, error)) stableFn {
		return func(_ *env, a []value) (value, error) { return f(a) }
	}
	c.op(g, "+", "", "", pairs{
		"timestamptz,interval:timestamptz", stable(add), "timestamp,interval:timestamp", add,
		"interval,timestamptz:timestamptz", stable(addLeft), "interval,timestamp:timestamp", addLeft,
		"date,interval:timestamp", onDate(1, 0, 1), "interval,date:timestamp", onDate(1, 1, 0),
		"date,int4:date", func(a []value) (value, error) { return addDays(a[0].i, a[1].i) },
		"int4,date:date", func(a []value) (value, error) { return addDays(a[1].i, a[0].i) },
		"interval,interval:interval", func(a []value) (value, error) {
			v, err := a[0].interval().add(a[1].interval())
			return intervalValue(v), err
		},
	})
	c.op(g, "-", "", "", pairs{
		"timestamptz,interval:timestamptz", stable(sub), "timestamp,interval:timestamp", sub, "date,interval:timestamp", onDate(-1, 0, 1),
		"timestamptz,timestamptz:interval", timesApart, "timestamp,timestamp:interval", timesApart,
		"date,date:int4", func(a []value) (value, error) {
			if a[0].i == minusInfDate || a[0].i == plusInfDate || a[1].i == minusInfDate || a[1].i == plusInfDate {
				return null, fail(codeDatetimeOverflow, "cannot subtract infinite dates")
			}
			return intValue(a[0].i - a[1].i), nil
		},
		"date,int4:date", func(a []value) (value, error) { return addDays(a[0].i, -a[1].i) },
		"interval,interval:interval", func(a []value) (value, error) {
			w, err := a[1].interval().neg()
			if err != nil {
				return null, err
			}
			v, err := a[0].interval().add(w)
			return intervalValue(v), err
		},
		"interval:interval", func(a []value) (value, error) {
			v, err := a[0].interval().neg()
			return intervalValue(v), err
		},
	})
	c.op(g, "*", "", "", pairs{
		"interval,float8:interval", func(a []value) (value, error) {
			v, err := a[0].interval().mul(a[1].f)
			return intervalValue(v), err
		},
		"float8,interval:interval", func(a []value) (value, error) {
			v, err := a[1].interval().mul(a[0].f)
			return intervalValue(v), err
		},
	})
	c.op(g, "/", "", "", pairs{"interval,float8:interval", func(a []value) (value, error) {
		v, err := a[0].interval().div(a[1].f)
		return intervalValue(v), err
	}})
	c.fn(g, "to_timestamp", "time from seconds since the Unix epoch", "SELECT to_timestamp(1284352323.5)", pairs{"float8:timestamptz", func(a []value) (value, error) { return fromEpoch(a[0].f) }})
	c.fn(g, "age", "years, months and days between two times, or from the first to midnight today", "SELECT age('2001-04-10'::timestamptz, '1957-06-13')", pairs{
		"timestamptz,timestamptz:interval", stable(func(a []value) (value, error) { return age(a[0].i, a[1].i) }),
		"timestamp,timestamp:interval", func(a []value) (value, error) { return age(a[0].i, a[1].i) },
		"timestamptz:interval", stableFn(func(x *env, a []value) (value, error) { return age(floorDiv(x.now, day)*day, a[0].i) }),
		"timestamp:interval", stableFn(func(x *env, a []value) (value, error) { return age(floorDiv(x.now, day)*day, a[0].i) }),
	})
	justify := func(f func(v interval) interval) pairs {
		return pairs{"interval:interval", func(a []value) value { return intervalValue(f(a[0].interval())) }}
	}
	c.fn(g, "justify_hours", "interval with each 24 hours made a day", "SELECT justify_hours('50 hours')", justify(interval.justifyHours))
}

func addDays(d, n int64) (value, error) {
	if d == minusInfDate || d == plusInfDate {
		return intValue(d), nil
	}
	if d += n; d < minDate || d > maxDate {
		return null, fail(codeDatetimeOverflow, "date out of range")
	}
	return intValue(d), nil
}

// timesApart is the difference in days and time.
func timesApart(a []value) (value, error) {
	if isInfinite(a[0].i) || isInfinite(a[1].i) {
		return null, fail(codeDatetimeOverflow, "cannot subtract infinite timestamps")
	}
	// Times more than 292,471 years apart wrap around, as PostgreSQL's.
	return intervalValue(interval{us: a[0].i - a[1].i}.justifyHours()), nil
}

// justifyHours is interval_justify_hours.
func (v interval) justifyHours() interval {
	out := v
	whole := v.us / day
	out.us -= whole * day
	out.days += int32(whole)
	switch {
	case out.days > 0 && out.us < 0:
		out.us += day
		out.days--
	case out.days < 0 && out.us > 0:
		out.us -= day
		out.days++
	}
	return out
}

// fromEpoch is float8_timestamptz.
func fromEpoch(s float64) (value, error) {
	switch {
	case math.IsNaN(s):
		return null, fail(codeDatetimeOverflow, "timestamp cannot be NaN")
	case math.IsInf(s, 1):
		return intValue(plusInfinity), nil
	case math.IsInf(s, -1):
		return intValue(minusInfinity), nil
	}
	// PostgreSQL rounds seconds from its own epoch, 2000-01-01.
	us := math.RoundToEven((s - float64(epoch2000*day/second)) * 1e6)
	if us >= 9.2e18 || us <= -2.2e17 {
		return null, fail(codeDatetimeOverflow, "timestamp out of range: \"%g\"", s)
	}
	return timeValue(checkTimestamp(int64(us) + epoch2000*day))
}

// breakDownForAge takes infinity for what it is in PostgreSQL, the last µs that
// 64 bits count from the year 2000.
func breakDownForAge(us int64) civil {
	if us != plusInfinity {
		return breakDown(us)
	}
	c := breakDown(plusInfinity % day)
	c.year, c.month, c.day = civilFromDays(plusInfinity/day + epoch2000)
	return c
}

// age is timestamp_age: the difference field by field, borrowing days from
// the month of the earlier time.
func age(a, b int64) (value, error) {
	if a == minusInfinity || b == minusInfinity {
		return null, errTimestampRange
	}
	sign := int64(1)
	x, y := breakDownForAge(a), breakDownForAge(b)
	if a < b {
		x, y, sign = y, x, -1
	}
	us := int64(x.hour-y.hour)*hour + int64(x.minute-y.minute)*minute + int64(x.secs-y.secs)*second + int64(x.us-y.us)
	days, months := int64(x.day-y.day), int64(x.month-y.month)
	years := x.year - y.year
	if us < 0 {
		us += day
		days--
	}
	for days < 0 {
		days += int64(daysInMonth(y.year, y.month))
		months--
	}
	for months < 0 {
		months += 12
		years--
	}
	return intervalValue(interval{months: int32(sign * (years*12 + months)), days: int32(sign * days), us: sign * us}), nil
}
