package sql

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// formatNode is a part of a format of to_char and its like: a field, or text.
type formatNode struct {
	field string // upper or lower case as in the format; "" for text
	fill  bool   // FM: without padding
	names bool   // TM: names without padding
	th    string // TH or th after it
	text  string // one character
	kind  byte   // of text: ' ' space, '-' separator, 'c' other
}

// timeFields are the fields of formats for times, longer ones before those
// that they begin with.
var timeFields = strings.Fields(`A.D. A.M. AD AM B.C. BC CC DAY DDD DD DY Day Dy D FF1 FF2 FF3 FF4 FF5 FF6 FX HH24 HH12 HH IDDD ID IW IYYY IYY IY I J
 MI MM MONTH MON MS Month Mon OF P.M. PM Q RM SSSSS SSSS SS TZH TZM TZ US WW W Y,YYY YYYY YYY YY Y
 a.d. a.m. ad am b.c. bc cc day ddd dd dy d ff1 ff2 ff3 ff4 ff5 ff6 fx hh24 hh12 hh iddd id iw iyyy iyy iy i j
 mi mm month mon ms of p.m. pm q rm sssss ssss ss tzh tzm tz us ww w y,yyy yyyy yyy yy y`)

// parseFormat reads a format (parse_format of PostgreSQL's formatting.c).
func parseFormat(s string, fields []string, times bool) []formatNode {
	var out []formatNode
	for s != "" {
		var n formatNode
		if times {
			for _, prefix := range []string{"FM", "fm", "TM", "tm"} {
				if rest, ok := strings.CutPrefix(s, prefix); ok {
					n.fill, n.names, s = prefix[0]|0x20 == 'f', prefix[0]|0x20 == 't', rest
					break
				}
			}
		}
		for _, f := range fields {
			if strings.HasPrefix(s, f) {
				n.field, s = f, s[len(f):]
				break
			}
		}
		if n.field != "" {
			if times && (strings.HasPrefix(s, "TH") || strings.HasPrefix(s, "th")) {
				n.th, s = s[:2], s[2:]
			} else if times {
				s = strings.TrimPrefix(s, "SP") // "spell mode", of no effect
			}
			out = append(out, n)
			continue
		}
		if s == "" {
			break
		}
		if s[0] == '"' {
			s = s[1:]
			for s != "" && s[0] != '"' {
				if s[0] == '\\' && len(s) > 1 {
					s = s[1:]
				}
				_, w := utf8.DecodeRuneInString(s)
				out = append(out, formatNode{text: s[:w], kind: 'c'})
				s = s[w:]
			}
			s = strings.TrimPrefix(s, `"`)
			continue
		}
		if strings.HasPrefix(s, `\"`) {
			s = s[1:]
		}
		_, w := utf8.DecodeRuneInString(s)
		n = formatNode{text: s[:w], kind: 'c'}
		switch c := s[0]; {
		case strings.IndexByte(space, c) >= 0:
			n.kind = ' '
		case times && c > 0x20 && c < 0x7f && !isLetter(rune(c)) && (c < '0' || c > '9'):
			n.kind = '-'
		}
		out, s = append(out, n), s[w:]
	}
	return out
}

// brokenTime is what to_char shows of a time or interval.
type brokenTime struct {
	civil
	wday, yday int
	days       int64  // since the Unix epoch
	zone       string // "UTC", "" for a timestamp without one
	interval   bool
}

func breakTime(us int64, zone string) brokenTime {
	t := brokenTime{civil: breakDown(us), days: floorDiv(us, day), zone: zone}
	t.wday = int(weekday(t.days))
	t.yday = int(t.days-daysFromCivil(t.year, 1, 1)) + 1
	return t
}

func breakInterval(v interval) brokenTime {
	us := v.us
	t := brokenTime{interval: true}
	t.year, t.month, t.day = int64(v.months/12), int(v.months%12), int(v.days)
	t.hour, t.minute, t.secs, t.us = int(us/hour), int(us%hour/minute), int(us%minute/second), int(us%second)
	t.yday = (int(t.year)*12+t.month)*30 + t.day
	t.days = t.julian() - unixJulian
	return t
}

