//go:build ignore

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// The sockets there are: those that processes have open, in all network
// namespaces, and those of this one that nobody has open. connections.go reads
// the records, each of which stands behind its size.

#include "network.h"

char LICENSE[] SEC("license") = "GPL";

volatile const bool with_unix = 0; // Unix sockets are told as well

struct udp_sock;

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
} relocated;

struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
} relocated;

struct sockaddr_un {
	__u16 sun_family;
	char sun_path[MAX_UNIX_PATH];
} relocated;

struct unix_address {
	int len; // with the family
	struct sockaddr_un name[1];
} relocated;

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
} relocated;

struct connection {
	struct network n;
	__u64 key; // of the socket, while it is open
	__u64 inode;
	__u32 uid;
	__u8 state;
	__u8 whole; // inode and uid are known
	__u8 open; // by the process
	__u8 unused;
	char path[MAX_UNIX_PATH];
};

_Static_assert(sizeof(struct connection) == 152 + 24 + MAX_UNIX_PATH + 4 /* padding */, "as in connections.go");

// name reads the path of a Unix socket, which then is what has a size.
inlined void name(struct connection *c, struct sock *sk)
{
	struct unix_sock *u = (void *)sk;
	struct unix_address *a = NULL;
	int size = 0;
	copy(a, u->addr);
	if (!a)
		return;
	copy(size, a->len);
	size -= 2;
	if (size <= 0)
		return;
	if (size > MAX_UNIX_PATH)
		size = MAX_UNIX_PATH;
	if (bpf_probe_read_kernel(c->path, size, (void *)address(a->name) + 2) == 0)
		c->n.size = size;
}

inlined void whole(struct connection *c, struct sock *sk, struct file *file)
{
	struct socket *socket = NULL;
	struct inode *inode = NULL;
	if (!file) {
		copy(socket, sk->sk_socket);
		if (socket)
			copy(file, socket->file);
	}
	if (file && !copy(inode, file->f_inode))
		copy(c->inode, inode->i_ino);
	copy(c->uid, sk->sk_uid.val);
	c->whole = 1;
	if (c->n.ends.family == AF_UNIX) {
		struct unix_sock *u = (void *)sk;
		struct sock *peer = NULL;
		name(c, sk);
		if (!c->n.size && !copy(peer, u->peer) && peer)
			name(c, peer);
		return;
	}
	fill_ends(&c->n.ends, sk);
	if (c->n.ends.protocol == IPPROTO_TCP) {
		struct tcp_sock *tcp = (void *)sk;
		__u64 again = 0;
		copy(c->n.sent, tcp->bytes_sent);
		copy(again, tcp->bytes_retrans);
		copy(c->n.received, tcp->bytes_received);
		c->n.sent -= again;
	}
}

// write writes the record of a socket, and of its owner; NULL: nobody has it
// open as far as this iterator sees, but somebody may have used it.
inlined void write(struct seq_file *seq, struct sock *sk, __u16 protocol, struct task_struct *owner, struct file *file)
{
	struct connection c;
	struct known *k = known_of(sk);
	__builtin_memset(&c, 0, sizeof(c));
	fill_common(&c.n.ends, sk);
	c.n.ends.protocol = protocol;
	copy(c.state, sk->__sk_common.skc_state);
	c.key = (__u64)sk;
	if (c.state != TCP_TIME_WAIT && c.state != TCP_NEW_SYN_RECV)
		whole(&c, sk, file);
	if (owner) {
		c.open = 1;
		fill_record(&c.n.r, 0, NETWORK, HELD, 0, owner->group_leader);
		if (k) {
			c.n.socket = k->id;
			c.n.direction = k->direction;
			c.n.duration = c.n.r.time - k->began;
		}
	} else {
		c.n.r.time = bpf_ktime_get_boot_ns();
		c.n.r.kind = NETWORK;
		c.n.r.what = HELD;
		attribute(&c.n, k);
	}
	__u32 size = sizeof(c);
	// When the buffer is full it is emptied, and this socket read again.
	bpf_seq_write(seq, &size, sizeof(size));
	bpf_seq_write(seq, &c, sizeof(c));
}

SEC("iter/task_file")
int connections_open(struct bpf_iter__task_file *context)
{
	struct task_struct *t = context->task;
	struct file *file = context->file;
	if (!t || !file)
		return 0;
	struct sock *sk = sock_of_file(file);
	if (!sk)
		return 0;
	__u16 family = 0, protocol = 0;
	copy(family, sk->__sk_common.skc_family);
	if (family == AF_UNIX) {
		if (!with_unix)
			return 0;
	} else if (family == AF_INET || family == AF_INET6) {
		__u16 number = 0;
		copy(protocol, sk->sk_protocol);
		copy(number, sk->__sk_common.skc_num);
		if (!number || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_MPTCP))
			return 0;
	} else {
		return 0;
	}
	write(context->meta->seq, sk, protocol, t, file);
	return 0;
}

SEC("iter/tcp")
int connections_tcp(struct bpf_iter__tcp *context)
{
	struct sock *sk = (void *)context->sk_common;
	if (sk)
		write(context->meta->seq, sk, IPPROTO_TCP, NULL, NULL);
	return 0;
}

SEC("iter/udp")
int connections_udp(struct bpf_iter__udp *context)
{
	struct sock *sk = (void *)context->udp_sk;
	if (sk)
		write(context->meta->seq, sk, IPPROTO_UDP, NULL, NULL);
	return 0;
}
