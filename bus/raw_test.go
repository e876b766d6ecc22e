package bus

import (
	"errors"
	"net"
	"testing"
	"time"
)

// A rawConn speaks frames, and whatever else a test wants, to a broker.
type rawConn struct {
	*net.UnixConn
	t      testing.TB
	pool   pool
	reader *frameReader
	hello  []byte // the client hello frame that was sent
}

// dialRaw connects without a handshake.
func dialRaw(t testing.TB, path string) *rawConn {
	t.Helper()
	conn, err := dialSocket(testContext(t), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(testTimeout))
	r := &rawConn{UnixConn: conn, t: t}
	r.reader = newFrameReader(conn, &r.pool, 1<<20)
	return r
}

// greet does the handshake, with a token as collector.
func (r *rawConn) greet(token *Token) *rawConn {
	r.t.Helper()
	var hello serverHello
	r.expect(kindServerHello, &hello)
	answer := &clientHello{Role: Operator}
	if token != nil {
		nonce := newNonce()
		answer = &clientHello{Role: Collector, Nonce: nonce, MAC: token.mac(collectorLabel, hello.Nonce, nonce)}
	}
	r.hello = encodeFrame(header{kind: kindClientHello}, r.pool.control(answer))
	r.write(r.hello)
	var w welcome
	r.expect(kindWelcome, &w)
	return r
}

func (r *rawConn) write(b []byte) {
	r.t.Helper()
	if _, err := r.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rawConn) send(h header, p *payload) {
	r.t.Helper()
	r.write(encodeFrame(h, p))
}

// expect reads one frame of a kind, and its body into v unless that is nil.
func (r *rawConn) expect(want kind, v any) header {
	r.t.Helper()
	h, p, err := r.reader.next()
	if err != nil {
		r.t.Fatalf("read a frame of kind %d: %v", want, err)
	}
	if h.kind != want {
		r.t.Fatalf("frame of kind %d, want %d", h.kind, want)
	}
	if v != nil {
		if err := parseControl(p, v); err != nil {
			r.t.Fatal(err)
		}
	}
	return h
}

// expectEnd reads until the connection ends, and returns the code of the error
// that the broker sent for it, "" for none.
func (r *rawConn) expectEnd() string {
	r.t.Helper()
	last := ""
	for {
		h, p, err := r.reader.next()
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, errMalformed):
			r.t.Fatalf("wait for the end of the connection: %v", err)
		case err != nil:
			return last
		case h.kind == kindError && h.correlation == 0:
			last = code(parseError(p))
		}
	}
}
