package bpf

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"daemoneye/platform/procfs"
)

// put writes a number of the kernel's struct at an offset.
func put(b []byte, at, size int, value uint64) {
	switch size {
	case 2:
		binary.LittleEndian.PutUint16(b[at:], uint16(value))
	case 4:
		binary.LittleEndian.PutUint32(b[at:], uint32(value))
	default:
		binary.LittleEndian.PutUint64(b[at:], value)
	}
}

// execRecord is an exec as process.bpf.c writes it.
func execRecord() []byte {
	b := make([]byte, processSize)
	put(b, 0, 8, 7)
	put(b, 8, 8, uint64(5*time.Second))
	put(b, 16, 8, uint64(4*time.Second+123))
	put(b, 24, 4, 4242)
	put(b, 28, 2, 1)
	b[30] = byte(Exec)
	put(b, 32, 8, uint64(time.Second))
	put(b, 40, 4, 1)
	copy(b[48:64], "true")
	put(b, 112, 8, 99)    // inode
	put(b, 248, 4, 8<<20) // device 8:0
	put(b, 264, 4, 1)     // links
	texts := []string{"true\x00bin\x00usr\x00", "\x00", "unit\x00system.slice\x00\x00", "/bin/true\x00", "", "/bin/true\x00x\x00", "LD_PRELOAD=y\x00"}
	put(b, 300, 4, uint64(len(texts[5])))
	put(b, 304, 4, uint64(len(texts[6])))
	for i := range 5 {
		put(b, 308+2*i, 2, uint64(len(texts[i])))
	}
	return append(b, strings.Join(texts, "")...)
}

func TestDecode(t *testing.T) {
	e, err := Decode(execRecord())
	if err != nil {
		t.Fatal(err)
	}
	p := e.Process
	if e.Kind != Exec || e.Sequence != 7 || e.CPU != 1 || e.Time != 5*time.Second || e.Start != 4*time.Second+123 || e.PID != 4242 || e.PPID != 1 ||
		e.ParentStart != time.Second || e.Name != "true" || e.Filename != "/bin/true" || e.Interp != "" {
		t.Errorf("event %+v", e)
	}
	if p.Executable != "/usr/bin/true" || p.CWD != "/" || p.Cgroup != "/system.slice/unit" || p.Cmdline != "/bin/true\x00x" || p.Environ != "LD_PRELOAD=y" ||
		p.StartTicks != 400 || p.ExecutableID.Device != 8<<8 || p.ExecutableID.Inode != 99 || p.FileExists != procfs.Exists {
		t.Errorf("process %+v", *p)
	}
}

func TestDecodeRefuses(t *testing.T) {
	whole := execRecord()
	for n := range whole {
		if _, err := Decode(whole[:n]); err == nil {
			t.Errorf("the first %d bytes of %d are a record", n, len(whole))
		}
	}
	for name, change := range map[string]func(b []byte){
		"kind":         func(b []byte) { b[30] = byte(kinds) },
		"negative pid": func(b []byte) { put(b, 24, 4, 1<<31) },
		"much text":    func(b []byte) { put(b, 300, 4, 1<<31) },
		"more text":    func(b []byte) { put(b, 308, 2, 1<<16-1) },
	} {
		b := execRecord()
		change(b)
		if e, err := Decode(b); err == nil {
			t.Errorf("%s: decoded as %+v", name, e)
		}
	}
}

func TestPath(t *testing.T) {
	for _, c := range []struct {
		in   string
		cut  bool
		want string
	}{
		{"", false, ""},
		{"\x00", false, "/"},
		{"a\x00", false, "/a"},
		{"c\x00b\x00a\x00", false, "/a/b/c"},
		{"b\x00a\x00\x00", false, "/a/b"},
		{"b\x00a\x00", true, "…/a/b"},
	} {
		if got := path([]byte(c.in), c.cut); got != c.want {
			t.Errorf("path(%q, %v) = %q, want %q", c.in, c.cut, got, c.want)
		}
	}
}

func TestState(t *testing.T) {
	for in, want := range map[uint32]byte{0: 'R', 1: 'S', 2: 'D', 4: 'T', 8: 't', 16: 'X', 32: 'Z', 64: 'P', 0x402: 'I', 0x2001: 'S'} {
		if got := state(in); got != want {
			t.Errorf("state(%#x) = %c, want %c", in, got, want)
		}
	}
}

func TestRingSize(t *testing.T) {
	for in, want := range map[int]int{0: 4 << 20, 1: 4096, 4096: 4096, 4097: 8192, 1 << 40: 1 << 30} {
		if got := (Config{RingBytes: in}).ring(); got != want {
			t.Errorf("ring of %d: %d, want %d", in, got, want)
		}
	}
}

// FuzzDecode: no bytes make Decode fail otherwise than with an error, and an
// event holds no more text than the record.
func FuzzDecode(f *testing.F) {
	f.Add(execRecord())
	f.Add(execRecord()[:processSize])
	exit := execRecord()[:endedSize]
	exit[30] = byte(Exit)
	f.Add(exit)
	f.Add(callRecord())
	f.Add(networkRecord(UnixConnect, "\x00name"))
	f.Add(fileRecord())
	f.Add(heldRecord())
	f.Add(networkRecord(DNSResponse, string(domainAnswer(f, message(f, 1, 0)))))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Decode(b)
		if err != nil {
			return
		}
		const marks = 2 * len("…")
		if c := e.Network; c != nil && len(c.Path) > len(b) {
			t.Errorf("a path of %d bytes of a record of %d", len(c.Path), len(b))
		}
		if c := e.System; c != nil && len(strings.Join(c.Texts[:], ""))+len(c.Bytes)+len(c.Path) > len(b)+marks {
			t.Errorf("%d bytes of text of a record of %d", len(strings.Join(c.Texts[:], "")), len(b))
		}
		if f := e.File; f != nil && len(f.Path)+len(f.Target)+len(f.Attribute) > len(b)+marks {
			t.Errorf("%d bytes of paths of a record of %d", len(f.Path)+len(f.Target)+len(f.Attribute), len(b))
		}
		p := e.Process
		if p == nil {
			return
		}
		if n := len(e.Filename) + len(e.Interp) + len(p.Executable) + len(p.CWD) + len(p.Cgroup) + len(p.Cmdline) + len(p.Environ); n > len(b)+marks {
			t.Errorf("%d bytes of text of a record of %d", n, len(b))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	raw := execRecord()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}
