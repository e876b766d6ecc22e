package procfs

import "container/list"

// lru keeps the digests that were used last.
type lru struct {
	limit   int
	order   *list.List // of lruEntry, the last used first
	entries map[FileID]*list.Element
}

type lruEntry struct {
	id     FileID
	digest Digest
}

func newLRU(limit int) *lru {
	return &lru{limit: limit, order: list.New(), entries: make(map[FileID]*list.Element)}
}

func (l *lru) get(id FileID) (Digest, bool) {
	e := l.entries[id]
	if e == nil {
		return Digest{}, false
	}
	l.order.MoveToFront(e)
	return e.Value.(lruEntry).digest, true
}

func (l *lru) put(id FileID, d Digest) {
	if e := l.entries[id]; e != nil {
		e.Value = lruEntry{id, d}
		l.order.MoveToFront(e)
		return
	}
	l.entries[id] = l.order.PushFront(lruEntry{id, d})
	if l.order.Len() > l.limit {
		e := l.order.Back()
		l.order.Remove(e)
		delete(l.entries, e.Value.(lruEntry).id)
	}
}
