package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// errValue is what ParseText and ParseJSON say of a value of the wrong type.
func errValue(value string, t Type) error {
	if len(value) > 80 {
		value = strings.ToValidUTF8(value[:80], "") + "…"
	}
	return fmt.Errorf("value %q, want %v", value, t)
}

// ParseText sets the column from a value's text as PostgreSQL and psql write
// it: booleans t and f (or any of its other words), timestamps with or without
// a time zone (UTC then), arrays as {a,"b c"}. NULL has no text: leave the
// column unset. After an error the column is unset.
func (c *ColumnBuilder) ParseText(s string) error {
	switch c.vec.Type {
	case Bool:
		b, ok := parseBool(s)
		if !ok {
			return errValue(s, Bool)
		}
		c.Bool(b)
	case Int4, Int8:
		return c.parseInt(strings.TrimSpace(s))
	case Float8:
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || strings.ContainsAny(s, "xX_pP") {
			return errValue(s, Float8)
		}
		c.Float(f)
	case Timestamptz:
		micro, ok := parseTime(s)
		if !ok {
			return errValue(s, Timestamptz)
		}
		c.Micro(micro)
	case JSONB:
		return c.parseJSONB([]byte(s))
	case TextArray:
		list, err := parseArray(s)
		if err != nil {
			return fmt.Errorf("%w: %w", errValue(s, TextArray), err)
		}
		c.Texts(list)
	default:
		c.Text(s)
	}
	return nil
}

func (c *ColumnBuilder) parseInt(s string) error {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || c.vec.Type == Int4 && (n < math.MinInt32 || n > math.MaxInt32) {
		return errValue(s, c.vec.Type)
	}
	c.Int(n)
	return nil
}

// parseBool accepts what PostgreSQL's boolean input accepts, but for unique
// prefixes of the words.
func parseBool(s string) (value, ok bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "t", "true", "y", "yes", "on", "1":
		return true, true
	case "f", "false", "n", "no", "off", "0":
		return false, true
	}
	return false, false
}

// parseTime reads RFC 3339 and PostgreSQL's ISO form, 2025-06-01 12:00:00.5+00,
// as microseconds since the Unix epoch. A year has four digits or more; one
// before the year 1 has BC at the end or, as in ISO 8601, a sign: -0043 is 44 BC.
func parseTime(s string) (micro int64, ok bool) {
	s, bc := strings.CutSuffix(strings.TrimSpace(s), " BC")
	text, signed := strings.CutPrefix(s, "-")
	digits, rest, _ := strings.Cut(text, "-")
	year, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || len(digits) < 4 || signed && bc || bc && year == 0 {
		return 0, false
	}
	y := int64(year)
	switch {
	case !signed && !bc && len(digits) == 4:
		t, ok := parseISO(s)
		return t.UnixMicro(), ok
	case signed:
		y = -y
	case bc:
		y = 1 - y
	}
	// The calendar repeats itself after 400 years of 146,097 days.
	cycles := (y - 2000) / 400
	if y < 2000+400*cycles {
		cycles--
	}
	t, ok := parseISO(strconv.FormatInt(y-400*cycles, 10) + "-" + rest)
	micro, shift := t.UnixMicro(), cycles*146_097*86_400e6
	if !ok || y < -4713 || y > 294_247 || shift > math.MaxInt64-max(micro, 0) {
		return 0, false
	}
	return micro + shift, true
}

func parseISO(s string) (time.Time, bool) {
	for _, layout := range [...]string{
		time.RFC3339Nano, "2006-01-02 15:04:05Z07", "2006-01-02 15:04:05Z07:00",
		"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02T15:04:05Z07", "2006-01-02",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// parseArray reads a text[] as PostgreSQL writes it. NULL elements, which the
// event view does not have, are refused.
func parseArray(s string) ([]string, error) {
	list, nulls, err := SplitArray(s)
	if err == nil && nulls != nil {
		return nil, errors.New("NULL as an element")
	}
	return list, err
}

// SplitArray takes an array of one dimension apart that is written as
// PostgreSQL does, {a,"b c",NULL}. nulls says which elements are NULL, nil when
// none is.
func SplitArray(s string) (list []string, nulls []bool, err error) {
	body, ok := strings.CutPrefix(strings.TrimSpace(s), "{")
	if !ok || !strings.HasSuffix(body, "}") {
		return nil, nil, errors.New("an array is written in braces")
	}
	list = []string{}
	for i := 0; ; {
		element, quoted, next, err := arrayElement(body, i)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case element == "" && !quoted && body[next] == '}' && len(list) == 0:
			return list, nil, endOfArray(body, next)
		case element == "" && !quoted:
			return nil, nil, errors.New("an element is missing")
		case !quoted && strings.EqualFold(element, "null"):
			if nulls == nil {
				nulls = make([]bool, len(list))
			}
			nulls = append(nulls, true)
			element = ""
		case nulls != nil:
			nulls = append(nulls, false)
		}
		list = append(list, element)
		if body[next] == '}' {
			return list, nulls, endOfArray(body, next)
		}
		i = next + 1
	}
}

func endOfArray(body string, at int) error {
	if at != len(body)-1 {
		return errors.New("text after the closing brace")
	}
	return nil
}

// arrayElement reads the element at i and returns the position of the comma
// or brace after it.
func arrayElement(body string, i int) (element string, quoted bool, next int, err error) {
	for i < len(body) && body[i] == ' ' {
		i++
	}
	var b strings.Builder
	if i < len(body) && body[i] == '"' {
		for i++; i < len(body) && body[i] != '"'; i++ {
			if body[i] == '\\' {
				i++
			}
			if i < len(body) {
				b.WriteByte(body[i])
			}
		}
		for i++; i < len(body) && body[i] == ' '; i++ {
		}
		if i >= len(body) || body[i] != ',' && body[i] != '}' {
			return "", false, 0, errors.New("a quoted element does not end well")
		}
		return b.String(), true, i, nil
	}
	for ; i < len(body) && body[i] != ',' && body[i] != '}'; i++ {
		switch body[i] {
		case '\\':
			if i++; i < len(body) {
				b.WriteByte(body[i])
			}
		case '"', '{':
			return "", false, 0, fmt.Errorf("%q within an element", body[i])
		default:
			b.WriteByte(body[i])
		}
	}
	if i >= len(body) {
		return "", false, 0, errors.New("the closing brace is missing")
	}
	return strings.TrimRight(b.String(), " "), false, i, nil
}

// ParseJSON sets the column from a JSON value: numbers also as strings, times
// as RFC 3339 or PostgreSQL's text, text[] as an array of strings, jsonb as
// itself. null leaves the column unset, as an error does.
func (c *ColumnBuilder) ParseJSON(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || !utf8.Valid(raw) || !json.Valid(raw) {
		return errors.New("invalid JSON")
	}
	if string(raw) == "null" {
		return nil
	}
	switch {
	case c.vec.Type == JSONB:
		return c.parseJSONB(raw)
	case c.vec.Type == TextArray:
		list := []*string{}
		if json.Unmarshal(raw, &list) != nil {
			return errValue(string(raw), TextArray)
		}
		texts := make([]string, len(list))
		for i, s := range list {
			if s == nil {
				return fmt.Errorf("%w: NULL as an element", errValue(string(raw), TextArray))
			}
			texts[i] = *s
		}
		c.Texts(texts)
		return nil
	case raw[0] == '"' && c.vec.Type != Bool:
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return errValue(string(raw), c.vec.Type)
		}
		return c.ParseText(s)
	case c.vec.Type == Bool && (raw[0] == 't' || raw[0] == 'f'):
		c.Bool(raw[0] == 't')
		return nil
	case c.vec.Type == Int4 || c.vec.Type == Int8 || c.vec.Type == Float8:
		if raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' {
			return c.ParseText(string(raw))
		}
	}
	return errValue(string(raw), c.vec.Type)
}

