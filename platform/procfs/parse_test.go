package procfs

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

const statTail = " S 1 42 42 34816 42 4194304 1 2 3 4 150 50 7 8 20 0 3 0 12345 1000000 250 18446744073709551615 1 2 140723456789 4 5 0\n"

func TestParseStat(t *testing.T) {
	for _, name := range []string{"sleep", "a b", "a) R 9 (b", "(x)", ")", "new\nline", "\x1b[31m\xff", ""} {
		s, err := ParseStat([]byte("42 (" + name + ")" + statTail))
		if err != nil {
			t.Errorf("ParseStat with name %q: %v", name, err)
			continue
		}
		if string(s.Comm) != name {
			t.Errorf("name = %q, want %q", s.Comm, name)
		}
		s.Comm = nil
		want := Stat{
			PID: 42, State: 'S', PPID: 1, PGID: 42, SID: 42, TTY: 34816, Flags: 4194304, UserTicks: 150, SysTicks: 50,
			Threads: 3, StartTicks: 12345, VSize: 1000000, RSS: 250, StartStack: 140723456789,
		}
		if !reflect.DeepEqual(s, want) {
			t.Errorf("ParseStat = %+v, want %+v", s, want)
		}
	}
	for _, in := range []string{"", "42", "42 (x", "x (y)" + statTail, "42 (x) SS 1", "42 (x) S 1 2 3"} {
		if _, err := ParseStat([]byte(in)); err == nil {
			t.Errorf("ParseStat(%q) gave no error", in)
		}
	}
	kernel, err := ParseStat([]byte("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 18446744073709551615 0 0 0 0 0 0\n"))
	if err != nil || !KernelThread(kernel.Flags) {
		t.Errorf("kthreadd: %+v, %v, want a kernel thread", kernel, err)
	}
}

func TestTTYName(t *testing.T) {
	for _, c := range []struct {
		tty  int32
		want string
	}{
		{0, ""},
		{136 << 8, "pts/0"},
		{136<<8 | 7, "pts/7"},
		{136<<8 | 0xff | 1<<20, "pts/511"}, // the minor's high bits are in bits 31–20
		{137<<8 | 1, "pts/257"},
		{4<<8 | 1, "tty1"},
		{4<<8 | 64, "ttyS0"},
		{5<<8 | 1, "console"},
		{204<<8 | 64, "ttyAMA0"},
		{229 << 8, "hvc0"},
		{250<<8 | 3, "char 250:3"},
	} {
		if got := TTYName(c.tty); got != c.want {
			t.Errorf("TTYName(%#x) = %q, want %q", c.tty, got, c.want)
		}
	}
}

const statusText = "Name:\tx\\nUid:\t9\nState:\tS (sleeping)\nUid:\t1000\t1001\t1002\t1003\nGid:\t5\t6\t7\t8\nNSpid:\t77\t12\t1\nVmSize:\t   2048 kB\nVmRSS:\t    1024 kB\nThreads:\t4\n" +
	"CapInh:\t0000000000000001\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000000003\nCapBnd:\t0000000000000004\nCapAmb:\t0000000000000005\nNoNewPrivs:\t1\nSeccomp:\t2\n" +
	"voluntary_ctxt_switches:\t10\nnonvoluntary_ctxt_switches:\t5\n"

func TestParseStatus(t *testing.T) {
	got, err := ParseStatus([]byte(statusText))
	want := Status{
		State: 'S', UID: [4]uint32{1000, 1001, 1002, 1003}, GID: [4]uint32{5, 6, 7, 8}, InnerPID: 1, Threads: 4,
		VmRSS: 1 << 20, VmSize: 2 << 20, CapInh: 1, CapPrm: 0x1ffffffffff, CapEff: 3, CapBnd: 4, CapAmb: 5,
		NoNewPrivs: true, Seccomp: 2, Switches: 15,
	}
	if err != nil || got != want {
		t.Errorf("ParseStatus = %+v, %v, want %+v", got, err, want)
	}
	for _, in := range []string{"", "Uid:\t1\t2\t3\t4\n", "Uid:\t1\t2\t3\nGid:\t1\t2\t3\t4\n", "Uid:\t1\t2\t3\t4294967296\nGid:\t1\t2\t3\t4\n"} {
		if _, err := ParseStatus([]byte(in)); err == nil {
			t.Errorf("ParseStatus(%q) gave no error", in)
		}
	}
}

