package sql

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// scannedFields are the fields with which to_timestamp and to_date read.
var scannedFields = strings.Fields("YYYY YYY YY Y MM MON MONTH DD DDD DAY DY HH24 HH12 HH MI SS MS US FF1 FF2 FF3 FF4 FF5 FF6 SSSS SSSSS AM PM A.M. P.M. AD BC A.D. B.C. TZH TZM J Q")

// parseTimeFormat reads a format for reading times.
func parseTimeFormat(s string) ([]formatNode, error) {
	nodes := parseFormat(s, timeFields, true)
	for i, n := range nodes {
		if n.field == "" {
			continue
		}
		if nodes[i].field = strings.ToUpper(n.field); !slices.Contains(scannedFields, nodes[i].field) {
			return nil, fail(codeUnsupported, "the field %s is not supported when a time is read", n.field)
		}
	}
	return nodes, nil
}

// timeScanner is DCH_from_char: what was read so far, and where it is.
type timeScanner struct {
	text  string
	set   map[string]int
	extra int  // characters skipped that the format does not have
	last  byte // of these
	nodes []formatNode
}

func (s *timeScanner) bad(field, why string) error {
	return fail(codeDatetimeFormat, "invalid value %q for %q: %s", s.text[:min(len(s.text), 20)], field, why)
}

func isSpace(c byte) bool { return strings.IndexByte(space, c) >= 0 }

func (s *timeScanner) spaces() {
	for s.text != "" && isSpace(s.text[0]) {
		s.last, s.text = s.text[0], s.text[1:]
		s.extra++
	}
}

// slurps reports whether field k takes all digits that come: with FM, or
// when what follows is no digit.
func (s *timeScanner) slurps(k int) bool {
	if s.nodes[k].fill || s.nodes[k].th != "" || k == len(s.nodes)-1 {
		return true
	}
	next := s.nodes[k+1]
	if next.field != "" {
		return slices.Contains([]string{"MON", "MONTH", "DAY", "DY", "AM", "PM", "A.M.", "P.M.", "AD", "BC", "A.D.", "B.C."}, next.field)
	}
	return digits(next.text) == 0
}

// integer reads a number of a width and returns how many characters it took.
func (s *timeScanner) integer(k, width int, name string) (int, int, error) {
	s.text = strings.TrimLeft(s.text, space)
	take := s.text
	field := s.nodes[k].field
	fixed := !s.slurps(k)
	if fixed {
		if utf8.RuneCountInString(take) < width {
			return 0, 0, fail(codeDatetimeFormat, "source string too short for %q formatting field", field)
		}
		take = leftRunes(take, width)
	}
	lead := len(take) - len(strings.TrimLeft(take, space))
	sign := 0
	if rest := take[lead:]; rest != "" && (rest[0] == '-' || rest[0] == '+') {
		sign = 1
	}
	n := digits(take[lead+sign:])
	used := lead + sign + n
	switch {
	case n == 0:
		return 0, 0, s.bad(field, "it must be an integer")
	case fixed && used < width:
		return 0, 0, s.bad(field, "it has too few digits")
	}
	v, err := strconv.ParseInt(take[lead:used], 10, 32)
	if err != nil {
		return 0, 0, fail(codeDatetimeOverflow, "value for %q in source string is out of range", field)
	}
	s.text = s.text[used:]
	if s.nodes[k].th != "" {
		s.text = s.text[min(2, len(s.text)):]
	}
	return int(v), used, s.put(name, int(v), field)
}

// put keeps a value, once.
func (s *timeScanner) put(name string, v int, field string) error {
	if have := s.set[name]; have != 0 && have != v {
		return fail(codeDatetimeFormat, "conflicting values for %q field in formatting string", field)
	}
	s.set[name] = v
	return nil
}

// word reads one of list, in either case, and returns its index.
func (s *timeScanner) word(field string, list []string) (int, error) {
	for i, w := range list {
		if len(s.text) >= len(w) && strings.EqualFold(s.text[:len(w)], w) {
			s.text = s.text[len(w):]
			return i, nil
		}
	}
	return 0, s.bad(field, "it did not match any of the allowed values")
}

