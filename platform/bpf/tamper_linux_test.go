//go:build amd64 || arm64

package bpf

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"

	"github.com/cilium/ebpf"
)

// checked calls Check until it finds something.
func checked(t *testing.T, s *Source, act func()) []Tampering {
	t.Helper()
	for {
		list, err := s.Check()
		if err != nil {
			t.Fatal(err)
		}
		if len(list) > 0 {
			return list
		}
		act()
	}
}

// attack runs the program that makes system calls against this process.
func (c *caller) attack(t *testing.T, name string, m *ebpf.Map) {
	t.Helper()
	cmd := exec.Command(c.program, name, strconv.Itoa(os.Getpid()), strconv.Itoa(m.FD()))
	if raw, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, raw)
	}
}

// TestTampering: what another process writes into the maps is noticed and put
// back, and so are records that it takes out of the ring buffer.
func TestTampering(t *testing.T) {
	c := newCaller(t)
	s := c.source
	if err := s.Watch([]string{"/etc"}, []string{"/etc/shadow"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Protect([]int32{int32(os.Getpid())}); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Check(); err != nil || len(list) != 0 {
		t.Fatalf("Check = %v, %v before anything was done", list, err)
	}
	t.Run("wanted", func(t *testing.T) {
		c.attack(t, "map-write", s.Wanted)
		if list := c.run(t, System, "memfd"); len(list) != 0 {
			t.Errorf("%d records are told although the map says that none is", len(list))
		}
		list, err := s.Check()
		if err != nil || len(list) != 2 {
			t.Fatalf("Check = %v, %v, want the two kinds that were wanted", list, err)
		}
		if !list[0].Concerns(Changed) || !list[1].Concerns(System) || list[1].Concerns(Changed) {
			t.Errorf("Check = %+v", list)
		}
		if list := c.run(t, System, "memfd"); len(list) != 1 {
			t.Errorf("%d records afterwards, want 1", len(list))
		}
	})
	for _, test := range []struct {
		name string
		kind Kind
	}{{"protected", System}, {"watching", Files}} {
		t.Run(test.name, func(t *testing.T) {
			for _, part := range s.parts {
				m := part.Maps[test.name]
				if m == nil {
					continue
				}
				other := make([]byte, m.ValueSize())
				if err := m.Update(uint32(0), other, ebpf.UpdateAny); err != nil {
					t.Fatal(err)
				}
				if list, err := s.Check(); err != nil || len(list) != 1 || !list[0].Concerns(test.kind) {
					t.Errorf("Check = %v, %v", list, err)
				}
				if list, err := s.Check(); err != nil || len(list) != 0 {
					t.Errorf("Check = %v, %v, want nothing any more", list, err)
				}
				return
			}
			t.Fatal("there is no such map")
		})
	}
	t.Run("another reader", func(t *testing.T) {
		reads := exec.Command(c.program, "ring-read", strconv.Itoa(os.Getpid()), strconv.Itoa(s.Ring.FD()))
		if err := reads.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = reads.Process.Kill()
			_ = reads.Wait()
		}()
		list := checked(t, s, func() {
			if err := exec.Command("true").Run(); err != nil {
				t.Fatal(err)
			}
		})
		if !list[0].Concerns(Exec) || !list[0].Concerns(Network) {
			t.Errorf("Check = %+v", list)
		}
	})
	t.Run("position", func(t *testing.T) {
		c.attack(t, "ring-move", s.Ring)
		if list := checked(t, s, func() {}); !list[0].Concerns(Fork) {
			t.Errorf("Check = %+v", list)
		}
		for seen := false; !seen; { // until it sees processes again
			cmd := exec.Command("true")
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			c.mu.Lock()
			seen = slices.ContainsFunc(c.events, func(e Event) bool { return exitOf(cmd.Process.Pid)(&e) })
			c.mu.Unlock()
		}
	})
	if !s.HasMap(mapID(t, s.Wanted)) || s.HasMap(mapID(t, s.Wanted)+1<<20) {
		t.Error("HasMap does not know the maps")
	}
}

func mapID(t *testing.T, m *ebpf.Map) uint32 {
	t.Helper()
	info, err := m.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	return uint32(id)
}
