package sql

import (
	"encoding/hex"
	"strings"
)

// inputBytea is byteain: \x and hex digits, or text with \\ and \ooo.
func inputBytea(s string) (value, error) {
	if rest, ok := strings.CutPrefix(s, `\x`); ok {
		return decodeHex(rest)
	}
	return decodeEscape(s)
}

func appendBytea(dst []byte, s string) []byte {
	return hex.AppendEncode(append(dst, `\x`...), []byte(s))
}

func decodeHex(s string) (value, error) {
	out := make([]byte, 0, len(s)/2)
	high := -1
	for i := range len(s) {
		c := s[i]
		if high < 0 && strings.IndexByte(" \n\t\r", c) >= 0 {
			continue
		}
		n := strings.IndexByte("0123456789abcdef", c|0x20)
		if n < 0 || c < '0' || c > '9' && c < 'A' {
			return null, fail(codeInvalidParameter, "invalid hexadecimal digit: %q", c)
		}
		if high < 0 {
			high = n
			continue
		}
		out, high = append(out, byte(high<<4|n)), -1
	}
	if high >= 0 {
		return null, fail(codeInvalidParameter, "invalid hexadecimal data: odd number of digits")
	}
	return textValue(string(out)), nil
}

func decodeEscape(s string) (value, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return textValue(s), nil
	}
	octal := func(i int, most byte) bool { return i < len(s) && s[i] >= '0' && s[i] <= most }
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		switch {
		case s[i] != '\\':
			out = append(out, s[i])
			i++
		case octal(i+1, '3') && octal(i+2, '7') && octal(i+3, '7'):
			out = append(out, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			i += 4
		case i+1 < len(s) && s[i+1] == '\\':
			out = append(out, '\\')
			i += 2
		default:
			return null, fail(codeInvalidText, "invalid input syntax for type bytea")
		}
	}
	return textValue(string(out)), nil
}

func encodeEscape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == 0 || c >= 0x80:
			b.Write([]byte{'\\', '0' + c>>6, '0' + c>>3&7, '0' + c&7})
		case c == '\\':
			b.WriteString(`\\`)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// encodeBase64 breaks lines after 76 characters (RFC 2045), also at the end
// of a text that is just as long.
func encodeBase64(s string) string {
	var b strings.Builder
	line := 0
	for ; len(s) >= 3; s = s[3:] {
		n := uint(s[0])<<16 | uint(s[1])<<8 | uint(s[2])
		b.Write([]byte{base64Digits[n>>18], base64Digits[n>>12&63], base64Digits[n>>6&63], base64Digits[n&63]})
		if line += 4; line == 76 {
			b.WriteByte('\n')
			line = 0
		}
	}
	switch len(s) {
	case 1:
		b.Write([]byte{base64Digits[s[0]>>2], base64Digits[s[0]&3<<4], '=', '='})
	case 2:
		b.Write([]byte{base64Digits[s[0]>>2], base64Digits[s[0]&3<<4|s[1]>>4], base64Digits[s[1]&15<<2], '='})
	}
	return b.String()
}

// decodeBase64 takes what PostgreSQL takes: space anywhere, and more after
// the padding, which is kept as far as the padding lets it.
func decodeBase64(s string) (value, error) {
	out := make([]byte, 0, len(s)/4*3)
	n, count, end := uint32(0), 0, 0
	for i := range len(s) {
		c := s[i]
		digit := 0
		switch {
		case strings.IndexByte(" \t\n\r", c) >= 0:
			continue
		case c == '=':
			if end == 0 {
				if count != 2 && count != 3 {
					return null, fail(codeInvalidParameter, `unexpected "=" while decoding base64 sequence`)
				}
				end = count - 1
			}
		default:
			if digit = strings.IndexByte(base64Digits, c); digit < 0 {
				return null, fail(codeInvalidParameter, "invalid symbol %q found while decoding base64 sequence", c)
			}
		}
		n = n<<6 + uint32(digit)
		if count++; count < 4 {
			continue
		}
		out = append(out, byte(n>>16))
		if end != 1 {
			out = append(out, byte(n>>8))
		}
		if end == 0 || end > 2 {
			out = append(out, byte(n))
		}
		n, count = 0, 0
	}
	if count != 0 {
		return null, fail(codeInvalidParameter, "invalid base64 end sequence")
	}
	return textValue(string(out)), nil
}

// encode is the function encode.
func encode(s, format string) (value, error) {
	if len(s) > maxText/2 && (len(s) > maxText || !strings.EqualFold(format, "base64")) {
		return null, errTooLong()
	}
	var out string
	switch lowerASCII(format) {
	case "hex":
		out = hex.EncodeToString([]byte(s))
	case "base64":
		out = encodeBase64(s)
	case "escape":
		out = encodeEscape(s)
	default:
		return null, fail(codeInvalidParameter, "unrecognized encoding: %q", format).hint("encodings: base64, hex, escape")
	}
	if len(out) > maxText {
		return null, errTooLong()
	}
	return textValue(out), nil
}

// decode is the function decode.
func decode(s, format string) (value, error) {
	switch lowerASCII(format) {
	case "hex":
		return decodeHex(s)
	case "base64":
		return decodeBase64(s)
	case "escape":
		return decodeEscape(s)
	}
	return null, fail(codeInvalidParameter, "unrecognized encoding: %q", format).hint("encodings: base64, hex, escape")
}