func shortNames(list []string) []string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = n[:3]
	}
	return out
}

func (s *timeScanner) run() error {
	for k, n := range s.nodes {
		if s.text == "" {
			return nil
		}
		if k == 0 || n.field != "" {
			s.spaces()
		}
		switch n.kind {
		case ' ', '-':
			s.extra--
			if s.text == "" {
				continue
			}
			if c := s.text[0]; isSpace(c) || c < 0x7f && !isLetter(rune(c)) && (c < '0' || c > '9') {
				s.last, s.text = c, s.text[1:]
				s.extra++
			}
			continue
		case 'c':
			if s.extra > 0 {
				s.extra--
			} else {
				_, w := utf8.DecodeRuneInString(s.text)
				s.text = s.text[w:]
			}
			continue
		}
		if err := s.field(k); err != nil {
			return err
		}
		s.extra = 0
		s.spaces()
	}
	return nil
}

func (s *timeScanner) field(k int) error {
	f := s.nodes[k].field
	var err error
	var v, used int
	switch f {
	case "YYYY", "YYY", "YY", "Y":
		if v, used, err = s.integer(k, len(f), "year"); err == nil && len(f) < 4 && used < 4 {
			s.set["year"] = nearYear(v)
		}
	case "MM":
		_, _, err = s.integer(k, 2, "month")
	case "MON", "MONTH":
		names := monthNames[:]
		if f == "MON" {
			names = shortNames(names)
		}
		if v, err = s.word(f, names); err == nil {
			err = s.put("month", v+1, f)
		}
	case "DAY", "DY":
		names := dayNames[:]
		if f == "DY" {
			names = shortNames(names)
		}
		_, err = s.word(f, names)
	case "DD":
		_, _, err = s.integer(k, 2, "day")
	case "DDD":
		_, _, err = s.integer(k, 3, "yday")
	case "HH24", "HH12", "HH":
		if f != "HH24" {
			s.set["twelve"] = 1
		}
		_, _, err = s.integer(k, 2, "hour")
	case "MI":
		_, _, err = s.integer(k, 2, "minute")
	case "SS":
		_, _, err = s.integer(k, 2, "second")
	case "SSSS", "SSSSS":
		_, _, err = s.integer(k, 5, "ssss")
	case "J":
		_, _, err = s.integer(k, 7, "julian")
	case "Q":
		_, _, err = s.integer(k, 1, "quarter")
	case "MS":
		v, used, err = s.integer(k, 3, "ms")
		for ; err == nil && used < 3; used++ {
			v *= 10
		}
		s.set["ms"] = v
	case "US", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6":
		width := 6
		if f != "US" {
			width = int(f[2] - '0')
			s.set["decimals"] = width
		}
		v, used, err = s.integer(k, width, "us")
		for ; err == nil && used < 6; used++ {
			v *= 10
		}
		s.set["us"] = v
	case "TZH", "TZM":
		err = s.zone(k, f)
	default:
		err = s.half(f)
	}
	return err
}

func (s *timeScanner) zone(k int, f string) error {
	if f == "TZH" {
		sign := 1
		if s.text != "" && (s.text[0] == '+' || s.text[0] == '-' || s.text[0] == ' ') {
			if s.text[0] == '-' {
				sign = -1
			}
			s.text = s.text[1:]
		} else if s.extra > 0 && s.last == '-' {
			sign = -1 // it was taken for a separator
		}
		s.set["zonesign"] = sign
		_, _, err := s.integer(k, 2, "zonehour")
		return err
	}
	if _, ok := s.set["zonesign"]; !ok {
		s.set["zonesign"] = 1
	}
	_, _, err := s.integer(k, 2, "zoneminute")
	return err
}

