//go:build ignore

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// What processes do to the network, as records in the ring buffer. network.go
// reads them; the layout of struct network is told there too.
//
// A connection changes its state in an interrupt as well, in which the current
// task has nothing to do with it. Who owns a socket is therefore noted when a
// process uses it in a system call, and nobody is named where that is not known.

#include "network.h"
#include "syscall.h"

char LICENSE[] SEC("license") = "GPL";

// wanted_of returns what of a kind is wanted: a bit for each of what can happen.
inlined __u64 wanted_of(__u32 kind)
{
	__u64 *mask = bpf_map_lookup_elem(&wanted, &kind);
	return mask ? *mask : 0;
}

// wants_datagrams reports whether it matters who uses a socket of datagrams.
inlined bool wants_datagrams(void)
{
	return wanted_of(NETWORK) & (1 << SEND | 1 << DNS_QUERY | 1 << DNS_RESPONSE);
}

// What a system call is.
enum {
	CALL_SOCKET = 1,
	CALL_CONNECT,
	CALL_LISTEN,
	CALL_ACCEPT,
	CALL_SEND, // or another call by which a process shows that it uses a socket
	CALL_SOCKETCALL, // of 32 bits: any of these, by its first argument
};

enum {
	EINTR = 4,
	EALREADY = 114,
	EISCONN = 106,
	EINPROGRESS = 115,
	ECANCELED = 125,
	ERESTARTSYS = 512,
};

// know notes that the current process uses a socket.
inlined void know(struct known *k, struct sock *sk, __u8 direction)
{
	struct task_struct *leader = current()->group_leader;
	struct task_struct *parent = leader->real_parent;
	struct task_struct *father = parent->group_leader;
	__builtin_memset(k, 0, sizeof(*k));
	k->began = bpf_ktime_get_boot_ns();
	k->id = k->began << 8 ^ bpf_get_smp_processor_id();
	k->start = leader->start_boottime;
	k->parent_start = father->start_boottime;
	k->pid = leader->tgid;
	k->ppid = father->tgid;
	copy(k->comm, leader->comm);
	k->direction = direction;
	__u64 key = (__u64)sk;
	bpf_map_update_elem(&sockets, &key, k, 0);
}

inlined void forget(struct sock *sk)
{
	__u64 key = (__u64)sk;
	bpf_map_delete_elem(&sockets, &key);
}

// tell begins a record.
inlined struct network *tell(__u32 what, struct known *k, struct counters **c)
{
	struct network *n = reserve_of(sizeof(*n), NETWORK, what, k ? k->pid : 0, current()->group_leader, c);
	if (n)
		attribute(n, k);
	return n;
}

// tell_failure tells of a connection that was not made.
inlined void tell_failure(struct known *k, struct ends *ends, __u32 error)
{
	if (!wants(NETWORK, CONNECT))
		return;
	struct counters *c;
	struct network *n = tell(CONNECT, k, &c);
	if (!n)
		return;
	n->direction = OUTBOUND;
	n->ends = *ends;
	n->result = error ? error : ECANCELED;
	submit(n, c);
}

inlined void connected(struct sock *sk)
{
	struct known *k = known_of(sk);
	if (k)
		k->state |= CONNECTED;
	if (!wants(NETWORK, CONNECT))
		return;
	struct counters *c;
	struct network *n = tell(CONNECT, k, &c);
	if (!n)
		return;
	n->direction = OUTBOUND;
	fill_ends(&n->ends, sk);
	submit(n, c);
}

inlined void tell_listen(struct known *k, struct sock *sk)
{
	k->state |= TOLD;
	if (!wants(NETWORK, LISTEN))
		return;
	struct counters *c;
	struct network *n = tell(LISTEN, k, &c);
	if (!n)
		return;
	n->duration = 0;
	fill_ends(&n->ends, sk);
	submit(n, c);
}

inlined void closed(struct sock *sk, int from)
{
	struct known *k = known_of(sk);
	if (k && k->direction == OUTBOUND && !(k->state & CONNECTED)) {
		struct ends ends = {};
		if (k->state & (FAILED | TOLD))
			return;
		fill_ends(&ends, sk);
		if (k->state & RETURNED) {
			tell_failure(k, &ends, sk->sk_err);
			k->state |= TOLD; // connect(2) may be asked for the error
			return;
		}
		k->ends = ends;
		k->error = sk->sk_err;
		k->state |= FAILED;
		return;
	}
	if (from == TCP_SYN_SENT || from == TCP_CLOSE || (from == TCP_SYN_RECV && !k))
		return; // nothing was there
	if (wants(NETWORK, CLOSE)) {
		struct counters *c;
		struct network *n = tell(CLOSE, k, &c);
		if (n) {
			struct tcp_sock *tcp = (void *)sk;
			__u64 again = 0, flags = 0;
			fill_ends(&n->ends, sk);
			copy(n->sent, tcp->bytes_sent);
			copy(again, tcp->bytes_retrans);
			copy(n->received, tcp->bytes_received);
			copy(flags, sk->__sk_common.skc_flags);
			n->sent -= again;
			if (n->received && flags >> SOCK_DONE & 1)
				n->received--; // the end is counted as one
			n->result = sk->sk_err;
			submit(n, c);
		}
	}
	if (k)
		forget(sk);
}

