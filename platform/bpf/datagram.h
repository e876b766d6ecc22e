// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Datagrams, as packets that leave and arrive: to whom a process sends, and
// what it asks of the DNS. A packet may leave when the current task has nothing
// to do with it; so it is told as the current process's only when that is
// known to use the socket. An answer is that of who has asked.

enum {
	MAX_PEERS = 16 << 10,     // to whom something was sent; the least recently used goes
	MAX_QUESTIONS = 4 << 10,  // that have no answer yet; so here
	MAX_MESSAGE = 1232,       // of the DNS: what fits into one packet everywhere
	DOMAIN = 53,
	SAME_PACKET = 10 * 1000 * 1000, // ns within which a packet passes through all devices
	CUT = 1, // of record.flags: the message is not whole
};

struct peer {
	__u64 start; // of the process
	__u32 pid;
	__u16 port, family;
	__u8 address[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PEERS);
	__type(key, struct peer);
	__type(value, __u8);
} peers SEC(".maps");

struct question {
	__u8 local[16], remote[16];
	__u16 local_port, remote_port;
	__u16 id;
	__u16 family;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_QUESTIONS);
	__type(key, struct question);
	__type(value, struct known); // who has asked, and in ends between whom; pid 0: nobody knows
} questions SEC(".maps");

struct dns_network {
	struct network n;
	__u8 message[MAX_MESSAGE];
};

// datagram is one of UDP, or UDP-Lite, in a packet.
struct datagram {
	__u8 source[16], target[16];
	__u16 source_port, target_port; // in network order
	__u16 family, protocol;
	__u16 size; // of the message, as the header says
	__u16 id;   // of a message of the DNS
	__u16 there; // bytes of the message that are in the packet's first part
	void *message;
};

// read_datagram reads the datagram of a packet whose header is at ip and whose
// first part ends at end; it returns false if there is none, or a later part of one.
inlined bool read_datagram(struct datagram *d, unsigned char *ip, unsigned char *end)
{
	__u8 head[40];
	struct {
		__u16 source, target;
		__u16 size; // of UDP-Lite: how much the sum covers
		__u16 sum, id;
	} udp;
	if (bpf_probe_read_kernel(head, sizeof(head), ip))
		return 0;
	__builtin_memset(d, 0, sizeof(*d));
	__u32 size = 40, all; // of the header; of what follows it
	if (head[0] >> 4 == 4) {
		if (head[6] & 0x1f || head[7])
			return 0;
		d->family = AF_INET;
		d->protocol = head[9];
		size = (head[0] & 15) * 4;
		all = (head[2] << 8 | head[3]) - size;
		__builtin_memcpy(d->source, head + 12, 4);
		__builtin_memcpy(d->target, head + 16, 4);
	} else {
		if (head[0] >> 4 != 6)
			return 0;
		d->family = AF_INET6;
		d->protocol = head[6];
		all = head[4] << 8 | head[5];
		__builtin_memcpy(d->source, head + 8, 16);
		__builtin_memcpy(d->target, head + 24, 16);
	}
	if (!of_datagrams(d->protocol) || ip + size + 8 > end || bpf_probe_read_kernel(&udp, sizeof(udp), ip + size))
		return 0;
	d->source_port = udp.source;
	d->target_port = udp.target;
	d->id = udp.id;
	d->size = (d->protocol == IPPROTO_UDP ? __builtin_bswap16(udp.size) : all) - 8;
	d->message = ip + size + 8;
	__u64 there = end - (ip + size + 8);
	d->there = there < d->size ? there : d->size;
	return d->size < 65528;
}

// ask makes the key of a question from what was sent.
inlined void ask(struct question *q, struct datagram *d)
{
	__builtin_memset(q, 0, sizeof(*q));
	__builtin_memcpy(q->local, d->source, 16);
	__builtin_memcpy(q->remote, d->target, 16);
	q->local_port = d->source_port;
	q->remote_port = d->target_port;
	q->id = d->id;
	q->family = d->family;
}

// answer makes the same key from what has arrived.
inlined void answer(struct question *q, struct datagram *d)
{
	__builtin_memset(q, 0, sizeof(*q));
	__builtin_memcpy(q->local, d->target, 16);
	__builtin_memcpy(q->remote, d->source, 16);
	q->local_port = d->target_port;
	q->remote_port = d->source_port;
	q->id = d->id;
	q->family = d->family;
}

inlined void fill_question(struct ends *e, struct question *q)
{
	__builtin_memcpy(e->local, q->local, 16);
	__builtin_memcpy(e->remote, q->remote, 16);
	e->local_port = q->local_port;
	e->remote_port = q->remote_port;
	e->family = q->family;
}