func TestSplitArgs(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"\x00\x00", nil},
		{"sh\x00-c\x00ls -l\x00", []string{"sh", "-c", "ls -l"}},
		{"x\x00\x00y\x00", []string{"x", "", "y"}},
		{"nginx: worker process\x00\x00\x00\x00", []string{"nginx: worker process"}},
		{"postgres: checkpointer", []string{"postgres: checkpointer"}},
		{"\x00x\x00", []string{"", "x"}},
	} {
		if got := SplitArgs(c.in); !slices.Equal(got, c.want) {
			t.Errorf("SplitArgs(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestSplitEnviron(t *testing.T) {
	got := SplitEnviron("A=1\x00B=\x00C=x=y\x00title\x00\x00")
	want := []Variable{{"A", "1"}, {"B", ""}, {"C", "x=y"}, {"", "title"}}
	if !slices.Equal(got, want) {
		t.Errorf("SplitEnviron = %q, want %q", got, want)
	}
}

func TestCgroup(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	other := strings.Repeat("f", 64)
	for _, c := range []struct{ in, path, container string }{
		{"0::/\n", "/", ""},
		{"0::/user.slice/user-0.slice/session-1.scope\n", "/user.slice/user-0.slice/session-1.scope", ""},
		{"0::/system.slice/docker-" + id + ".scope\n", "/system.slice/docker-" + id + ".scope", id},
		{"12:pids:/docker/" + id + "\n1:name=systemd:/docker/" + id + "\n0::/\n", "/docker/" + id, id},
		{"0::/kubepods.slice/kubepods-pod1_2.slice/cri-containerd-" + id + ".scope\n", "/kubepods.slice/kubepods-pod1_2.slice/cri-containerd-" + id + ".scope", id},
		{"0::/kubepods/besteffort/pod12-34/" + id + "\n", "/kubepods/besteffort/pod12-34/" + id, id},
		{"0::/kubepods.slice/crio-" + id + ".scope/container\n", "/kubepods.slice/crio-" + id + ".scope/container", id},
		{"0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" + id + "\n", "/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" + id, id},
		{"0::/machine.slice/libpod-" + id + ".scope/container\n", "/machine.slice/libpod-" + id + ".scope/container", id},
		{"0::/machine.slice/libpod-conmon-" + id + ".scope\n", "/machine.slice/libpod-conmon-" + id + ".scope", ""},
		{"0::/machine.slice/machine-deb\\x2d12.scope/payload\n", "/machine.slice/machine-deb\\x2d12.scope/payload", "deb-12"},
		{"0::/machine.slice/systemd-nspawn@deb.service/payload\n", "/machine.slice/systemd-nspawn@deb.service/payload", "deb"},
		{"0::/lxc.payload.web/init.scope\n", "/lxc.payload.web/init.scope", "web"},
		{"5:cpu:/lxc/web\n", "/lxc/web", "web"},
		{"0::/docker/" + id + "/docker/" + other + "\n", "/docker/" + id + "/docker/" + other, other},
		{"", "", ""},
		{"nonsense\n::\n", "", ""},
	} {
		path := string(ParseCgroup([]byte(c.in)))
		if path != c.path {
			t.Errorf("ParseCgroup(%q) = %q, want %q", c.in, path, c.path)
		}
		if got := ContainerID(path); got != c.container {
			t.Errorf("ContainerID(%q) = %q, want %q", path, got, c.container)
		}
	}
}

func TestLinks(t *testing.T) {
	for _, c := range []struct {
		in, path string
		marked   bool
	}{
		{"/bin/x", "/bin/x", false},
		{"/bin/x (deleted)", "/bin/x", true},
		{"/bin/x (deleted) (deleted)", "/bin/x (deleted)", true},
		{"/memfd:y (deleted)", "/memfd:y", true},
	} {
		if path, marked := TrimDeleted(c.in); path != c.path || marked != c.marked {
			t.Errorf("TrimDeleted(%q) = %q, %v, want %q, %v", c.in, path, marked, c.path, c.marked)
		}
	}
	if n, ok := ParseNamespaceLink([]byte("mnt:[4026531841]")); !ok || n != 4026531841 {
		t.Errorf("ParseNamespaceLink = %d, %v", n, ok)
	}
	for _, in := range []string{"", "mnt", "mnt:[", "mnt:[]", "mnt:[x]", ":[1]"} {
		if _, ok := ParseNamespaceLink([]byte(in)); ok {
			t.Errorf("ParseNamespaceLink(%q) is ok", in)
		}
	}
	ns := Namespaces{Mnt: 1, UTS: 2}
	if got := string(ns.AppendJSON(nil)); got != `{"mnt":1,"uts":2}` {
		t.Errorf("AppendJSON = %s", got)
	}
}

func TestCapabilityNames(t *testing.T) {
	if got := CapabilityNames(1<<2 | 1<<19 | 1<<40 | 1<<41); !slices.Equal(got, []string{"cap_dac_read_search", "cap_sys_ptrace", "cap_checkpoint_restore", "cap_41"}) {
		t.Errorf("CapabilityNames = %v", got)
	}
	if got := CapabilityNames(0); got == nil || len(got) != 0 {
		t.Errorf("CapabilityNames(0) = %v, want an empty list", got)
	}
}

func TestEntityID(t *testing.T) {
	const boot = "11111111-2222-3333-4444-555555555555"
	first := EntityID(boot, 42, 1000)
	// Stored rows carry this value: it must never change.
	if want := "27ce93d98506f20026d32b6bf3eb4c07"; first != want {
		t.Errorf("EntityID = %q, want %q", first, want)
	}
	for _, other := range []string{EntityID(boot, 43, 1000), EntityID(boot, 42, 1001), EntityID("x"+boot[1:], 42, 1000)} {
		if other == first {
			t.Error("two processes have one identity")
		}
	}
	if again := EntityID(boot, 42, 1000); again != first {
		t.Errorf("EntityID = %q, then %q", first, again)
	}
}

func TestParseBootID(t *testing.T) {
	if got, err := ParseBootID([]byte("0c4b5b6e-9f5e-4e0f-8a0a-0123456789ab\n")); err != nil || got != "0c4b5b6e-9f5e-4e0f-8a0a-0123456789ab" {
		t.Errorf("ParseBootID = %q, %v", got, err)
	}
	for _, in := range []string{"", "x", "0c4b5b6e-9f5e-4e0f-8a0a-0123456789aB", "0c4b5b6e09f5e-4e0f-8a0a-0123456789ab"} {
		if _, err := ParseBootID([]byte(in)); err == nil {
			t.Errorf("ParseBootID(%q) gave no error", in)
		}
	}
}

func TestParsePasswd(t *testing.T) {
	got := ParsePasswd([]byte("root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n# c:x:5:5\nbad\nme:x:1000:1000:::\nhuge:x:99999999999:1::\n"))
	if want := map[uint32]string{0: "root", 1000: "me"}; !reflect.DeepEqual(got, want) {
		t.Errorf("ParsePasswd = %v, want %v", got, want)
	}
}

func TestParseNetworkMounts(t *testing.T) {
	got := ParseNetworkMounts([]byte("22 1 254:1 / / rw shared:1 - ext4 /dev/vda rw\n30 22 0:50 / /mnt rw - nfs4 h:/x rw\n31 22 0:51 / /s rw - fuse.sshfs x rw\nbad\n"))
	if want := map[uint64]bool{makedev(0, 50): true, makedev(0, 51): true}; !reflect.DeepEqual(got, want) {
		t.Errorf("ParseNetworkMounts = %v, want %v", got, want)
	}
}

// link must not take a later process for a parent, and no walk may go on for ever.
func TestParents(t *testing.T) {
	p := func(pid, ppid int32, start uint64) *Process {
		return &Process{PID: pid, PPID: ppid, StartTicks: start, HasStat: true}
	}
	list := []*Process{p(1, 0, 1), p(10, 1, 5), p(11, 10, 6), p(12, 20, 7), p(20, 1, 9), p(30, 31, 10), p(31, 30, 10)}
	link(list)
	if find(list, 11).Parent != find(list, 10) || find(list, 10).Parent != find(list, 1) {
		t.Error("parents are not linked")
	}
	if find(list, 12).Parent != nil {
		t.Error("a process that started later is taken for the parent: its pid was used again")
	}
	if got := find(list, 30).Ancestors(32); len(got) > 32 {
		t.Errorf("%d ancestors in a cycle", len(got))
	}
	if got := find(list, 11).Ancestors(1); len(got) != 1 || got[0].PID != 10 {
		t.Errorf("Ancestors(1) = %v, want the parent alone", got)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (a) b)" + statTail))
	f.Add([]byte("1 () R"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseStat(b)
		if err == nil && (s.PID < 0 || len(s.Comm) > len(b)) {
			t.Errorf("ParseStat(%q) = %+v", b, s)
		}
		_ = TTYName(s.TTY)
	})
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte(statusText))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseStatus(b)
		if err == nil && (s.VmRSS < 0 || s.Seccomp > 2) {
			t.Errorf("ParseStatus(%q) = %+v", b, s)
		}
	})
}

