package bpf

import "testing"

// heldRecord is a record as connections.bpf.c writes it.
func heldRecord() []byte {
	b := networkRecord(HeldSocket, "")
	b = append(b, make([]byte, heldSize+108+4)...)
	put(b, 132, 2, FamilyUnix)
	put(b, 146, 2, 5)   // of the path
	put(b, 152, 8, 99)  // key
	put(b, 160, 8, 100) // inode
	put(b, 168, 4, 1000)
	b[172], b[173], b[174] = byte(Listens), 1, 1
	copy(b[176:], "\x00name and more")
	return b
}

func TestDecodeHeld(t *testing.T) {
	whole := heldRecord()
	e, err := Decode(whole)
	want := Held{State: Listens, Open: true, Whole: true, Inode: 100, UID: 1000, key: 99}
	if err != nil || e.Network.Held != want || e.Network.Path != "@name" || e.Network.Socket != 77 || e.PID != 4242 {
		t.Errorf("%+v of %+v, error %v, want %+v", *e.Network, e, err, want)
	}
	for n := range networkSize + heldSize + 5 {
		if _, err := Decode(whole[:n]); err == nil {
			t.Errorf("the first %d bytes are a record", n)
		}
	}
}

// A socket is told once with each process; one of TCP under one of MPTCP, which
// has its inode, not at all.
func TestSeen(t *testing.T) {
	s := newSeen()
	event := func(key, inode uint64, pid int32) *Event {
		return &Event{PID: pid, Network: &Connection{Held: Held{key: key, Inode: inode}}}
	}
	for i, c := range []struct {
		event *Event
		held  bool
		want  bool
	}{
		{event(1, 10, 5), true, true},
		{event(1, 10, 5), true, false},
		{event(1, 10, 6), true, true},
		{event(1, 10, 0), false, false},
		{event(2, 10, 0), false, false},
		{event(3, 0, 0), false, true},
	} {
		isNew := s.unheld
		if c.held {
			isNew = s.held
		}
		if got := isNew(c.event); got != c.want {
			t.Errorf("%d: new is %v, want %v", i, got, c.want)
		}
	}
}
