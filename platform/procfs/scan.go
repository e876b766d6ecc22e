package procfs

// cursor walks over the bytes of one line of numbers and words.
type cursor struct {
	rest []byte
}

// word returns the next run of bytes other than blanks and tabs.
func (c *cursor) word() []byte {
	i := 0
	for i < len(c.rest) && (c.rest[i] == ' ' || c.rest[i] == '\t') {
		i++
	}
	j := i
	for j < len(c.rest) && c.rest[j] != ' ' && c.rest[j] != '\t' && c.rest[j] != '\n' {
		j++
	}
	w := c.rest[i:j]
	c.rest = c.rest[j:]
	return w
}

func (c *cursor) skip(words int) {
	for range words {
		c.word()
	}
}

// parseUint reads a decimal number. ok is false on anything else, and above 64 bits.
func parseUint(b []byte) (n uint64, ok bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// parseInt reads a decimal number with an optional minus sign.
func parseInt(b []byte) (int64, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	n, ok := parseUint(b)
	if !ok || n > 1<<63-1 {
		return 0, false
	}
	if negative {
		return -int64(n), true
	}
	return int64(n), true
}

func parseHex(b []byte) (n uint64, ok bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		n = n<<4 | uint64(c)
	}
	return n, true
}

func parsePID(b []byte) (int32, bool) {
	n, ok := parseUint(b)
	if !ok || n > 1<<31-1 {
		return 0, false
	}
	return int32(n), true
}
