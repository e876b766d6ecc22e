package sql

import "math"

// addTimeMakers defines functions that make times of numbers, and bins.
func (c *catalog) addTimeMakers() {
	const g = "Times"
	c.fn(g, "make_date", "date of year, month and day", "SELECT make_date(2013, 7, 15)", pairs{
		"int4,int4,int4:date", func(a []value) (value, error) {
			us, err := makeDay(a[0].i, a[1].i, a[2].i)
			return intValue(us), err
		},
	})
	c.fn(g, "make_time", "time of hour, minute and seconds", "SELECT make_time(8, 15, 23.5)", pairs{
		"int4,int4,float8:time", func(a []value) (value, error) { return timeValue(makeClock(a[0].i, a[1].i, a[2].f)) },
	})
	stamp := func(a []value) (int64, error) {
		days, err := makeDay(a[0].i, a[1].i, a[2].i)
		if err != nil {
			return 0, err
		}
		us, err := makeClock(a[3].i, a[4].i, a[5].f)
		if err != nil {
			return 0, err
		}
		if days > maxTimestamp/day {
			return 0, errTimestampRange
		}
		return checkTimestamp(days*day + us)
	}
	c.fn(g, "make_timestamp", "timestamp of year, month, day, hour, minute and seconds", "SELECT make_timestamp(2013, 7, 15, 8, 15, 23.5)", pairs{
		"int4,int4,int4,int4,int4,float8:timestamp", func(a []value) (value, error) { return timeValue(stamp(a)) },
	})
	c.fn(g, "make_timestamptz", "the same as timestamptz, in a time zone", "SELECT make_timestamptz(2013, 7, 15, 8, 15, 23.5, 'Europe/Berlin')", pairs{
		"int4,int4,int4,int4,int4,float8:timestamptz", stableFn(func(_ *env, a []value) (value, error) { return timeValue(stamp(a)) }),
		"int4,int4,int4,int4,int4,float8,text:timestamptz", stableFn(func(_ *env, a []value) (value, error) {
			us, err := stamp(a)
			if err != nil {
				return null, err
			}
			z, err := argumentZone(a[6].s)
			if err != nil {
				return null, err
			}
			return timeValue(z.moment(us))
		}),
	})
	for name, params := range map[string][]string{
		"make_date": {"year", "month", "day"}, "make_time": {"hour", "min", "sec"},
		"make_timestamp": {"year", "month", "mday", "hour", "min", "sec"}, "make_timestamptz": {"year", "month", "mday", "hour", "min", "sec", "timezone"},
	} {
		for _, f := range c.functions[name] {
			f.params = params[:len(f.args)]
		}
	}
	c.fn(g, "make_interval", "interval of years, months, weeks, days, hours, mins and secs, each 0 if left out", "SELECT make_interval(days => 10, hours => 2)", pairs{
		"int4,int4,int4,int4,int4,int4,float8:interval", func(a []value) (value, error) {
			secs := a[6].f
			if math.IsNaN(secs) || math.IsInf(secs, 0) {
				return null, errIntervalRange
			}
			months, days := a[0].i*12+a[1].i, a[2].i*7+a[3].i
			us := float64(a[4].i*hour+a[5].i*minute) + math.RoundToEven(secs*1e6)
			if months != int64(int32(months)) || days != int64(int32(days)) || math.Abs(us) > 9.2e18 {
				// PostgreSQL 15 gives something else than what was asked for.
				return null, fail(codeUnsupported, "an interval out of range is not supported")
			}
			return intervalValue(interval{int32(months), int32(days), a[4].i*hour + a[5].i*minute + int64(math.RoundToEven(secs*1e6))}), nil
		},
	})
	f := c.functions["make_interval"][0]
	f.params = []string{"years", "months", "weeks", "days", "hours", "mins", "secs"}
	f.defaults = make([]value, 7)
	c.addBins()
	c.addJustify()
}

// argumentZone finds the zone of make_timestamptz, whose offsets, unlike
// those of AT TIME ZONE, are east of UTC.
func argumentZone(name string) (zone, error) {
	if name != "" && (name[0] == '+' || name[0] == '-') {
		offset, ok := parseZone(name)
		if !ok {
			return zone{}, fail(codeInvalidParameter, "invalid input syntax for type time zone: %q", name)
		}
		return zone{offset: offset}, nil
	}
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		return zone{}, fail(codeInvalidParameter, "invalid input syntax for type time zone: %q", name).hint("numeric time zones must have \"-\" or \"+\" as first character")
	}
	return findZone(name)
}

// makeDay is days since the epoch; a negative year is BC.
func makeDay(year, month, mday int64) (int64, error) {
	out := fail(codeDatetimeOverflow, "date field value out of range: %d-%02d-%02d", year, month, mday)
	if year < 0 {
		if year == math.MinInt32 {
			return 0, out
		}
		year++
	} else if year == 0 {
		return 0, out
	}
	if month < 1 || month > 12 || mday < 1 || mday > int64(daysInMonth(year, int(month))) {
		return 0, out
	}
	d := daysFromCivil(year, int(month), int(mday))
	if d < minDate || d > maxDate {
		return 0, fail(codeDatetimeOverflow, "date out of range: %d-%02d-%02d", year, month, mday)
	}
	return d, nil
}

func makeClock(h, m int64, secs float64) (int64, error) {
	us := h*hour + m*minute
	if h < 0 || h > 24 || m < 0 || m > 59 || math.IsNaN(secs) || secs < 0 || secs > 60 || us+int64(math.RoundToEven(secs*1e6)) > day {
		return 0, fail(codeDatetimeOverflow, "time field value out of range: %d:%02d:%02g", h, m, secs)
	}
	return us + int64(math.RoundToEven(secs*1e6)), nil
}