SEC("tp_btf/inet_sock_set_state")
int network_state(__u64 *context)
{
	struct sock *sk = plain(sock, context[0]);
	int from = context[1], to = context[2];
	struct known k;
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	switch (to) {
	case TCP_SYN_SENT:
		know(&k, sk, OUTBOUND);
		break;
	case TCP_ESTABLISHED:
		if (from == TCP_SYN_SENT)
			connected(sk);
		break;
	case TCP_LISTEN:
		know(&k, sk, LISTENING);
		if (sk->__sk_common.skc_num) { // else it gets one, and listen(2) tells
			struct known *now = known_of(sk);
			if (now)
				tell_listen(now, sk);
		}
		break;
	case TCP_CLOSE:
		closed(sk, from);
		break;
	}
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int network_destroyed(__u64 *context)
{
	struct sock *sk = plain(sock, context[0]);
	struct known *k = known_of(sk);
	if (!k)
		return 0;
	if ((k->state & (FAILED | TOLD)) == FAILED) // no connect(2) has told it
		tell_failure(k, &k->ends, k->error);
	forget(sk);
	return 0;
}

struct call {
	struct task_struct *t;
	__u64 argument[3];
	long result;
};

// tell_socket tells of a socket that sees or makes any packet.
inlined void tell_socket(struct call *call)
{
	__u16 family = call->argument[0];
	__u8 type = call->argument[1] & 15;
	if (family == AF_INET && type == SOCK_PACKET)
		family = AF_PACKET;
	if (family != AF_PACKET && family != AF_XDP && !(type == SOCK_RAW && (family == AF_INET || family == AF_INET6)))
		return;
	if (!wants(NETWORK, SOCKET))
		return;
	struct counters *c;
	struct network *n = reserve(sizeof(*n), NETWORK, SOCKET, call->t->group_leader, &c);
	if (!n)
		return;
	n->type = type;
	n->ends.family = family;
	n->ends.protocol = call->argument[2];
	n->ends.net = call->t->nsproxy->net_ns->ns.inum;
	n->result = call->result < 0 ? -call->result : 0;
	submit(n, c);
}

inlined void tell_unix(struct call *call)
{
	if (!wants(NETWORK, UNIX_CONNECT))
		return;
	struct counters *c;
	struct unix_network *u = reserve(sizeof(*u), NETWORK, UNIX_CONNECT, call->t->group_leader, &c);
	if (!u)
		return;
	u->n.direction = OUTBOUND;
	u->n.ends.family = AF_UNIX;
	u->n.ends.net = call->t->nsproxy->net_ns->ns.inum;
	u->n.result = call->result < 0 ? -call->result : 0;
	__u32 size = call->argument[2] - 2; // behind the family
	if (size > MAX_UNIX_PATH)
		size = MAX_UNIX_PATH;
	if (bpf_probe_read_user(u->path, size, (void *)(call->argument[1] + 2)) == 0)
		u->n.size = size;
	submit(u, c);
}

// tell_vsock tells of a socket between virtual machines and their host.
inlined void tell_vsock(struct call *call, __u32 what, __u8 direction, struct sock *sk)
{
	if (!wants(NETWORK, what))
		return;
	struct counters *c;
	struct network *n = reserve(sizeof(*n), NETWORK, what, call->t->group_leader, &c);
	if (!n)
		return;
	n->direction = direction;
	n->result = call->result < 0 ? -call->result : 0;
	fill_vsock(&n->ends, sk);
	submit(n, c);
}

// asked reads the address that connect(2) was given.
inlined void asked(struct ends *ends, struct call *call)
{
	struct {
		__u16 family, port;
		__u8 v4[4], v6[16];
	} a = {};
	__u32 size = call->argument[2];
	if (size > sizeof(a))
		size = sizeof(a);
	if (bpf_probe_read_user(&a, size, (void *)call->argument[1]))
		return;
	__builtin_memset(ends->remote, 0, sizeof(ends->remote));
	ends->remote_port = a.port;
	if (a.family == AF_INET6) {
		ends->family = AF_INET6;
		__builtin_memcpy(ends->remote, a.v6, 16);
	} else if (a.family == AF_INET) {
		ends->family = AF_INET;
		__builtin_memset(ends->local, 0, sizeof(ends->local));
		__builtin_memcpy(ends->remote, a.v4, 4);
	}
}

inlined __u16 family_of(struct sock *sk)
{
	__u16 family = 0;
	copy(family, sk->__sk_common.skc_family);
	return family;
}

// protocol_of returns the protocol of a socket of the internet families, else 0.
inlined __u16 protocol_of(struct sock *sk)
{
	__u16 family = family_of(sk), protocol = 0;
	if (family == AF_INET || family == AF_INET6)
		copy(protocol, sk->sk_protocol);
	return protocol;
}

inlined bool of_datagrams(__u16 protocol) { return protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE; }

// use_datagrams notes who uses a socket of datagrams.
inlined void use_datagrams(struct call *call, struct sock *sk)
{
	if (!sk || !of_datagrams(protocol_of(sk)))
		return;
	struct known *k = known_of(sk), now;
	if (!k || k->pid != call->t->tgid)
		know(&now, sk, OUTBOUND);
}

inlined void connect_returned(struct call *call)
{
	struct sock *sk = sock_of(call->t, call->argument[0]);
	if (!sk)
		return;
	__u16 family = family_of(sk);
	if (family == AF_UNIX)
		tell_unix(call);
	if (family == AF_VSOCK && call->result != -EALREADY && call->result != -EISCONN && call->result != -ERESTARTSYS)
		tell_vsock(call, CONNECT, OUTBOUND, sk);
	__u16 protocol = protocol_of(sk);
	if (of_datagrams(protocol) && wants_datagrams())
		use_datagrams(call, sk);
	if (protocol != IPPROTO_TCP || !call->result)
		return;
	struct known *k = known_of(sk);
	switch (-call->result) {
	case EINPROGRESS:
	case EINTR:
	case ERESTARTSYS:
		if (k)
			k->state |= RETURNED;
		return;
	case EALREADY:
	case EISCONN:
		return;
	}
	if (!k) { // before anything was sent
		struct known now;
		struct ends ends = {};
		fill_ends(&ends, sk);
		asked(&ends, call);
		know(&now, sk, OUTBOUND);
		tell_failure(&now, &ends, -call->result);
		forget(sk);
		return;
	}
	if (k->state & FAILED)
		tell_failure(k, &k->ends, -call->result);
	if (k->state & (FAILED | TOLD))
		forget(sk);
}

inlined void listen_returned(struct call *call)
{
	struct sock *sk = call->result ? NULL : sock_of(call->t, call->argument[0]);
	if (!sk)
		return;
	if (family_of(sk) == AF_VSOCK)
		tell_vsock(call, LISTEN, LISTENING, sk);
	struct known *k = known_of(sk);
	if (k && k->direction == LISTENING && !(k->state & TOLD))
		tell_listen(k, sk);
}

inlined void accept_returned(struct call *call)
{
	struct sock *sk = call->result < 0 ? NULL : sock_of(call->t, call->result);
	if (!sk)
		return;
	if (family_of(sk) == AF_VSOCK)
		tell_vsock(call, ACCEPT, INBOUND, sk);
	__u16 protocol = protocol_of(sk);
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP)
		return;
	struct known k;
	know(&k, sk, INBOUND);
	if (!wants(NETWORK, ACCEPT))
		return;
	struct counters *c;
	struct network *n = tell(ACCEPT, &k, &c);
	if (!n)
		return;
	n->duration = 0;
	fill_ends(&n->ends, sk);
	submit(n, c);
}

