package bpf

import (
	"bytes"
	gopath "path"
	"strconv"
	"strings"
)

// mount is a line of mountinfo, proc_pid_mountinfo(5).
type mount struct {
	device uint32 // of the file system, as the kernel has it
	root   string // what of the file system is mounted
	point  string // where
}

// parseMounts reads mountinfo; lines that it does not understand are left out.
func parseMounts(raw []byte) (list []mount) {
	for line := range bytes.Lines(raw) {
		fields := bytes.Fields(line)
		if len(fields) < 5 {
			continue
		}
		major, minor, _ := strings.Cut(string(fields[2]), ":")
		high, err := strconv.ParseUint(major, 10, 12)
		if err != nil {
			continue
		}
		low, err := strconv.ParseUint(minor, 10, 20)
		if err != nil {
			continue
		}
		m := mount{uint32(high<<20 | low), unescape(string(fields[3])), unescape(string(fields[4]))}
		if strings.HasPrefix(m.root, "/") && strings.HasPrefix(m.point, "/") {
			list = append(list, m)
		}
	}
	return list
}

// unescape returns a name of mountinfo, where \ooo stands for a byte.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// addMounts lets the paths within file systems be watched as those to which the
// mounts take them, whatever other mounts there are. Mounts that lead to nothing
// that is watched are left out.
func (w *watcher) addMounts(mounts []mount) {
	w.inside = map[uint32]*watchNode{}
	for _, m := range mounts {
		set := w.reach(m.point)
		if len(set) == 0 || hasStar(m.root) || hasStar(m.point) {
			continue
		}
		top := w.inside[m.device]
		if top == nil {
			if len(w.inside) == maxDevices {
				continue
			}
			top = w.node(0)
			w.inside[m.device] = top
		}
		n := top.walk(w, namesOf(m.root))
		n.also = append(n.also, set...)
		w.mounts = append(w.mounts, m)
	}
}

// hasStar reports whether a name is *, which here would stand for any one.
func hasStar(path string) bool { return strings.Contains(path+"/", "/*/") }

// reach returns the set of nodes to which a path leads.
func (w *watcher) reach(path string) []*watchNode {
	set := []*watchNode{w.root}
	for _, name := range namesOf(path) {
		set = w.after(set, name)
	}
	return set
}

// place makes the paths of a file those by which it is watched, if it was
// reached in another way.
func (w *watcher) place(f *File) {
	path, target := w.outside(f.innerDevice, f.inner), w.outside(f.targetInnerDevice, f.targetInner)
	if target != "" && target != f.Target {
		f.Accessed, f.Target, f.TargetCut = f.Target, target, false
	}
	if path != "" && path != f.Path {
		f.Accessed, f.Path, f.PathCut = f.Path, path, false
	}
}

// outside returns the path to which mounts take one within a file system: one
// that is watched, else one that leads to such; "" if there is none.
func (w *watcher) outside(device uint32, path string) (leads string) {
	if path == "" {
		return ""
	}
	for _, m := range w.mounts {
		rest, ok := strings.CutPrefix(path+"/", strings.TrimSuffix(m.root, "/")+"/")
		if m.device != device || !ok {
			continue
		}
		p := gopath.Clean(m.point + "/" + rest)
		for _, n := range w.reach(p) {
			if n.watched != 0 {
				return p
			}
			if leads == "" {
				leads = p
			}
		}
	}
	return leads
}