var (
	monthNames = [...]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
	dayNames   = [...]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
	romanMonth = [...]string{"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"}
)

// likeField gives a name the case of its field: MONTH, Month or month.
func likeField(field, name string) string {
	switch {
	case field == strings.ToUpper(field):
		return strings.ToUpper(name)
	case field == strings.ToLower(field):
		return strings.ToLower(name)
	}
	return name
}

// formatTime is DCH_to_char.
func formatTime(nodes []formatNode, t brokenTime) (string, error) {
	var b strings.Builder
	for _, n := range nodes {
		if n.field == "" {
			b.WriteString(n.text)
			continue
		}
		if t.interval && notOfIntervals[strings.ToUpper(n.field)] {
			return "", fail(codeDatetimeFormat, "invalid format specification for an interval value").hint("intervals are not tied to specific calendar dates")
		}
		s := t.field(n)
		if n.th != "" && n.field != "TZM" && s != "" && digits(strings.TrimLeft(s, "-, ")) > 0 {
			s += ordinalSuffix(s, n.th)
		}
		if b.WriteString(s); b.Len() > maxText {
			return "", errTooLong()
		}
	}
	return b.String(), nil
}

var notOfIntervals = map[string]bool{
	"A.D.": true, "AD": true, "B.C.": true, "BC": true, "DAY": true, "DY": true, "D": true, "ID": true, "MONTH": true, "MON": true,
	"TZ": true, "TZH": true, "TZM": true, "OF": true,
}

// ordinalSuffix is st, nd, rd or th, as the last two digits want it.
func ordinalSuffix(s, th string) string {
	last := s[len(s)-1]
	suffix := "th"
	if len(s) < 2 || s[len(s)-2] != '1' {
		switch last {
		case '1':
			suffix = "st"
		case '2':
			suffix = "nd"
		case '3':
			suffix = "rd"
		}
	}
	if th == "TH" {
		return strings.ToUpper(suffix)
	}
	return suffix
}

// number writes a number of a width, one more for a negative one.
func (n formatNode) number(v int64, width int) string {
	switch {
	case n.fill:
		return fmt.Sprint(v)
	case v < 0:
		return fmt.Sprintf("%0*d", width+1, v)
	}
	return fmt.Sprintf("%0*d", width, v)
}

func (n formatNode) padded(s string, width int) string {
	if n.fill || n.names {
		return s
	}
	return fmt.Sprintf("%-*s", width, s)
}

func (t brokenTime) field(n formatNode) string {
	f := strings.ToUpper(n.field)
	switch f {
	case "AM", "PM", "A.M.", "P.M.":
		s := "AM"
		if t.hour%24 >= 12 {
			s = "PM"
		}
		return likeField(n.field, dotted(f, s))
	case "AD", "BC", "A.D.", "B.C.":
		s := "AD"
		if t.year <= 0 {
			s = "BC"
		}
		return likeField(n.field, dotted(f, s))
	case "HH", "HH12":
		h := t.hour % 12
		if h == 0 {
			h = 12
		}
		if t.hour < 0 && !n.fill {
			return fmt.Sprintf("%0*d", 3, h)
		}
		return n.number(int64(h), 2)
	case "HH24":
		return n.number(int64(t.hour), 2)
	case "MI":
		return n.number(int64(t.minute), 2)
	case "SS":
		return n.number(int64(t.secs), 2)
	case "SSSS", "SSSSS":
		return fmt.Sprint(t.hour*3600 + t.minute*60 + t.secs)
	case "MS", "FF3":
		return fmt.Sprintf("%03d", t.us/1000)
	case "US", "FF6":
		return fmt.Sprintf("%06d", t.us)
	case "FF1", "FF2", "FF4", "FF5":
		width := int(f[2] - '0')
		us := t.us
		for range 6 - width {
			us /= 10
		}
		return fmt.Sprintf("%0*d", width, us)
	case "TZ":
		return likeField(n.field, t.zone)
	case "OF":
		return "+" + n.plain(0, 2)
	case "TZH":
		return "+00"
	case "TZM":
		return "00"
	}
	return t.dateField(n, f)
}