// parseJSONB refuses what PostgreSQL's jsonb refuses: \u0000 and surrogates
// without their other half.
func (c *ColumnBuilder) parseJSONB(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return errValue(string(raw), JSONB)
	}
	if err := checkEscapes(raw); err != nil {
		return fmt.Errorf("%w: %w", errValue(string(raw), JSONB), err)
	}
	c.JSON(raw)
	return nil
}

func checkEscapes(raw []byte) error {
	high := false // the escape before was the first half of a pair
	for i := 0; i < len(raw); i++ {
		escape := raw[i] == '\\'
		code := int64(0)
		if escape {
			i++
			if raw[i] == 'u' {
				code, _ = strconv.ParseInt(string(raw[i+1:i+5]), 16, 32)
				if i += 4; code == 0 {
					return errors.New(`\u0000 can not be stored`)
				}
			}
		}
		low := code >= 0xdc00 && code < 0xe000
		if high != low {
			return errors.New("half of a surrogate pair")
		}
		high = code >= 0xd800 && code < 0xdc00
	}
	return nil
}

// AppendJSON appends row i as JSON: times as RFC 3339 in UTC with microseconds,
// jsonb and arrays as themselves, NULL as null. Infinite doubles and NaN, which
// JSON lacks, become strings.
func (v *Vector) AppendJSON(dst []byte, i int) []byte {
	if v.IsNull(i) {
		return append(dst, "null"...)
	}
	switch v.Type {
	case Bool:
		return strconv.AppendBool(dst, v.Bools[i])
	case Int4, Int8:
		return strconv.AppendInt(dst, v.Ints[i], 10)
	case Timestamptz:
		dst = append(dst, '"')
		dst = time.UnixMicro(v.Ints[i]).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z07:00")
		return append(dst, '"')
	case Float8:
		if f := v.Floats[i]; math.IsInf(f, 0) || math.IsNaN(f) {
			return AppendJSONString(dst, strings.Replace(strconv.FormatFloat(f, 'g', -1, 64), "Inf", "Infinity", 1))
		}
		return strconv.AppendFloat(dst, v.Floats[i], 'g', -1, 64)
	case JSONB:
		buf := bytes.NewBuffer(dst)
		// Line breaks within the value would end a line of JSON Lines. The
		// text is valid JSON since it came through Builder.JSON or Decode of such.
		if err := json.Compact(buf, []byte(v.Dict[v.Codes[i]])); err != nil {
			return append(dst, "null"...)
		}
		return buf.Bytes()
	case TextArray:
		dst = append(dst, '[')
		for j, c := range v.Codes[v.Offsets[i]:v.Offsets[i+1]] {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = AppendJSONString(dst, v.Dict[c])
		}
		return append(dst, ']')
	default:
		return AppendJSONString(dst, v.Dict[v.Codes[i]])
	}
}

// AppendJSONString appends s as a JSON string, without the escapes for HTML
// that json.Marshal makes.
func AppendJSONString(dst []byte, s string) []byte {
	buf := bytes.NewBuffer(dst)
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string in a bytes.Buffer
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// AppendJSONRow appends row i of b as an object of its columns that are not
// NULL, in the table's order.
func AppendJSONRow(dst []byte, b *Batch, i int) []byte {
	dst = append(dst, '{')
	first := true
	for j, v := range b.Columns {
		if v.IsNull(i) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, '"')
		dst = append(dst, b.Table.Columns[j].Name...)
		dst = append(dst, '"', ':')
		dst = v.AppendJSON(dst, i)
	}
	return append(dst, '}')
}
