// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Sockets: what is read of the kernel's, and from a descriptor to the socket.

#ifndef SOCKET_H
#define SOCKET_H

#include "record.h"

enum {
	AF_UNIX = 1,
	AF_INET = 2,
	AF_INET6 = 10,
	AF_PACKET = 17,
	AF_VSOCK = 40,
	AF_XDP = 44,
	SOCK_DGRAM = 2,
	SOCK_RAW = 3,
	SOCK_PACKET = 10, // obsolete, as AF_PACKET
	IPPROTO_TCP = 6,
	IPPROTO_UDP = 17,
	IPPROTO_UDPLITE = 136,
	IPPROTO_MPTCP = 262,
	S_IFMT = 0170000,
	S_IFSOCK = 0140000,
	SOCK_DONE = 1, // a bit of sk_flags: the other side has ended
};

enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_LISTEN = 10,
	TCP_NEW_SYN_RECV = 12,
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	__u8 bytes[16];
};

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport; // in network order
	__u16 skc_num;
	__u16 skc_family;
	__u8 skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	unsigned long skc_flags;
} relocated;

struct socket;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	__u16 sk_type;
	int sk_err;
	kuid_t sk_uid;
	struct socket *sk_socket;
} relocated;

struct inet_sock {
	__u16 inet_sport; // in network order
} relocated;

struct tcp_sock {
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_retrans;
} relocated;

struct socket {
	struct sock *sk;
	struct file *file;
} relocated;

struct file___socket {
	void *private_data;
} relocated;

struct net_device {
	possible_net_t nd_net;
} relocated;

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	__u32 len, data_len;
	__u16 network_header;
	__u16 protocol; // in network order
	unsigned char *head, *data;
} relocated;

// ends is what a connection is between. An address of IPv4 is in the first
// four bytes; ports are in network order. Of vsock(7) port and context id are
// in the first eight bytes, as words.
struct ends {
	__u8 local[16], remote[16];
	__u16 local_port, remote_port;
	__u16 family;
	__u16 protocol;
	__u32 net; // namespace
};

// fill_common reads what also a connection has of which the kernel keeps no
// whole socket: one that waits for its end, or begins.
inlined void fill_common(struct ends *e, struct sock *sk)
{
	struct net *net = NULL;
	__u16 number = 0;
	copy(e->family, sk->__sk_common.skc_family);
	copy(e->remote_port, sk->__sk_common.skc_dport);
	copy(number, sk->__sk_common.skc_num);
	e->local_port = __builtin_bswap16(number);
	copy(net, sk->__sk_common.skc_net.net);
	if (net)
		copy(e->net, net->ns.inum);
	if (e->family == AF_INET6) {
		bpf_probe_read_kernel(e->local, 16, address(sk->__sk_common.skc_v6_rcv_saddr));
		bpf_probe_read_kernel(e->remote, 16, address(sk->__sk_common.skc_v6_daddr));
	} else {
		bpf_probe_read_kernel(e->local, 4, address(sk->__sk_common.skc_rcv_saddr));
		bpf_probe_read_kernel(e->remote, 4, address(sk->__sk_common.skc_daddr));
	}
}

// fill_ends reads a socket of the internet families.
inlined void fill_ends(struct ends *e, struct sock *sk)
{
	struct inet_sock *inet = (void *)sk;
	__u16 port = 0;
	fill_common(e, sk);
	copy(e->protocol, sk->sk_protocol);
	copy(port, inet->inet_sport);
	if (port) // stays when the number goes
		e->local_port = port;
}

// struct sockaddr_vm
struct vsock_address {
	__u16 family, reserved;
	__u32 port, cid;
	__u32 rest;
};

// fill_vsock reads the addresses of struct vsock_sock, which may be a module's,
// so that its type is not told: they stand behind struct sock and a pointer.
inlined void fill_vsock(struct ends *e, struct sock *sk)
{
	struct vsock_address a[2] = {};
	struct net *net = NULL;
	e->family = AF_VSOCK;
	copy(net, sk->__sk_common.skc_net.net);
	if (net)
		copy(e->net, net->ns.inum);
	if (bpf_probe_read_kernel(a, sizeof(a), (void *)sk + size_of(struct sock) + sizeof(void *)) || a[0].family != AF_VSOCK)
		return;
	__builtin_memcpy(e->local, &a[0].port, 8);
	__builtin_memcpy(e->remote, &a[1].port, 8);
}

// sock_of_file returns the socket that a file is, NULL if it is none.
inlined struct sock *sock_of_file(struct file *file)
{
	struct inode *inode = NULL;
	struct socket *socket = NULL;
	struct sock *sk = NULL;
	__u16 mode = 0;
	if (copy(inode, file->f_inode) || copy(mode, inode->i_mode) || (mode & S_IFMT) != S_IFSOCK)
		return NULL;
	struct file___socket *with = (void *)file;
	copy(socket, with->private_data);
	copy(sk, socket->sk);
	return sk;
}

// sock_of returns the socket of a descriptor of the current process, NULL if it
// is none.
inlined struct sock *sock_of(struct task_struct *t, __u64 fd)
{
	struct files_struct *files = t->files;
	if (!files)
		return NULL;
	struct fdtable *table = files->fdt;
	if (!table || (__u32)fd >= table->max_fds)
		return NULL;
	struct file **slots = NULL, *file = NULL;
	copy(slots, table->fd);
	if (bpf_probe_read_kernel(&file, sizeof(file), slots + (__u32)fd) || !file)
		return NULL;
	return sock_of_file(file);
}

#endif
