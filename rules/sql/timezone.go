package sql

import (
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // IANA's zones, where the system has none: 450 KB
)

// zone is a time zone: a fixed offset, or IANA's rules.
type zone struct {
	offset int64 // µs east of UTC
	rules  *time.Location
}

// zoneAbbreviations are those of PostgreSQL's default set that always mean
// the same, in minutes east of UTC.
var zoneAbbreviations = map[string]int64{
	"utc": 0, "uct": 0, "ut": 0, "gmt": 0, "z": 0, "zulu": 0, "wet": 0, "bst": 60, "cet": 60, "met": 60, "mez": 60, "wat": 60, "west": 60, "wetdst": 60,
	"cest": 120, "cetdst": 120, "eet": 120, "mest": 120, "mesz": 120, "metdst": 120, "ist": 120, "sast": 120, "eat": 180, "eest": 180, "eetdst": 180, "fet": 180, "idt": 180,
	"irt": 210, "pkt": 300, "pkst": 360, "npt": 345, "ict": 420, "cct": 480, "hkt": 480, "myt": 480, "pht": 480, "awst": 480, "jst": 540, "kst": 540, "acst": 570, "acdt": 630,
	"aest": 600, "aedt": 660, "nzst": 720, "nzdt": 780, "nst": -210, "ndt": -150, "adt": -180, "ast": -240, "edt": -240, "est": -300, "cdt": -300, "cst": -360, "mdt": -360,
	"mst": -420, "pdt": -420, "pst": -480, "akdt": -480, "akst": -540, "hst": -600, "brt": -180, "brst": -120, "cot": -300, "pet": -300,
}

// findZone finds a zone by abbreviation, IANA's name, or POSIX's form, in
// which UTC+3 is west of UTC.
func findZone(name string) (zone, error) {
	lower := lowerASCII(name)
	if m, ok := zoneAbbreviations[lower]; ok {
		return zone{offset: m * minute}, nil
	}
	if lower != "" && lower != "local" && strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789_+-/") == "" && !strings.HasPrefix(lower, "/") && !strings.Contains(lower, "..") {
		for _, spelling := range []string{name, titleZone(lower), upperASCII(lower)} {
			if loc, err := time.LoadLocation(spelling); err == nil {
				return zone{rules: loc}, nil
			}
		}
	}
	if offset, ok := posixZone(name); ok {
		return zone{offset: offset}, nil
	}
	if strings.ContainsAny(name, "0123456789") { // PostgreSQL reads much of that as POSIX's form
		return zone{}, fail(codeUnsupported, "the time zone %q is not supported", name)
	}
	return zone{}, fail(codeInvalidParameter, "time zone %q not recognized", name).hint("write an offset, or a name such as 'Europe/Berlin'")
}

// titleZone writes america/new_york as America/New_York.
func titleZone(s string) string {
	b := []byte(s)
	for i := range b {
		if (i == 0 || strings.IndexByte("/_-", b[i-1]) >= 0) && b[i] >= 'a' && b[i] <= 'z' {
			b[i] -= 32
		}
	}
	return strings.NewReplacer("_Of_", "_of_", "_Au_", "_au_", "-Au-", "-au-", "_Es_", "_es_", "Etc/Gmt", "Etc/GMT").Replace(string(b))
}

// posixZone reads [name]±h[:mm[:ss]].
func posixZone(s string) (int64, bool) {
	if strings.HasPrefix(s, "<") {
		_, after, ok := strings.Cut(s, ">")
		if !ok {
			return 0, false
		}
		s = after
	} else {
		s = strings.TrimLeftFunc(s, isLetter)
	}
	sign := int64(-1)
	if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
		if s[0] == '-' {
			sign = 1
		}
		s = s[1:]
	}
	parts := strings.Split(s, ":")
	if len(parts) > 3 {
		return 0, false
	}
	total := int64(0)
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || digits(p) != len(p) || len(p) > 3 || i == 0 && n > 167 || i > 0 && n > 59 {
			return 0, false
		}
		total += int64(n) * []int64{hour, minute, second}[i]
	}
	return sign * total, true
}

