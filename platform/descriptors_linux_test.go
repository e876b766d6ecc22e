package platform

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDescriptors(t *testing.T) {
	own, err := OpenDescriptors(0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = own.Close() }()
	before, err := own.Kinds()
	if err != nil || before["directory"] < 1 {
		t.Fatalf("Kinds = %v, %v, want one directory at least", before, err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	var pair [2]int
	if err := unix.Pipe2(pair[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	sockets, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := maps.Clone(before)
	for kind, n := range map[string]int{"file": 1, "pipe": 2, "socket": 2, "eventfd": 1, "device": 1} {
		want[kind] += n
	}
	got, err := own.Kinds()
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("Kinds = %v, %v, want %v", got, err, want)
	}
	_ = file.Close()
	for _, fd := range []int{pair[0], pair[1], sockets[0], sockets[1], event, null} {
		_ = unix.Close(fd)
	}
	if got, err := own.Kinds(); err != nil || !maps.Equal(got, before) {
		t.Errorf("after they were closed Kinds = %v, %v, want %v", got, err, before)
	}
}
