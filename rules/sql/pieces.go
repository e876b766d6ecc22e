package sql

import "errors"

// What a step computes of a chunk for itself is not counted by grow. It is
// bounded since wide rows are computed few at a time.

// minPiece is the number of rows that are always computed at once.
const minPiece = 32

// pieceRows is of how many rows so many values, as weight counts them, may be
// computed at once: a quarter of the memory limit.
func (x *env) pieceRows(values int) int {
	return max(int(x.limit/4)/(8*max(values, 1)), minPiece)
}

// weight is how much memory a value of the type takes, in words of 8 bytes. A
// text has up to 64 bytes that charge does not count.
func weight(t Type) int {
	switch t.phys() {
	case physText:
		return 6
	case physObj:
		return 12
	}
	return 1
}

// weightOf is the weight of what is computed of each row: a column is there already.
func weightOf(list []expr) int {
	n := 0
	for _, e := range list {
		switch e.(type) {
		case *colExpr, *constExpr:
		default:
			n += weight(e.typ())
		}
	}
	return n
}

// inPieces calls compute and then use with pieces of c of which so many values
// a row take little memory, and with smaller ones where compute makes too much
// text. Compute must change nothing but what use takes.
func (c *chunk) inPieces(x *env, values int, compute, use func(*chunk) error) error {
	n := c.len()
	if size := x.pieceRows(values); n > size {
		for from := 0; from < n; from += size {
			if err := x.ctx.Err(); err != nil {
				return err
			}
			if err := c.slice(from, min(from+size, n)).dense().inPieces(x, values, compute, use); err != nil {
				return err
			}
		}
		return nil
	}
	before := x.scratchLimit
	x.scratch, x.scratchLimit = 0, 0
	if n > minPiece {
		x.scratchLimit = x.limit / 4
	}
	err := compute(c)
	x.scratchLimit = before
	var e *Error
	if n > minPiece && errors.As(err, &e) && e.texts {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		if err := c.slice(0, n/2).dense().inPieces(x, values, compute, use); err != nil {
			return err
		}
		return c.slice(n/2, n).dense().inPieces(x, values, compute, use)
	}
	if err != nil {
		return err
	}
	return use(c)
}

// held is about how many bytes keeping the chunk takes, without texts.
func (c *chunk) held() int {
	words := 0
	for _, v := range c.cols {
		if !v.constant && v.lazy == nil {
			words += weight(v.typ)
		}
	}
	return 8 * words * c.n
}
