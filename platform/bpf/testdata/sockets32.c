//go:build ignore

// sockets32 uses sockets by socketcall(2), as programs of 32 bits did before
// the calls of their own came.
enum { SOCKET = 1, BIND, CONNECT, LISTEN, ACCEPT, GETSOCKNAME, SENDTO = 11 };

static struct {
	unsigned short family, port;
	unsigned address, rest[2];
} at;

static int call(int what, int a, int b, int c, int d, int e, int f)
{
	volatile int args[] = {a, b, c, d, e, f};
	int result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(102), "b"(what), "c"(args) : "memory");
	return result;
}

static int open(int type, int protocol) { return call(SOCKET, 2 /* AF_INET */, type, protocol, 0, 0, 0); }

void _start(void)
{
	int size = sizeof(at), address = (int)&at;
	int listener = open(1, 0), stream = open(1, 0), datagrams = open(2, 0);
	at.family = 2;
	at.address = 0x0100007f;
	call(BIND, listener, address, size, 0, 0, 0);
	call(LISTEN, listener, 1, 0, 0, 0, 0);
	call(GETSOCKNAME, listener, address, (int)&size, 0, 0, 0);
	call(CONNECT, stream, address, size, 0, 0, 0);
	call(ACCEPT, listener, 0, 0, 0, 0, 0);
	call(SENDTO, datagrams, address, 10, 0, address, size);
	open(3, 1); // raw, ICMP
	at.family = 1;
	at.port = 'x';
	call(CONNECT, call(SOCKET, 1 /* AF_UNIX */, 1, 0, 0, 0, 0), address, 4, 0, 0, 0);
	__asm__ volatile("int $0x80" : : "a"(1), "b"(0));
}