// at is the zone's offset at a moment, in µs.
func (z zone) at(us int64) int64 {
	if z.rules == nil {
		return z.offset
	}
	_, seconds := time.Unix(floorDiv(us, second), 0).In(z.rules).Zone()
	return int64(seconds) * second
}

// local is the local time of a moment.
func (z zone) local(us int64) (int64, error) {
	if isInfinite(us) {
		return us, nil
	}
	return checkTimestamp(us + z.at(us))
}

// moment is when it is that local time. When clocks are set, one that comes
// twice is the later, and one that is left out that of the time before.
func (z zone) moment(local int64) (int64, error) {
	if isInfinite(local) {
		return local, nil
	}
	before, after := z.at(local-day), z.at(local+day)
	a, b := local-before, local-after
	okA, okB := z.at(a) == before, z.at(b) == after
	switch {
	case okA && !okB:
		return checkTimestamp(a)
	case okB && !okA:
		return checkTimestamp(b)
	}
	return checkTimestamp(max(a, b))
}

// intervalZone is an offset given as an interval.
func intervalZone(v interval) (zone, error) {
	if v.months != 0 || v.days != 0 {
		return zone{}, fail(codeInvalidParameter, "interval time zone %q must not include months or days", string(v.append(nil)))
	}
	return zone{offset: v.us / second * second}, nil
}

func (c *catalog) addZones() {
	named := func(a []value) (zone, error) { return findZone(a[0].s) }
	offset := func(a []value) (zone, error) { return intervalZone(a[0].interval()) }
	away := func(find func(a []value) (zone, error), to func(z zone, us int64) (int64, error)) func(a []value) (value, error) {
		return func(a []value) (value, error) {
			if isInfinite(a[1].i) {
				return a[1], nil
			}
			z, err := find(a)
			if err != nil {
				return null, err
			}
			return timeValue(to(z, a[1].i))
		}
	}
	// A zone that is constant is looked up once.
	prepared := func(f *function, zoneAt int, to func(z zone, a []value) (value, error)) {
		f.bind = func(consts []*value) (evalFunc, error) {
			if consts[zoneAt] == nil {
				return nil, nil
			}
			z, err := findZone(consts[zoneAt].s)
			if err != nil {
				return nil, nil // an error if there is a row
			}
			return func(_ *env, a []value) (value, error) { return to(z, a) }, nil
		}
	}
	c.fn("Times", "timezone", "local time of a timestamptz in a zone, or when it is that local time there: time AT TIME ZONE 'Europe/Berlin', an abbreviation or an interval", "SELECT '2024-01-01 12:00+02'::timestamptz AT TIME ZONE 'Europe/Berlin'", pairs{
		"text,timestamptz:timestamp", away(named, zone.local), "text,timestamp:timestamptz", away(named, zone.moment),
		"interval,timestamptz:timestamp", away(offset, zone.local), "interval,timestamp:timestamptz", away(offset, zone.moment),
	})
	for _, f := range c.functions["timezone"][:2] {
		to := zone.local
		if f.args[1] == Timestamp {
			to = zone.moment
		}
		prepared(f, 0, func(z zone, a []value) (value, error) { return timeValue(to(z, a[1].i)) })
	}
	for _, t := range []Type{Text, Interval} {
		c.functions["timezone"] = append(c.functions["timezone"], &function{name: "timezone", args: []Type{t, Time}, ret: Time, refused: "AT TIME ZONE of a time of day"})
	}
	truncated := func(z zone, a []value) (value, error) {
		if isInfinite(a[1].i) {
			return a[1], nil
		}
		us, err := z.local(a[1].i)
		if err == nil {
			us, err = truncTime(timeUnit(a[0].s), us, Timestamptz)
		}
		if err != nil {
			return null, err
		}
		return timeValue(z.moment(us))
	}
	c.more("date_trunc", pairs{"text,timestamptz,text:timestamptz", stableFn(func(_ *env, a []value) (value, error) {
		if isInfinite(a[1].i) {
			return a[1], nil
		}
		z, err := findZone(a[2].s)
		if err != nil {
			return null, err
		}
		return truncated(z, a)
	})})
	list := c.functions["date_trunc"]
	prepared(list[len(list)-1], 2, truncated)
}
