package bpf

// State of a connection, as Linux numbers them: net/tcp_states.h. Sockets of
// other protocols have some of them as well.
type State uint8

const (
	Established State = 1 + iota
	SynSent
	SynReceived
	FinWait1
	FinWait2
	TimeWait
	Closed // also: bound, and neither connected nor listening
	CloseWait
	LastAck
	Listens
	Closing
	NewSynReceived // as SynReceived
)

// Held is what is said only of a socket that there is.
type Held struct {
	State State
	Open  bool   // by the process, else that has only used it, or is none
	Whole bool   // the kernel keeps a socket, not only the state of a connection; then these are known
	Inode uint64 // 0: no file
	UID   uint32 // whose it is

	key uint64 // one for each socket that there is at one time
}

// heldSize is of what struct connection of connections.bpf.c has between struct
// network and the path.
const heldSize = 24

func readHeld(r *reader) Held {
	h := Held{key: r.u64(), Inode: r.u64(), UID: r.u32(), State: State(r.u8()), Whole: r.u8() != 0, Open: r.u8() != 0}
	r.bytes(1)
	return h
}

// seen is what an enumeration of sockets has told of.
type seen struct {
	holders map[holder]struct{}
	sockets map[uint64]struct{} // that somebody has open
	inodes  map[uint64]struct{} // of these
}

// holder is a process that has a socket open.
type holder struct {
	key uint64
	pid int32
}

func newSeen() *seen {
	return &seen{holders: map[holder]struct{}{}, sockets: map[uint64]struct{}{}, inodes: map[uint64]struct{}{}}
}

// held reports whether it is new that the process has the socket open: it may
// have several descriptors of it.
func (s *seen) held(e *Event) bool {
	h := holder{e.Network.key, e.PID}
	if _, ok := s.holders[h]; ok {
		return false
	}
	s.holders[h] = struct{}{}
	s.sockets[h.key] = struct{}{}
	s.inodes[e.Network.Inode] = struct{}{}
	return true
}

// unheld reports whether nobody was found that has the socket open. Those of
// TCP under one of MPTCP have its inode.
func (s *seen) unheld(e *Event) bool {
	if _, ok := s.inodes[e.Network.Inode]; ok && e.Network.Inode != 0 {
		return false
	}
	_, ok := s.sockets[e.Network.key]
	return !ok
}