// of_socketcall returns what a call of socketcall(2) is, and reads its arguments.
inlined __u8 of_socketcall(struct call *call)
{
	__u32 arguments[3] = {};
	__u64 number = call->argument[0];
	bpf_probe_read_user(arguments, sizeof(arguments), (void *)call->argument[1]);
	for (int i = 0; i < 3; i++)
		call->argument[i] = arguments[i];
	switch (number) {
	case 1:
		return CALL_SOCKET;
	case 2:
	case 11:
	case 16:
	case 20:
		return CALL_SEND;
	case 3:
		return CALL_CONNECT;
	case 4:
		return CALL_LISTEN;
	case 5:
	case 18:
		return CALL_ACCEPT;
	}
	return 0;
}

SEC("tp_btf/sys_exit")
int network_call(__u64 *context)
{
	struct pt_regs *regs = (void *)context[0];
	struct call call = {.t = current(), .result = context[1]};
	bool compat = is_compat(regs, call.t);
	__u8 what = call_of(regs, compat);
	if (!what)
		return 0;
	for (int i = 0; i < 3; i++)
		call.argument[i] = argument(regs, compat, i);
	if (what == CALL_SOCKETCALL)
		what = of_socketcall(&call);
	switch (what) {
	case CALL_SOCKET:
		tell_socket(&call);
		if ((call.argument[1] & 15) == SOCK_DGRAM && call.result >= 0 && wants_datagrams())
			use_datagrams(&call, sock_of(call.t, call.result));
		break;
	case CALL_SEND:
		if (wants_datagrams())
			use_datagrams(&call, sock_of(call.t, call.argument[0]));
		break;
	case CALL_CONNECT:
		connect_returned(&call);
		break;
	case CALL_LISTEN:
		listen_returned(&call);
		break;
	case CALL_ACCEPT:
		accept_returned(&call);
		break;
	}
	return 0;
}

#include "datagram.h"