// half reads AM or PM, AD or BC.
func (s *timeScanner) half(f string) error {
	list, name := []string{"AM", "PM"}, "pm"
	if strings.ContainsAny(f, "DB") {
		list, name = []string{"AD", "BC"}, "bc"
	}
	if strings.Contains(f, ".") {
		for i := range list {
			list[i] = dotted(f, list[i])
		}
	}
	v, err := s.word(f, list)
	if err != nil {
		return err
	}
	if name == "pm" {
		s.set["twelve"] = 1
	}
	return s.put(name, v, f)
}

// nearYear completes a year of less than four digits to that nearest to 2020.
func nearYear(y int) int {
	switch {
	case y < 70:
		return y + 2000
	case y < 100:
		return y + 1900
	case y < 520:
		return y + 2000
	case y < 1000:
		return y + 1000
	}
	return y
}

// scanTime reads a time (do_to_timestamp); for type Date in days.
func scanTime(nodes []formatNode, text string, t Type) (int64, error) {
	s := &timeScanner{text: text, set: make(map[string]int), nodes: nodes}
	if err := s.run(); err != nil {
		return 0, err
	}
	overflow := fail(codeDatetimeOverflow, "date/time field value out of range: %q", text)
	get := s.set
	c := civil{month: 1, day: 1}
	if v, ok := get["ssss"]; ok {
		c.hour, c.minute, c.secs = v/3600, v%3600/60, v%60
	}
	c.hour, c.minute, c.secs = c.hour+get["hour"], c.minute+get["minute"], c.secs+get["second"]
	if _, ok := get["twelve"]; ok {
		if h := get["hour"]; h < 1 || h > 12 {
			return 0, fail(codeDatetimeFormat, "hour \"%d\" is invalid for the 12-hour clock", h)
		}
		if pm := get["pm"] == 1; pm && c.hour < 12 {
			c.hour += 12
		} else if !pm && c.hour == 12 {
			c.hour = 0
		}
	}
	if y := get["year"]; y != 0 {
		c.year = int64(y)
		if get["bc"] == 1 {
			c.year = -c.year
		}
		if c.year < 0 {
			c.year++
		}
	}
	if m := get["month"]; m != 0 {
		c.month = m
	}
	if d := get["day"]; d != 0 {
		c.day = d
	}
	if j := get["julian"]; j != 0 {
		c.year, c.month, c.day = civilFromDays(int64(j) - unixJulian)
	}
	if yday := get["yday"]; yday != 0 {
		if get["year"] == 0 {
			return 0, fail(codeDatetimeFormat, "cannot calculate day of year without year information")
		}
		if yday < 1 || yday > 366 || yday == 366 && daysInMonth(c.year, 2) == 28 {
			return 0, overflow
		}
		_, c.month, c.day = civilFromDays(daysFromCivil(c.year, 1, 1) + int64(yday) - 1)
	}
	c.us = get["ms"]*1000 + get["us"]
	if c.month < 1 || c.month > 12 || c.day < 1 || c.day > daysInMonth(c.year, c.month) || c.hour < 0 || c.hour >= 24 || c.minute < 0 || c.minute > 59 || c.secs < 0 || c.secs > 59 || c.us < 0 || c.us >= 1000000 {
		return 0, overflow
	}
	if t == Date {
		return makeDate(c)
	}
	us, err := c.micros()
	if err != nil {
		return 0, err
	}
	if get["zonehour"] < 0 || get["zonehour"] > 15 || get["zoneminute"] < 0 || get["zoneminute"] > 59 {
		return 0, overflow
	}
	us -= int64(get["zonesign"]) * (int64(get["zonehour"])*hour + int64(get["zoneminute"])*minute)
	if n, ok := get["decimals"]; ok {
		us = timestampToDecimals(us, n)
	}
	return checkTimestamp(us)
}

func makeDate(c civil) (int64, error) {
	d := daysFromCivil(c.year, c.month, c.day)
	if d < minDate || d > maxDate {
		return 0, fail(codeDatetimeOverflow, "date out of range")
	}
	return d, nil
}