func (c *catalog) addBins() {
	bin := func(a []value) (value, error) {
		stride, us, origin := a[0].interval(), a[1].i, a[2].i
		switch {
		case isInfinite(us):
			return a[1], nil
		case isInfinite(origin):
			return null, fail(codeDatetimeOverflow, "origin out of range")
		case stride.months != 0:
			return null, fail(codeUnsupported, "timestamps cannot be binned into intervals containing months or years")
		}
		size := int64(stride.days) * day
		if size += stride.us; size <= 0 {
			return null, fail(codeDatetimeOverflow, "stride must be greater than zero")
		}
		apart := us - origin
		if (apart < us) != (origin > 0) && origin != 0 {
			return null, errIntervalRange
		}
		return timeValue(checkTimestamp(origin + floorDiv(apart, size)*size))
	}
	c.fn("Times", "date_bin", "start of the bin of a width, counted from an origin, that a time lies in", "SELECT date_bin('15 minutes', timestamp '2024-02-11 15:44:17', timestamp '2024-01-01')", pairs{
		"interval,timestamp,timestamp:timestamp", bin, "interval,timestamptz,timestamptz:timestamptz", bin,
	})
}

func (c *catalog) addJustify() {
	const g = "Times"
	justify := func(f func(v interval) (interval, error)) pairs {
		return pairs{"interval:interval", func(a []value) (value, error) {
			v, err := f(a[0].interval())
			return intervalValue(v), err
		}}
	}
	c.fn(g, "justify_days", "interval with each 30 days made a month", "SELECT justify_days('35 days')", justify(interval.justifyDays))
	c.fn(g, "justify_interval", "interval with hours made days, days months, and signs alike", "SELECT justify_interval('1 mon -1 hour')", justify(interval.justifyAll))
	finite := func(a []value) value { return boolValue(!isInfinite(a[0].i)) }
	c.fn(g, "isfinite", "whether it is not infinity", "SELECT isfinite(date 'infinity')", pairs{
		"date:bool", func(a []value) value { return boolValue(a[0].i != minusInfDate && a[0].i != plusInfDate) },
		"timestamp:bool", finite, "timestamptz:bool", finite, "interval:bool", func([]value) value { return boolValue(true) },
	})
	c.entries = append(c.entries, entry{"overlaps", "whether two spans have time in common: (start, end or length) OVERLAPS (start, end or length)", "SELECT (date '2001-02-16', date '2001-12-21') OVERLAPS (date '2001-10-30', interval '1 year')", "function", g})
	for _, t := range []Type{Timestamp, Timestamptz, Time} {
		for _, ends := range [][2]Type{{t, t}, {t, Interval}, {Interval, t}, {Interval, Interval}} {
			c.functions["overlaps"] = append(c.functions["overlaps"], &function{
				name: "overlaps", args: []Type{t, ends[0], t, ends[1]}, ret: Bool, stable: t == Timestamptz,
				eval: func(_ *env, a []value) (value, error) { return overlaps(t, ends, a) },
			})
		}
	}
}

// justifyDays is interval_justify_days.
func (v interval) justifyDays() (interval, error) {
	whole := v.days / 30
	months := int64(v.months) + int64(whole)
	v.days -= whole * 30
	switch {
	case months > 0 && v.days < 0:
		v.days += 30
		months--
	case months < 0 && v.days > 0:
		v.days -= 30
		months++
	}
	if months != int64(int32(months)) {
		return v, errIntervalRange
	}
	v.months = int32(months)
	return v, nil
}

// justifyAll is interval_justify_interval.
func (v interval) justifyAll() (interval, error) {
	months, days := int64(v.months), int64(v.days)
	if days > 0 && v.us > 0 || days < 0 && v.us < 0 { // avoids overflow of the days
		months += days / 30
		days %= 30
	}
	days += v.us / day
	v.us %= day
	months += days / 30
	days %= 30
	if months > 0 && (days < 0 || days == 0 && v.us < 0) {
		days, months = days+30, months-1
	} else if months < 0 && (days > 0 || days == 0 && v.us > 0) {
		days, months = days-30, months+1
	}
	if days > 0 && v.us < 0 {
		v.us, days = v.us+day, days-1
	} else if days < 0 && v.us > 0 {
		v.us, days = v.us-day, days+1
	}
	if months != int64(int32(months)) {
		return v, errIntervalRange
	}
	v.months, v.days = int32(months), int32(days)
	return v, nil
}

// overlaps is overlaps_timestamp; an end may be given as a length.
func overlaps(t Type, ends [2]Type, a []value) (value, error) {
	var span [2][2]value
	for i := range span {
		start, end := a[2*i], a[2*i+1]
		if ends[i] == Interval {
			if !start.null && !end.null {
				us, err := end.interval().addTo(start.i)
				if t == Time {
					us, err = timeOfDay(start.i+end.interval().us), nil
				}
				if err != nil {
					return null, err
				}
				end = intValue(us)
			} else {
				end = null
			}
		}
		switch {
		case start.null && end.null:
			return null, nil
		case start.null:
			start, end = end, null
		case !end.null && start.i > end.i:
			start, end = end, start
		}
		span[i] = [2]value{start, end}
	}
	first, second := span[0], span[1]
	if first[0].i > second[0].i {
		first, second = second, first
	}
	switch {
	case first[0].i == second[0].i:
		if first[1].null || second[1].null {
			return null, nil
		}
		return boolValue(true), nil
	case first[1].null:
		return null, nil
	case second[0].i < first[1].i:
		return boolValue(true), nil
	case second[1].null:
		return null, nil
	}
	return boolValue(false), nil
}
