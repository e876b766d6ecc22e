package bpf

import (
	"reflect"
	"strings"
	"testing"
)

// fileRecord is a rename of ../x, from /srv/a, to /etc/y, as files.bpf.c writes it.
func fileRecord() []byte {
	b := execRecord()[:processSize]
	clear(b[recordSize:])
	b[30] = byte(Files)
	put(b, 44, 4, FileRename)
	put(b, 72, 8, 2) // flags
	put(b, 108, 4, 13)
	texts := []string{"../x\x00", "a\x00srv\x00", "/etc/y\x00", "\x00", ""}
	for i, text := range texts {
		put(b, 112+2*i, 2, uint64(len(text)))
	}
	b[122] = byte(callNumber("renameat2"))
	return append(b, strings.Join(texts, "")...)
}

func callNumber(name string) int {
	for i, c := range fileCalls {
		if c.name == name {
			return i
		}
	}
	return -1
}

func TestDecodeFile(t *testing.T) {
	e, err := Decode(fileRecord())
	if err != nil {
		t.Fatal(err)
	}
	want := &File{Call: "renameat2", Path: "/srv/x", Target: "/etc/y", Flags: 2, Errno: 13}
	if e.What != FileRename || e.PID != 4242 || !reflect.DeepEqual(e.File, want) {
		t.Errorf("event %d of %d: %+v, want %+v", e.What, e.PID, e.File, want)
	}
}

func TestDecodeFileRefuses(t *testing.T) {
	whole := fileRecord()
	for n := range whole {
		if _, err := Decode(whole[:n]); err == nil {
			t.Errorf("the first %d bytes of %d are a record", n, len(whole))
		}
	}
	for name, change := range map[string]func(b []byte){
		"event":     func(b []byte) { put(b, 44, 4, fileEvents) },
		"no call":   func(b []byte) { b[122] = 0 },
		"call":      func(b []byte) { b[122] = byte(len(fileCalls)) },
		"more text": func(b []byte) { put(b, 116, 2, 1<<16-1) },
	} {
		b := fileRecord()
		change(b)
		if e, err := Decode(b); err == nil {
			t.Errorf("%s: decoded as %+v", name, e.File)
		}
	}
}

func TestAbsolute(t *testing.T) {
	for _, c := range []struct{ passed, directory, want string }{
		{"x", "/a", "/a/x"},
		{"../x", "/a", "/x"},
		{"../../x", "/a", "/x"},
		{"./x//y/", "/", "/x/y"},
		{"/x", "/", "/x"},
		{"/../../x", "/srv/jail", "/srv/jail/x"},
		{"", "/a", "/a"},
		{"x", "", "x"}, // its directory is not known
		{"../x", "…/a/b", "…/a/x"},
		{"", "", ""},
	} {
		if got := absolute(c.passed, c.directory); got != c.want {
			t.Errorf("absolute(%q, %q) = %q, want %q", c.passed, c.directory, got, c.want)
		}
	}
}

// TestFileCalls: no two calls have one number, and none is beyond the tables.
func TestFileCalls(t *testing.T) {
	for column, number := range map[string]func(fileCall) uint16{
		"amd64": func(c fileCall) uint16 { return c.amd64 }, "arm64": func(c fileCall) uint16 { return c.arm64 },
		"i386": func(c fileCall) uint16 { return c.i386 }, "arm": func(c fileCall) uint16 { return c.arm },
	} {
		seen := map[uint16]string{}
		for _, c := range fileCalls[1:] {
			n := number(c)
			if seen[n] != "" && n != 0 || n >= 576 {
				t.Errorf("%s: %s has number %d, %q too", column, c.name, n, seen[n])
			}
			seen[n] = c.name
		}
	}
}

func TestBehind(t *testing.T) {
	for _, c := range []struct {
		passed string
		skip   int
		want   string
	}{{"/proc/self/cwd/x", 15, "x"}, {"/proc/self/cwd//../x", 15, "../x"}, {"/dev/fd/3", 9, ""}, {"/x", 0, "/x"}, {"/x", 3, "/x"}} {
		if got := behind(c.passed, c.skip); got != c.want {
			t.Errorf("behind(%q, %d) = %q, want %q", c.passed, c.skip, got, c.want)
		}
	}
}