func FuzzCmdline(f *testing.F) {
	f.Add("a\x00b\x00\x00")
	f.Fuzz(func(t *testing.T, s string) {
		if args := SplitArgs(s); len(args) > 0 && strings.TrimRight(s, "\x00") != strings.Join(args, "\x00") {
			t.Errorf("SplitArgs(%q) = %q loses something", s, args)
		}
		for _, v := range SplitEnviron(s) {
			if strings.ContainsAny(v.Name+v.Value, "\x00") || strings.Contains(v.Name, "=") {
				t.Errorf("SplitEnviron(%q) has %q", s, v)
			}
		}
	})
}

func FuzzCgroup(f *testing.F) {
	f.Add([]byte("0::/system.slice/docker-0123.scope\n1:name=systemd:/\n"))
	f.Add([]byte("0::/machine-\\x2\\x2d.scope"))
	f.Fuzz(func(_ *testing.T, b []byte) { _ = ContainerID(string(ParseCgroup(b))) })
}

func FuzzSmallFiles(f *testing.F) {
	f.Add([]byte("30 22 0:50 / /mnt rw - nfs4 h:/x rw\n"))
	f.Add([]byte("root:x:0:0:::\n"))
	f.Add([]byte("mnt:[1]"))
	f.Add([]byte("0c4b5b6e-9f5e-4e0f-8a0a-0123456789ab\n"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_ = ParseNetworkMounts(b)
		_ = ParsePasswd(b)
		_, _ = ParseNamespaceLink(b)
		_, _ = ParseBootID(b)
		_, _ = TrimDeleted(string(b))
	})
}
