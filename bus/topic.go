package bus

import (
	"fmt"
	"strings"
)

const (
	maxTopic    = 255 // bytes
	maxSegments = 4
)

// CheckTopic says why topic is not a valid topic or request name, nil if it is.
func CheckTopic(topic string) error {
	_, err := splitTopic(topic, false)
	return err
}

// splitTopic checks and splits a topic, or with wildcards a pattern.
func splitTopic(s string, wildcards bool) ([]string, error) {
	what := "topic"
	if wildcards {
		what = "pattern"
	}
	if s == "" || len(s) > maxTopic {
		return nil, fmt.Errorf("%s has %d bytes, want 1 to %d", what, len(s), maxTopic)
	}
	segments := strings.Split(s, ".")
	if len(segments) > maxSegments {
		return nil, fmt.Errorf("%s %q has %d segments, the limit is %d", what, s, len(segments), maxSegments)
	}
	for i, segment := range segments {
		switch {
		case segment == "":
			return nil, fmt.Errorf("%s %q has an empty segment", what, s)
		case wildcards && segment == "+":
		case wildcards && segment == "#":
			if i != len(segments)-1 {
				return nil, fmt.Errorf("pattern %q has # before its last segment", s)
			}
		default:
			for _, c := range []byte(segment) {
				if !topicByte(c) {
					return nil, fmt.Errorf("%s %q has the byte %q, want a-z, 0-9, _ or -", what, s, c)
				}
			}
		}
	}
	return segments, nil
}

func topicByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// Pattern selects topics. The zero Pattern matches none.
type Pattern struct {
	text     string
	segments []string // without a last "#"
	rest     bool     // a last "#"
}

// ParsePattern reads a topic with the wildcards + and #.
func ParsePattern(s string) (Pattern, error) {
	segments, err := splitTopic(s, true)
	if err != nil {
		return Pattern{}, err
	}
	p := Pattern{text: s, segments: segments}
	if last := len(segments) - 1; segments[last] == "#" {
		p.segments, p.rest = segments[:last], true
	}
	return p, nil
}

func (p Pattern) String() string { return p.text }

// Match reports whether p selects the valid topic.
func (p Pattern) Match(topic string) bool {
	if p.text == "" {
		return false
	}
	rest, more := topic, true
	for _, want := range p.segments {
		if !more {
			return false
		}
		var segment string
		segment, rest, more = strings.Cut(rest, ".")
		if want != "+" && want != segment {
			return false
		}
	}
	return p.rest || !more
}

// Covers reports whether p matches every topic that q matches.
func (p Pattern) Covers(q Pattern) bool {
	if p.text == "" || len(q.segments) < len(p.segments) {
		return false
	}
	for i, want := range p.segments {
		if want != "+" && want != q.segments[i] {
			return false
		}
	}
	return p.rest || !q.rest && len(p.segments) == len(q.segments)
}
