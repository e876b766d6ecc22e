package event

import (
	"slices"
	"testing"
)

// TestTextsAgain: a list that comes again is the same, after NULL, an empty list,
// a part of it, another batch, and with the memory of that.
func TestTextsAgain(t *testing.T) {
	b := NewBuilder(Lookup("process_events"))
	list := []string{"CAP_KILL", "CAP_SYS_PTRACE", ""}
	rows := [][]string{list, list, nil, list, {}, list, list[:1], list, list[1:], list}
	for range 3 {
		for _, row := range rows {
			b.Column("capabilities").Texts(row)
			b.EndRow()
		}
		batch := b.Batch()
		v := batch.Column("capabilities")
		for i, want := range rows {
			if got := v.Texts(i); v.IsNull(i) != (want == nil) || !slices.Equal(got, want) {
				t.Errorf("row %d: %q, NULL %v, want %q", i, got, v.IsNull(i), want)
			}
		}
		b.Reuse(batch)
	}
}
