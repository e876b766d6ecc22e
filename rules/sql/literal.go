package sql

import (
	"bytes"
	"encoding/binary"
	"math"
)

// maxLiteralText is the length of a text up to which a pattern with a literal
// gives no error but for its own sake.
const (
	maxLiteralText         = 64 << 10
	maxLiteralInstructions = maxRegexpSteps / maxLiteralText
)

// likeLiteral returns the longest part of every text that a LIKE pattern
// matches, "" if there is none.
func likeLiteral(pattern string) string {
	longest, part := "", []byte(nil)
	end := func() {
		if len(part) > len(longest) {
			longest = string(part)
		}
		part = part[:0]
	}
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			if i++; i == len(pattern) {
				return "" // an error, at the end of a text that matches so far
			}
			part = append(part, pattern[i])
		case '%', '_':
			end()
		default:
			part = append(part, pattern[i])
		}
	}
	end()
	return longest
}

// regexpLiteral is likeLiteral for a regular expression.
func regexpLiteral(pattern string) string {
	re, err := compileRegexp(pattern, false)
	if err != nil || re.length > maxLiteralInstructions {
		return ""
	}
	if p := newPrefilter(re.String()); len(p.literals) == 1 && !p.fold {
		return p.literals[0]
	}
	return ""
}

// withoutLiteral notes result for the entries of a dictionary, in the form of
// event.Vector.Plain, that do not have the literal: one search over the memory
// of all of them instead of a call for each.
func withoutLiteral(plain []byte, literal []byte, known []truth, result truth) {
	rare := rarest(literal)
	hit := indexFrom(plain, 0, literal, rare)
	at := 0 // of the length of an entry
	for e := range known {
		from := at + 4
		end := from + int(binary.LittleEndian.Uint32(plain[at:]))
		at = end
		for hit < from { // it lies across a length
			hit = indexFrom(plain, from, literal, rare)
		}
		switch {
		case hit < end: // within the entry, or across its end, which the match will tell
			hit = indexFrom(plain, end, literal, rare)
		case end-from <= maxLiteralText:
			known[e] = result
		}
	}
}

// indexFrom is where, from there on, literal begins in data; behind its end when it does not.
func indexFrom(data []byte, from int, literal []byte, rare int) int {
	for at := from + rare; at < len(data); {
		i := bytes.IndexByte(data[at:], literal[rare])
		if i < 0 {
			break
		}
		at += i + 1
		if begin := at - 1 - rare; bytes.HasPrefix(data[begin:], literal) {
			return begin
		}
	}
	return math.MaxInt
}

// rarest is the position of the byte of a literal that is the least frequent
// one in command lines and paths.
func rarest(literal []byte) int {
	const frequent = "e/-ta.so nirclpmdub=hg_0fv1ky2w3x5,4678:9qjz" // the most frequent first
	best, least := 0, math.MaxInt
	for i, b := range literal {
		rank := bytes.IndexByte([]byte(frequent), b)
		if rank < 0 {
			return i
		}
		if rank = len(frequent) - rank; rank < least {
			best, least = i, rank
		}
	}
	return best
}
