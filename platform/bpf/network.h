// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// What is told of sockets, and what is known of them; network.go reads it.

#ifndef NETWORK_H
#define NETWORK_H

#include "socket.h"

enum {
	MAX_SOCKETS = 16 << 10, // whose owners are known; the least recently used goes
	MAX_UNIX_PATH = 108,
};

// What has happened, Event.What of a Network.
enum {
	CONNECT,
	ACCEPT,
	LISTEN,
	CLOSE,
	SOCKET, // raw, or of packets
	UNIX_CONNECT,
	SEND, // the first datagram of a process to a peer
	DNS_QUERY,
	DNS_RESPONSE,
	HELD, // a socket that an iterator has found
};

enum {
	OUTBOUND = 1,
	INBOUND,
	LISTENING,
};

struct network {
	struct record r;
	__u64 socket; // its id
	__u64 sent, received; // bytes
	__u64 duration; // ns
	struct ends ends;
	__u32 result; // an error's number
	__u8 direction;
	__u8 type; // of a raw socket
	__u16 size; // of what follows
};

struct unix_network {
	struct network n;
	char path[MAX_UNIX_PATH];
};

_Static_assert(sizeof(struct network) == 148 + 4, "as in network.go");

// What is known of a socket.
struct known {
	__u64 id;
	__u64 began; // boot clock, ns
	__u64 start, parent_start;
	__u32 pid, ppid;
	char comm[16];
	struct ends ends; // of one that FAILED: they are gone later
	__u32 error;
	__u8 direction;
	__u8 state;
};

// States of a socket that connects.
enum {
	RETURNED = 1,    // connect(2) has, and it goes on
	CONNECTED = 2,
	FAILED = 4,      // before connect(2) has returned, which tells the error
	TOLD = 8,
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_SOCKETS);
	__type(key, __u64); // the address of struct sock
	__type(value, struct known);
} sockets SEC(".maps");

inlined struct known *known_of(struct sock *sk)
{
	__u64 key = (__u64)sk;
	return bpf_map_lookup_elem(&sockets, &key);
}

// attribute says who owns the socket, of which k is known; NULL: nobody knows.
inlined void attribute(struct network *n, struct known *k)
{
	if (k) {
		n->r.pid = k->pid;
		n->r.start = k->start;
		n->r.ppid = k->ppid;
		n->r.parent_start = k->parent_start;
		__builtin_memcpy(n->r.comm, k->comm, sizeof(k->comm));
		n->socket = k->id;
		n->direction = k->direction;
		n->duration = n->r.time - k->began;
	} else {
		n->r.pid = n->r.ppid = 0;
		n->r.start = n->r.parent_start = 0;
		__builtin_memset(n->r.comm, 0, sizeof(n->r.comm));
	}
}

#endif
