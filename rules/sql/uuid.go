package sql

import (
	"encoding/hex"
	"strings"
)

// inputUUID is uuid_in: 32 hex digits, in braces or not, with a hyphen after
// any group of four digits.
func inputUUID(s string) (value, error) {
	t := s
	if strings.HasPrefix(t, "{") {
		if !strings.HasSuffix(t, "}") || len(t) < 2 {
			return null, inputError(UUID, s)
		}
		t = t[1 : len(t)-1]
	}
	digits := make([]byte, 0, 32)
	for i := 0; i < len(t); i++ {
		if t[i] == '-' && len(digits)%4 == 0 && len(digits) > 0 && len(digits) < 32 && t[i-1] != '-' {
			continue
		}
		if len(digits) == 32 {
			return null, inputError(UUID, s)
		}
		digits = append(digits, t[i])
	}
	out, err := hex.AppendDecode(nil, digits)
	if err != nil || len(out) != 16 {
		return null, inputError(UUID, s)
	}
	return textValue(string(out)), nil
}

func appendUUID(dst []byte, s string) []byte {
	b := []byte(s)
	for i, part := range [][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}
