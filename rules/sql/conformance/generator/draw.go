package generator

import (
	"pgregory.net/rapid"
)

// draws are the generators of small numbers; rapid favours low ones, so what
// is simple comes first in every choice.
var draws = func() (list [9]*rapid.Generator[int]) {
	for i := range list {
		list[i] = rapid.IntRange(0, max(i-1, 0))
	}
	return list
}()

// below draws a number 0 ≤ i < n.
func (g *gen) below(n int) int {
	switch {
	case n <= 1:
		return 0
	case n <= 8:
		return draws[n].Draw(g.t, "choice")
	}
	for {
		if i := g.below(8)*((n+7)/8) + g.below((n+7)/8); i < n {
			return i
		}
	}
}

// percent is true in about n of a hundred draws, and false for rapid's least.
func (g *gen) percent(n int) bool { return hundred.Draw(g.t, "percent") >= 100-n }

// hundred gives 0 to 99 about evenly, which rapid's own range of integers does not.
var hundred = rapid.Map(rapid.Uint64(), func(u uint64) int {
	u ^= u >> 33
	u *= 0xff51afd7ed558ccd
	u ^= u >> 33
	return int(u % 100)
})

func one[T any](g *gen, list []T) T { return list[g.below(len(list))] }
