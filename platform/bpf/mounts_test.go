package bpf

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseMounts(t *testing.T) {
	got := parseMounts([]byte(strings.Join([]string{
		`22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw`,
		`23 22 0:40 /@/a\040b\134\011 /home/x\012y rw - btrfs /dev/sda rw`,
		`24 22 0:4 net:[4026531840] /run/netns/x rw - nsfs nsfs rw`,
		`25 22 1048576:0 / /mnt rw - ext4 x rw`, `26 22 8 / /mnt rw - ext4 x rw`, `27 22 0:1`, ``, "\x00",
		`28 22 0:1048575 /end\04 /mnt\9 rw`,
	}, "\n")))
	want := []mount{{254 << 20, "/", "/"}, {40, "/@/a b\\\t", "/home/x\ny"}, {1<<20 - 1, "/end\\04", "/mnt\\9"}}
	if !slices.Equal(got, want) {
		t.Errorf("mounts %+v, want %+v", got, want)
	}
}

// begin is begin_of of files.bpf.c.
func begin(raw []byte, device uint32) uint32 {
	slot := device * 0x9e3779b1 >> 22
	for range maxBeginProbes {
		b := raw[beginsAt+8*(slot%maxBegins):]
		if state := binary.LittleEndian.Uint32(b[4:]); state == 0 || binary.LittleEndian.Uint32(b) == device {
			return state
		}
		slot++
	}
	return 0
}

// TestWatchInside: a path within a file system is watched as one to which a
// mount takes it, and has that path.
func TestWatchInside(t *testing.T) {
	const disk, home, shm, other = 254 << 20, 8<<20 | 1, 25, 40
	w, err := watchTables([]string{"/etc", "/home/*/.ssh", "/dev/shm"}, []string{"/home/*/.aws/key"}, []mount{
		{disk, "/", "/"},
		{disk, "/etc", "/tmp/bound"},
		{disk, "/srv/users", "/home/old"},
		{disk, "/srv/other", "/srv"},
		{home, "/@home", "/home"},
		{home, "/@", "/mnt"},
		{shm, "/", "/dev/shm"},
		{other, "/", "/opt"},
		{disk, "/star", "/home/*"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := begin(w.raw, disk); got == root {
		t.Errorf("paths of the disk go on as those of the root, though /home/old is from there too")
	}
	if got := begin(w.raw, other); got != 0 {
		t.Errorf("nothing below /opt is watched, and it begins with %d", got)
	}
	for _, c := range []struct {
		device  uint32
		path    string
		watched uint16
		outside string
	}{
		{disk, "/etc/shadow", watchChanges, "/etc/shadow"},
		{disk, "/etc", watchChanges, "/etc"},
		{disk, "/", 0, "/"},
		{disk, "/home/ana/.ssh/x", watchChanges, "/home/ana/.ssh/x"},
		{disk, "/srv/users/.ssh/x", watchChanges, "/home/old/.ssh/x"},
		{disk, "/srv/users2/.ssh/x", 0, ""},
		{disk, "/srv/other/.ssh/x", 0, ""},
		{disk, "/star/.ssh", 0, ""},
		{disk, "/tmp/bound/shadow", 0, ""},
		{home, "/@home/ana/.ssh", watchChanges, "/home/ana/.ssh"},
		{home, "/@home/ana/.aws/key", watchReads, "/home/ana/.aws/key"},
		{home, "/@home/ana", 0, "/home/ana"},
		{home, "/@/etc/shadow", 0, ""},
		{shm, "/x", watchChanges, "/dev/shm/x"},
		{shm, "/", watchChanges, "/dev/shm"},
		{other, "/etc/shadow", 0, ""},
	} {
		if got := look(w.raw, begin(w.raw, c.device), c.path); got != c.watched {
			t.Errorf("%q of %d is watched as %d, want %d", c.path, c.device, got, c.watched)
		}
		if got := w.outside(c.device, c.path); got != c.outside {
			t.Errorf("%q of %d is %q, want %q", c.path, c.device, got, c.outside)
		}
	}
	w, err = watchTables([]string{"/etc", "/home/*/.ssh"}, nil, []mount{{disk, "/", "/"}, {disk, "/", "/mnt"}, {disk, "/usr", "/usr"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := begin(w.raw, disk); got != root {
		t.Errorf("paths of the disk begin with %d and are walked twice, want %d", got, root)
	}
}

// TestWatchDevices: of more file systems than there is room for the first count.
func TestWatchDevices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		devices := rapid.SliceOfNDistinct(rapid.Uint32Range(1, 1<<24), 0, maxDevices+10, rapid.ID).Draw(t, "devices")
		var mounts []mount
		for _, d := range devices {
			mounts = append(mounts, mount{d, "/", "/home/x"})
		}
		w, err := watchTables([]string{"/home/*/.ssh"}, nil, mounts)
		if err != nil {
			t.Skip(err) // numbers too much alike
		}
		for i, d := range devices {
			if got, want := begin(w.raw, d) != 0, i < maxDevices; got != want {
				t.Errorf("device %d, the %dth, is known: %v", d, i, got)
			}
		}
	})
}

func TestPlace(t *testing.T) {
	w, err := watchTables([]string{"/etc"}, nil, []mount{{1, "/", "/"}})
	if err != nil {
		t.Fatal(err)
	}
	f := &File{Path: "/tmp/x/shadow", Target: "/tmp/x/y", PathCut: true, inner: "/etc/shadow", innerDevice: 1, targetInner: "/etc/y", targetInnerDevice: 2}
	if w.place(f); f.Path != "/etc/shadow" || f.Target != "/tmp/x/y" || f.Accessed != "/tmp/x/shadow" || f.PathCut {
		t.Errorf("%+v", f)
	}
	f = &File{Path: "/etc/shadow", inner: "/etc/shadow", innerDevice: 1}
	if w.place(f); f.Path != "/etc/shadow" || f.Accessed != "" {
		t.Errorf("%+v", f)
	}
}
