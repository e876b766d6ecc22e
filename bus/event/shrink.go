package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"
)

// mark stands where something was cut.
const (
	mark    = "…"
	cutMark = mark + " [cut, %d bytes]"
)

// ShrinkJSON returns the valid JSON value in at most limit bytes, for a limit
// of 16 or more. A value that fits stays as it is. Of one that does not the
// longest parts are cut first, so that what is short and identifies stays
// whole: strings end in a mark with their length, arrays and objects lose
// their last members, which a mark then stands for.
func ShrinkJSON(value []byte, limit int) []byte {
	if len(value) <= limit {
		return value
	}
	switch value = bytes.TrimSpace(value); {
	case len(value) <= limit:
		return value
	case value[0] == '"':
		return cutString(value, limit)
	case value[0] == '[' || value[0] == '{':
		return shrinkMembers(value, limit)
	default: // a number
		return cutString(slices.Concat([]byte{'"'}, value, []byte{'"'}), limit)
	}
}

// CutText returns s in at most limit bytes, for a limit of 64 or more, with a
// mark that says how long it was where it had to be cut.
func CutText[T string | []byte](s T, limit int) T {
	if len(s) <= limit {
		return s
	}
	end := fmt.Sprintf(cutMark, whole([]byte(s)))
	at := limit - len(end)
	for at > 0 && !utf8.RuneStart(s[at]) {
		at--
	}
	return T(string(s[:at]) + end)
}

// whole returns how long s was before it was cut, perhaps for the second time.
func whole(s []byte) int {
	if at := bytes.LastIndex(s, []byte(mark)); at >= 0 && len(s)-at < 40 {
		n := 0
		if _, err := fmt.Sscanf(string(s[at:]), cutMark, &n); err == nil && n > len(s) {
			return n
		}
	}
	return len(s)
}

// cutString cuts a JSON string between two characters.
func cutString(s []byte, limit int) []byte {
	end := mark + `"`
	if limit >= 64 {
		end = fmt.Sprintf(cutMark+`"`, whole(s[1:len(s)-1]))
	}
	at := 1
	for at < len(s)-1 {
		n := jsonChar(s[at:])
		if at+n+len(end) > limit {
			break
		}
		at += n
	}
	return append(slices.Clip(s[:at:at]), end...)
}

// jsonChar returns the length of the character, escaped or not, that a JSON
// string goes on with. A surrogate pair is one.
func jsonChar(s []byte) int {
	switch {
	case s[0] != '\\':
		_, n := utf8.DecodeRune(s)
		return n
	case s[1] != 'u':
		return 2
	case len(s) >= 12 && (s[2] == 'd' || s[2] == 'D') && s[3] != '0' && s[6] == '\\' && s[7] == 'u':
		return 12
	}
	return 6
}

// member is one of an array, or of an object.
type member struct{ key, value []byte }

// shrinkMembers shrinks an array or an object, whose members share the room.
func shrinkMembers(value []byte, limit int) []byte {
	const (
		least = 16 // bytes that each member that stays may have
		rest  = 16 // of brackets and the mark
	)
	object := value[0] == '{'
	d := json.NewDecoder(bytes.NewReader(value))
	if _, err := d.Token(); err != nil {
		return []byte(`"` + mark + `"`)
	}
	var list []member
	var lengths []int
	room, more := limit-rest, false
	for d.More() {
		m, ok := nextMember(d, object)
		if room -= len(m.key) + 4; !ok || room < least*(len(list)+1) {
			room += len(m.key) + 4
			more = true
			break
		}
		list, lengths = append(list, m), append(lengths, len(m.value))
	}
	each := Share(lengths, room)
	out := append(make([]byte, 0, limit), value[0])
	for i, m := range list {
		if i > 0 {
			out = append(out, ", "...)
		}
		if object {
			out = append(append(out, m.key...), ": "...)
		}
		out = append(out, ShrinkJSON(m.value, each)...)
	}
	if more && len(list) > 0 {
		out = append(out, ", "...)
	}
	switch {
	case more && object:
		out = append(out, `"`+mark+`": ""`...)
	case more:
		out = append(out, `"`+mark+`"`...)
	}
	return append(out, value[0]+2) // ']' and '}' follow two after '[' and '{'
}

// nextMember reads one member; names longer than any column's are cut.
func nextMember(d *json.Decoder, object bool) (m member, ok bool) {
	if object {
		token, err := d.Token()
		name, isName := token.(string)
		if err != nil || !isName {
			return m, false
		}
		m.key = ShrinkJSON(AppendJSONString(nil, name), 80)
	}
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return m, false
	}
	m.value = raw
	return m, true
}

// Share returns the greatest length to which each has to be cut so that all
// together have at most room bytes.
func Share(lengths []int, room int) int {
	sorted := slices.Sorted(slices.Values(lengths))
	for i, n := range sorted {
		left := len(sorted) - i
		if n*left > room {
			return room / left
		}
		room -= n
	}
	return room
}
