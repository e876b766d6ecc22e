package procfs

import (
	"maps"
	"slices"
)

// request is a file that is to be hashed.
type request struct {
	Executable          // of the process that asked for it last
	queued     bool     // it stands in queues
	users      []uint32 // in whose
}

// leastTurn is as how many bytes a small file counts: it has a price too.
const leastTurn = 64 << 10

// fairQueue is files that wait, by the users whose processes run them. That of
// the user is next who has had the fewest bytes of late, so that nobody waits
// for more than one file of each other user. A file that several users run
// stands in the queues of all.
type fairQueue struct {
	limit  int // of length
	length int
	turns  map[uint32]*turn
	served int64 // what the user had who was served last, before that
}

type turn struct {
	files []*request
	had   int64 // bytes
}

func newFairQueue(limit int) *fairQueue { return &fairQueue{limit: limit, turns: map[uint32]*turn{}} }

// push adds a file of a user. When the queue is full, the user with the longest
// one loses the last of it: r itself may be what is returned.
func (q *fairQueue) push(user uint32, r *request) (lost *request) {
	t := q.turns[user]
	if t == nil {
		t = &turn{}
		q.turns[user] = t
	}
	if len(t.files) == 0 {
		t.had = max(t.had, q.served)
	}
	if q.length == q.limit {
		longest := user
		for u, other := range q.turns {
			if len(other.files) > max(len(q.turns[longest].files), len(t.files)+1) {
				longest = u
			}
		}
		if longest == user {
			return r
		}
		other := q.turns[longest]
		lost = other.files[len(other.files)-1]
		q.remove(longest, lost)
	}
	t.files = append(t.files, r)
	q.length++
	r.users, r.queued = append(r.users, user), true
	return lost
}

// remove takes a file out of a user's queue.
func (q *fairQueue) remove(user uint32, r *request) {
	t := q.turns[user]
	i := slices.Index(t.files, r)
	t.files = slices.Delete(t.files, i, i+1)
	q.length--
	r.users = slices.DeleteFunc(r.users, func(u uint32) bool { return u == user })
	r.queued = len(r.users) > 0
}

// pop returns the next file and the user whose turn it is, nil if there is none.
func (q *fairQueue) pop() (r *request, user uint32) {
	var next *turn
	for u, t := range q.turns {
		if len(t.files) > 0 && (next == nil || t.had < next.had) {
			next, user = t, u
		}
	}
	if next == nil { // all have had their turn
		clear(q.turns)
		q.served = 0
		return nil, 0
	}
	r = next.files[0]
	for len(r.users) > 0 {
		q.remove(r.users[0], r)
	}
	q.served = next.had
	next.had += max(r.ID.Size, leastTurn)
	maps.DeleteFunc(q.turns, func(_ uint32, t *turn) bool { return len(t.files) == 0 && t.had <= q.served })
	return r, user
}