inlined void tell_dns(__u32 what, struct known *k, struct ends *ends, struct datagram *d)
{
	struct counters *c;
	struct dns_network *m = reserve_head(sizeof(*m), NETWORK, what, k ? k->pid : 0, current()->group_leader, &c);
	if (!m)
		return;
	__builtin_memset((void *)m + sizeof(struct record), 0, sizeof(m->n) - sizeof(struct record));
	attribute(&m->n, k);
	m->n.ends = *ends;
	m->n.direction = OUTBOUND;
	__u64 size = d->there;
	if (size > MAX_MESSAGE)
		size = MAX_MESSAGE;
	if (size < d->size)
		m->n.r.flags = CUT;
	if (what == DNS_QUERY)
		m->n.duration = 0;
	if (bpf_probe_read_kernel(m->message, size, d->message) == 0)
		m->n.size = size;
	submit(m, c);
}

// network_sent sees each packet that leaves through a device.
SEC("tp_btf/net_dev_queue")
int network_sent(__u64 *context)
{
	struct sk_buff *skb = plain(sk_buff, context[0]);
	__u64 mask = wanted_of(NETWORK) & (1 << SEND | 1 << DNS_QUERY | 1 << DNS_RESPONSE);
	if (!mask)
		return 0;
	struct sock *sk = skb->sk;
	if (!sk)
		return 0;
	__u8 state = sk->__sk_common.skc_state; // other states are no whole sockets
	if ((state != TCP_CLOSE && state != TCP_ESTABLISHED) || !of_datagrams(sk->sk_protocol))
		return 0;
	struct datagram d;
	unsigned char *end = skb->data + skb->len - skb->data_len;
	if (!read_datagram(&d, skb->head + skb->network_header, end))
		return 0;
	if (d.source_port != __builtin_bswap16(sk->__sk_common.skc_num))
		return 0; // around another packet of the socket: a tunnel
	struct known *k = known_of(sk), nobody = {};
	if (k && k->pid != current()->tgid)
		k = NULL;
	struct question q;
	struct ends ends = {};
	ask(&q, &d);
	fill_question(&ends, &q);
	ends.protocol = d.protocol;
	ends.net = sk->__sk_common.skc_net.net->ns.inum;
	bool domain = d.size >= 12 &&
		(d.target_port == __builtin_bswap16(DOMAIN) || sk->__sk_common.skc_dport == __builtin_bswap16(DOMAIN));
	if (domain) {
		struct known asked = k ? *k : nobody, *before = bpf_map_lookup_elem(&questions, &q);
		asked.began = bpf_ktime_get_boot_ns();
		if (before && asked.began - before->began < SAME_PACKET)
			return 0;
		asked.ends = ends;
		bpf_map_update_elem(&questions, &q, &asked, 0);
	}
	if (mask >> SEND & 1) {
		struct peer p = {.port = d.target_port, .family = d.family};
		__u8 yes = 1;
		if (k) {
			p.start = k->start;
			p.pid = k->pid;
		}
		__builtin_memcpy(p.address, d.target, 16);
		if (!bpf_map_lookup_elem(&peers, &p)) {
			bpf_map_update_elem(&peers, &p, &yes, 0);
			struct counters *c;
			struct network *n = tell(SEND, k, &c);
			if (n) {
				n->ends = ends;
				n->direction = OUTBOUND;
				n->duration = 0;
				n->sent = d.size;
				submit(n, c);
			}
		}
	}
	if (domain && mask >> DNS_QUERY & 1)
		tell_dns(DNS_QUERY, k, &ends, &d);
	return 0;
}

// network_received sees each packet that arrives, before it is anybody's.
SEC("tp_btf/netif_receive_skb")
int network_received(__u64 *context)
{
	struct sk_buff *skb = plain(sk_buff, context[0]);
	if (!wants(NETWORK, DNS_RESPONSE))
		return 0;
	struct datagram d;
	unsigned char *end = skb->data + skb->len - skb->data_len;
	if (!read_datagram(&d, skb->data, end) || d.size < 12)
		return 0;
	// A server on this host may have got the question on another port.
	if (d.source_port != __builtin_bswap16(DOMAIN) && !(d.family == AF_INET && d.source[0] == 127))
		return 0;
	struct question q;
	answer(&q, &d);
	struct known *asked = bpf_map_lookup_elem(&questions, &q);
	if (!asked)
		return 0;
	tell_dns(DNS_RESPONSE, asked, &asked->ends, &d);
	bpf_map_delete_elem(&questions, &q);
	return 0;
}