func dotted(f, s string) string {
	if strings.Contains(f, ".") {
		return s[:1] + "." + s[1:] + "."
	}
	return s
}

func (t brokenTime) dateField(n formatNode, f string) string {
	switch f {
	case "MONTH":
		return n.padded(likeField(n.field, monthNames[t.month-1]), 9)
	case "MON":
		return likeField(n.field, monthNames[t.month-1][:3])
	case "MM":
		return n.number(int64(t.month), 2)
	case "DAY":
		return n.padded(likeField(n.field, dayNames[t.wday]), 9)
	case "DY":
		return likeField(n.field, dayNames[t.wday][:3])
	case "DDD":
		return n.plain(int64(t.yday), 3)
	case "IDDD":
		_, week := isoWeek(t.days)
		return n.plain((week-1)*7+(weekday(t.days)+6)%7+1, 3)
	case "DD":
		return n.plain(int64(t.day), 2)
	case "D":
		return fmt.Sprint(t.wday + 1)
	case "ID":
		return fmt.Sprint((t.wday+6)%7 + 1)
	case "WW":
		return n.plain(int64((t.yday-1)/7+1), 2)
	case "IW":
		_, week := isoWeek(t.days)
		return n.plain(week, 2)
	case "W":
		return fmt.Sprint((t.day-1)/7 + 1)
	case "Q":
		if t.month == 0 {
			return ""
		}
		return fmt.Sprint((t.month-1)/3 + 1)
	case "CC":
		c := t.year / 100
		if !t.interval {
			c = periodOf(t.year, 100)
		}
		if c > 99 || c < -99 {
			return fmt.Sprint(c)
		}
		return n.number(c, 2)
	case "J":
		return fmt.Sprint(t.julian())
	case "RM":
		return t.roman(n)
	}
	return t.yearField(n, f)
}

// plain is number without a place for a sign.
func (n formatNode) plain(v int64, width int) string {
	if n.fill {
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%0*d", width, v)
}

// julian is date2j, also of what is no date.
func (t brokenTime) julian() int64 {
	y, m, d := t.year, int64(t.month), int64(t.day)
	if m > 2 {
		m++
		y += 4800
	} else {
		m += 13
		y += 4799
	}
	century := y / 100
	return y*365 - 32167 + y/4 - century + century/4 + 7834*m/256 + d
}

func (t brokenTime) roman(n formatNode) string {
	m := t.month
	switch {
	case m == 0 && t.year == 0:
		return ""
	case m == 0 && t.year > 0:
		m = 12
	case m == 0:
		m = 1
	case m < 0:
		m = 13 + m
	}
	n.names = false
	return n.padded(likeField(n.field, romanMonth[m-1]), 4)
}

func (t brokenTime) yearField(n formatNode, f string) string {
	y := t.year
	if strings.HasPrefix(f, "I") {
		y, _ = isoWeek(t.days)
	}
	if !t.interval && y <= 0 {
		y = 1 - y
	}
	if strings.HasPrefix(f, "I") {
		f = strings.Repeat("Y", len(f))
	}
	switch f {
	case "Y,YYY":
		return fmt.Sprintf("%d,%03d", y/1000, y%1000)
	case "Y":
		return fmt.Sprint(y % 10)
	}
	if f[0] != 'Y' { // FX
		return ""
	}
	width, part := len(f), y%int64(math.Pow10(len(f)))
	if f == "YYYY" {
		part = y
	}
	if t.year < 0 && t.interval {
		width++ // for the sign, if the year has one; that of the ISO year may be another
	}
	return n.plain(part, width)
}
