// Package bus carries messages between DaemonEye's processes: frames over a
// Unix socket, a broker inside the agent, and the connection that collectors
// and clients open to it.
//
// # Frame
//
// Everything on the wire is a frame. Integers are little endian.
//
//	offset  size
//	0       3     magic "DEB"
//	3       1     version, 1
//	4       1     kind
//	5       1     flags; unknown bits are an error
//	6       2     topic length, at most 255
//	8       4     body length, at most Config.MaxBody
//	12      8     sequence
//	20      8     correlation
//	28      4     CRC-32C of topic, body and bytes 0 to 28 of the header, in this order
//	32            topic, body
//
// The checksum takes the header last, so that the broker forwards a topic and
// body under another header without reading them again. Lengths are checked
// before memory is allocated. A frame that is malformed, too large, early or
// of the wrong direction ends its connection and nothing else.
//
// # Kinds
//
// B is the broker, C who connected. Bodies are msgpack.
//
//	 1 server hello  B→C  [version, nonce (32 bytes)]
//	 2 client hello  C→B  [role, nonce, mac]; an operator leaves nonce and mac empty
//	 3 welcome       B→C  [mac, body limit, publish window]
//	 4 error         B→C  [code, message, detail]; ends what the correlation names, 0: the connection
//	 5 publish       C→B  topic; [message (bin), …], at least one
//	 6 credit        both correlation: 0 the publish window, else a subscription or request; sequence: bytes
//	 7 subscribe     C→B  correlation: chosen by C; [pattern, class, window]
//	 8 subscribed    B→C  correlation
//	 9 unsubscribe   C→B  correlation
//	10 deliver       B→C  correlation: the subscription; sequence: messages missed just before; else as publish
//	11 request       C→B  topic: its name; correlation: chosen by C; sequence: window; body as the handler wants it
//	12 reply         B→C  correlation; flag 1: the last one, and without a body just the end
//	13 cancel        C→B  correlation
//	14 register      C→B  [collector id]
//	15 registered    B→C  sequence: highest one stored; [window in bytes, window in frames]
//	16 ingest        C→B  sequence; else as publish
//	17 ack           B→C  sequence: it and all before it are stored
//
// # Handshake
//
// The broker speaks first. A collector proves that it knows its spawn token T,
// and then the broker does:
//
//	collector's mac = BLAKE3(key T, "daemoneye bus 1 collector" ‖ broker's nonce ‖ collector's nonce)
//	broker's mac    = BLAKE3(key T, "daemoneye bus 1 agent" ‖ broker's nonce ‖ collector's nonce)
//
// A token is good for one process: the pid given with it, else the first that
// uses it. An operator is admitted by the uid and groups that the kernel
// reports for the other end of the socket.
//
// # Topics
//
// A topic has one to four segments of [a-z0-9_-] joined by dots, at most 255
// bytes. In a pattern the segment "+" matches any one segment, and a last
// segment "#" matches whatever follows, also nothing: "events.#" matches
// "events" and "events.process.exec".
//
// # Flow control
//
// Every stream of frames has a window in bytes; a frame costs its whole
// length, header included. A sender may send while its window is above zero
// (so a window can be overdrawn by one frame), and gets back what the other
// side has consumed. A publish is consumed when every subscription has taken
// it, a delivery or reply when its reader asks for the next one. Reliable
// frames (ingest) have a window of their own that acknowledgements reopen. Who
// sends without credit is disconnected.
//
// A subscription of class Wait holds publishers back while its queue is full,
// and loses nothing. One of class Shed drops its oldest messages, counts them,
// and its reader is told how many before the next message. In the order of
// one publisher's frames nothing is ever swapped.
//
// # Access
//
// One table (Config.Access) lists who may publish, subscribe and request what.
// A publish that is not listed closes the connection. A subscription or
// request that is not listed is refused with the code "denied" when it comes
// from an operator (perhaps of another version), and closes the connection
// when it comes from a collector, which has no honest reason for it.
package bus
