package procfs

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFairQueue: whoever has had fewer bytes is next, and a full queue takes
// from who has the most.
func TestFairQueue(t *testing.T) {
	const mallory, alice, bob = 1000, 1001, 1002
	q := newFairQueue(4)
	file := func(name uint64, size int64) *request {
		return &request{Executable: Executable{ID: FileID{Inode: name, Size: size}}}
	}
	push := func(user uint32, r *request, want *request) {
		t.Helper()
		if got := q.push(user, r); got != want {
			t.Errorf("push loses %v, want %v", got, want)
		}
	}
	pop := func(want *request) {
		t.Helper()
		if got, _ := q.pop(); got != want {
			t.Fatalf("next is %+v, want %+v", got, want)
		}
	}
	var large []*request
	for i := range 5 {
		large = append(large, file(uint64(i), 1<<30))
	}
	for _, r := range large[:4] {
		push(mallory, r, nil)
	}
	push(mallory, large[4], large[4])
	small, shared := file(10, 1000), file(11, 1000)
	push(alice, small, large[3])
	push(bob, shared, large[2])
	push(mallory, shared, shared) // has no room
	if q.length != 4 || !shared.queued || large[2].queued || !large[1].queued {
		t.Errorf("%d wait: %v, %v, %v", q.length, shared.queued, large[2].queued, large[1].queued)
	}
	var first []*request
	for range 3 {
		r, _ := q.pop()
		first = append(first, r)
	}
	if !slices.Contains(first, large[0]) || !slices.Contains(first, small) || !slices.Contains(first, shared) {
		t.Fatalf("the first three are %v, want one of each user", first)
	}
	push(alice, file(12, 1000), nil)
	if r, user := q.pop(); r.ID.Inode != 12 || user != alice {
		t.Errorf("next is %v of %d, want alice's, who has had less", r, user)
	}
	pop(large[1])
	pop(nil)
	// Everybody's file stands in all their queues, and is read once.
	push(mallory, large[0], nil)
	push(mallory, shared, nil)
	push(bob, shared, nil)
	if q.length != 3 || len(shared.users) != 2 {
		t.Errorf("%d wait, one of %v", q.length, shared.users)
	}
	seen := []*request{}
	for r, _ := q.pop(); r != nil; r, _ = q.pop() {
		seen = append(seen, r)
	}
	if len(seen) != 2 || q.length != 0 || len(q.turns) != 0 || shared.queued {
		t.Errorf("%d were read, %d wait, %d users are known", len(seen), q.length, len(q.turns))
	}
}

// TestHasherIsFair: who runs many files delays another user's by one of each
// size, and takes no place in the queue from him.
func TestHasherIsFair(t *testing.T) {
	const rate = 1 << 20
	reads := make(chan Executable)
	h := NewHasher(HasherConfig{Rate: rate, Queue: 8, Digest: func(ctx context.Context, e Executable) (Digest, int64, error) {
		select {
		case reads <- e:
		case <-ctx.Done():
		}
		return Digest{SHA256: strings.Repeat("0", 64)}, e.ID.Size, nil
	}})
	defer h.Close()
	ask := func(user uint32, inode uint64, size int64) {
		h.Request(&Process{PID: 1, UID: [4]uint32{user}, ExecutableID: FileID{Inode: inode, Size: size}})
	}
	for i := range uint64(100) {
		ask(1000, 100+i, 1000)
		ask(1000, 200+i, rate+1)
	}
	ask(1001, 1, 1000)
	ask(1001, 2, rate+1)
	before := [Lanes]int{} // reads of the other user
	for seen := 0; seen < Lanes; {
		select {
		case e := <-reads:
			lane := e.Lane()
			if e.ID.Inode > 2 {
				before[lane]++
				continue
			}
			if seen++; before[lane] > 1 { // the one that was begun
				t.Errorf("lane %d: %d files of another user were read before", lane, before[lane])
			}
		case <-time.After(time.Minute):
			t.Fatal("nothing is read")
		}
	}
	if s := h.Stats(); s.Dropped < 2*(100-1-8) {
		t.Errorf("%+v, want what found no room counted", s)
	}
}
