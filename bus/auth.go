package bus

import (
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"sync"

	"github.com/zeebo/blake3"
)

const (
	nonceSize      = 32
	collectorLabel = "daemoneye bus 1 collector"
	agentLabel     = "daemoneye bus 1 agent"
)

// Token is the secret that a collector is started with.
type Token [32]byte

// NewToken returns a random token.
func NewToken() Token {
	var t Token
	_, _ = rand.Read(t[:]) // never fails: crypto/rand.Read
	return t
}

func newNonce() []byte {
	n := make([]byte, nonceSize)
	_, _ = rand.Read(n)
	return n
}

// mac proves knowledge of t for one handshake.
func (t Token) mac(label string, broker, collector []byte) []byte {
	h, err := blake3.NewKeyed(t[:])
	if err != nil {
		panic("bus: " + err.Error()) // only for a key that is not 32 bytes
	}
	_, _ = h.WriteString(label)
	_, _ = h.Write(broker)
	_, _ = h.Write(collector)
	return h.Sum(nil)
}

// Peer is who is at the other end, as the kernel says.
type Peer struct {
	Role Role
	PID  int
	UID  uint32
	GID  uint32
	Conn uint64 // number of the connection, from 1, unique in this broker
}

type credentials struct {
	pid    int
	uid    uint32
	gid    uint32
	groups []uint32
}

func (c credentials) member(gid uint32) bool {
	return c.gid == gid || slices.Contains(c.groups, gid)
}

type grant struct {
	token Token
	pid   int // 0: not yet used
}

// tokens are the spawn tokens in force.
type tokens struct {
	mu     sync.Mutex
	grants []*grant
}

func (t *tokens) allow(token Token, pid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range t.grants {
		if g.token == token {
			g.pid = pid
			return
		}
	}
	t.grants = append(t.grants, &grant{token, pid})
}

func (t *tokens) revoke(token Token) {
	t.mu.Lock()
	t.grants = slices.DeleteFunc(t.grants, func(g *grant) bool { return g.token == token })
	t.mu.Unlock()
}

// expects reports whether a token was given to the process pid, or waits for
// one that is not known yet.
func (t *tokens) expects(pid int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return pid != 0 && slices.ContainsFunc(t.grants, func(g *grant) bool { return g.pid == pid || g.pid == 0 })
}

// verify finds the token behind a collector's mac, and ties it to pid.
func (t *tokens) verify(mac, broker, collector []byte, pid int) (Token, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found *grant
	for _, g := range t.grants {
		if subtle.ConstantTimeCompare(mac, g.token.mac(collectorLabel, broker, collector)) == 1 {
			found = g
		}
	}
	// A pid of 0 is a process that this PID namespace cannot name.
	if found == nil || pid == 0 || found.pid != 0 && found.pid != pid {
		return Token{}, false
	}
	found.pid = pid
	return found.token, true
}

func equalMAC(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
