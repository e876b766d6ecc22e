package bpf

import "math/bits"

// Config tunes a Source; the zero value is the default.
type Config struct {
	RingBytes   int  // of the ring buffer, up to a power of two; 0: 4 MiB
	Environment bool // whether all variables are kept, and not only those that can change what a program does
	NoLoop      bool // do as if the kernel had no bpf_loop
	UnixSockets bool // Unix sockets are listed as well
}

func (c Config) ring() int {
	const page, least, most = 4096, 4096, 1 << 30
	if c.RingBytes <= 0 {
		return 4 << 20
	}
	return min(max(1<<bits.Len(uint(c.RingBytes-1)), least), most)
}

// Stats counts records by Kind. Once all have been read, Sent = Received + Lost.
type Stats struct {
	Sent      [kinds]uint64 // by the programs
	Lost      [kinds]uint64 // of them, for which there was no room in the ring buffer
	Held      [kinds]uint64 // of the lost, those held back so that others have room
	Received  [kinds]uint64
	Missing   uint64 // numbers that were left out between two received records: those lost
	Malformed uint64 // received and not understood
}

// Total returns the sum over all kinds.
func Total(counts [kinds]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// name is the begin of an environment variable's name, struct name of
// process.bpf.c.
type name struct {
	Value, Mask uint64
}

// variables returns the begins, of at most eight bytes, of the variables that
// are always kept: those that make a program load other code, or hide what it
// does. See ld.so(8) for LD_.
func variables() (list [32]name) {
	for i, prefix := range []string{
		"LD_", "GCONV_PA", "BASH_ENV", "BASH_FUN", "ENV=", "PROMPT_C", "SHELLOPT", "HISTFILE", "HISTCONT", "HISTSIZE",
		"PYTHONPA", "PYTHONST", "PYTHONHO", "PERL5", "RUBYOPT=", "RUBYLIB=", "NODE_OPT", "NODE_PAT", "JAVA_TOO",
		"_JAVA_OP", "JDK_JAVA", "CLASSPAT", "DOTNET_S", "CORECLR_", "GIT_SSH", "GIT_EXTE", "PAGER=", "EDITOR=", "OPENSSL_", "SSLKEYLO",
	} {
		for k := range len(prefix) {
			list[i].Value |= uint64(prefix[k]) << (8 * k)
			list[i].Mask |= 0xff << (8 * k)
		}
	}
	return list
}
