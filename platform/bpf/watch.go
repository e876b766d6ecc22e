package bpf

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Bounds of what is watched, as in files.bpf.c.
const (
	maxStates    = 4096
	maxEdges     = 8192
	maxProbes    = 64
	maxKeys      = 256
	maxKeyProbes = 16
	maxBegins    = 1024
	maxDevices   = maxBegins / 2 // file systems in which something is watched; of others only the path by which a file was reached counts

	maxBeginProbes = 16
	maxNames       = 14 // of one path
	maxNameBytes   = 255
)

// What a state says of the path that led to it.
const (
	watchChanges = 1 << iota
	watchReads
	_ // WATCH_LEADS
	// Of /proc: it stands for the process's working directory, for a file that it
	// has open, or for those of another process.
	watchOwnDirectory
	watchOwnFile
	watchForeign
	watchOfThread // the process's are those of its first thread
)

// root is the first state; 0 is none.
const root = 1

// watchNode is a set of paths that go on alike: a node of the tree of all
// watched paths, where * is a name of its own.
type watchNode struct {
	id      int
	watched uint16
	names   map[string]*watchNode
	any     *watchNode   // after *
	also    []*watchNode // of a place in a file system: where mounts take it
}

// watcher makes the tables of files.bpf.c: a deterministic automaton whose
// states are sets of nodes.
type watcher struct {
	nodes []*watchNode
	root  *watchNode
	below *watchNode // all that is below a path whose changes are watched
	child *watchNode // what is directly in a directory whose files' reads are

	inside map[uint32]*watchNode // the roots of file systems, by device
	mounts []mount               // by which something in them is watched

	states [][]*watchNode // by number, but for 0
	number map[string]int
	keys   map[uint64]bool
	// The tables as the kernel reads them.
	raw     []byte
	lengths uint64
}

const (
	edgesAt     = 4 * maxStates
	keysAt      = edgesAt + 16*maxEdges
	lengthsAt   = keysAt + 8*maxKeys
	beginsAt    = lengthsAt + 8
	watchedSize = beginsAt + 8*maxBegins
)

// watchTables returns struct tables, as raw, for the paths whose changes are
// watched, with all below, and for those that are watched for reads: files, or
// directories directly in which the files are. A name * stands for any one.
// The mounts say which file systems lie there. It is an error when a path is
// not absolute, or all of them are too many.
func watchTables(paths, reads []string, mounts []mount) (*watcher, error) {
	w := &watcher{number: map[string]int{}, keys: map[uint64]bool{}, raw: make([]byte, watchedSize)}
	w.root, w.below, w.child = w.node(0), w.node(watchChanges), w.node(watchReads)
	w.below.any = w.below
	for _, p := range paths {
		n, _, err := w.add(p)
		if err != nil {
			return nil, err
		}
		n.watched |= watchChanges
	}
	for _, p := range reads {
		n, last, err := w.add(p)
		if err != nil {
			return nil, err
		}
		if last == "" || last == "*" {
			return nil, fmt.Errorf("watch reads of %q: its last name is not known", p)
		}
		n.watched |= watchReads
		if err := w.addKey(last); err != nil {
			return nil, err
		}
	}
	if len(paths) > 0 {
		w.addProc()
	}
	w.addMounts(mounts)
	if err := w.build(); err != nil {
		return nil, err
	}
	return w, nil
}

// addProc lets what /proc shows of a process stand for that. Its root is taken
// for the root.
func (w *watcher) addProc() {
	for _, names := range [][]string{{"proc", "*"}, {"proc", "*", "task", "*"}} {
		n := w.root.walk(w, names)
		n.names["root"] = w.root
		n.walk(w, []string{"cwd"}).watched |= watchForeign
		n.walk(w, []string{"fd", "*"}).watched |= watchForeign
	}
	for self, of := range map[string]uint16{"self": 0, "thread-self": watchOfThread} {
		w.root.walk(w, []string{"proc", self, "cwd"}).watched |= watchOwnDirectory | of
		w.root.walk(w, []string{"proc", self, "fd", "*"}).watched |= watchOwnFile | of
	}
	w.root.walk(w, []string{"dev", "fd", "*"}).watched |= watchOwnFile
}

func (w *watcher) node(watched uint16) *watchNode {
	n := &watchNode{id: len(w.nodes), watched: watched, names: map[string]*watchNode{}}
	w.nodes = append(w.nodes, n)
	return n
}

// add returns the node of a path and its last name.
func (w *watcher) add(path string) (n *watchNode, last string, err error) {
	if !strings.HasPrefix(path, "/") {
		return nil, "", fmt.Errorf("watch %q: it does not begin with /", path)
	}
	names := namesOf(path)
	if len(names) > 0 && names[len(names)-1] == "*" { // the same, since what is below is meant
		names = names[:len(names)-1]
	}
	if len(names) > maxNames {
		return nil, "", fmt.Errorf("watch %q: more than %d names", path, maxNames)
	}
	for _, name := range names {
		switch {
		case len(name) > maxNameBytes:
			return nil, "", fmt.Errorf("watch %q: a name of more than %d bytes", path, maxNameBytes)
		case name == "." || name == ".." || strings.Contains(name, "\x00"):
			return nil, "", fmt.Errorf("watch %q: %q is not a name of a file", path, name)
		case name != "*" && strings.Contains(name, "*"):
			return nil, "", fmt.Errorf("watch %q: * stands for a whole name only", path)
		}
		last = name
	}
	return w.root.walk(w, names), last, nil
}

func namesOf(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// walk returns the node to which names lead from n, and makes what is missing.
func (n *watchNode) walk(w *watcher, names []string) *watchNode {
	for _, name := range names {
		next := n.names[name]
		if name == "*" {
			next = n.any
		}
		if next == nil {
			next = w.node(0)
			if name == "*" {
				n.any = next
			} else {
				n.names[name] = next
			}
		}
		n = next
	}
	return n
}

// after returns the set of nodes to which a name leads; "*": one that no edge has.
func (w *watcher) after(set []*watchNode, name string) []*watchNode {
	var list []*watchNode
	for _, n := range set {
		if name != "*" && n.names[name] != nil {
			list = append(list, n.names[name])
		}
		if n.any != nil {
			list = append(list, n.any)
		}
		if n.watched&watchChanges != 0 {
			list = append(list, w.below)
		}
		if n.watched&watchReads != 0 && n != w.child {
			list = append(list, w.child)
		}
	}
	return unite(list)
}

// unite returns the set of nodes that a list leads to, with those to which mounts
// take it, and without those that lead nowhere by themselves.
func unite(list []*watchNode) []*watchNode {
	for _, n := range list {
		list = append(list, n.also...)
	}
	list = slices.DeleteFunc(list, func(n *watchNode) bool { return n.watched == 0 && n.any == nil && len(n.names) == 0 })
	slices.SortFunc(list, func(a, b *watchNode) int { return a.id - b.id })
	return slices.Compact(list)
}

// state returns the number of a set, which it takes up when it is new.
func (w *watcher) state(set []*watchNode) (int, error) {
	if len(set) == 0 {
		return 0, nil
	}
	var key []byte
	for _, n := range set {
		key = binary.AppendUvarint(key, uint64(n.id))
	}
	if number, ok := w.number[string(key)]; ok {
		return number, nil
	}
	number := len(w.states) + root
	if number >= maxStates {
		return 0, fmt.Errorf("watch: the paths have more than %d different directories", maxStates)
	}
	w.states = append(w.states, set)
	w.number[string(key)] = number
	return number, nil
}

func (w *watcher) build() error {
	if _, err := w.state([]*watchNode{w.root}); err != nil {
		return err
	}
	for _, device := range slices.Sorted(maps.Keys(w.inside)) {
		begin, err := w.state(unite([]*watchNode{w.inside[device]}))
		if err != nil {
			return err
		}
		if err := w.putBegin(device, uint32(begin)); err != nil {
			return err
		}
	}
	for i := 0; i < len(w.states); i++ {
		var watched uint16
		names := map[string]bool{}
		for _, n := range w.states[i] {
			watched |= n.watched
			for name := range n.names {
				names[name] = true
			}
		}
		others, err := w.state(w.after(w.states[i], "*"))
		if err != nil {
			return err
		}
		at := 4 * (i + root)
		binary.LittleEndian.PutUint16(w.raw[at:], uint16(others))
		binary.LittleEndian.PutUint16(w.raw[at+2:], watched)
		for name := range names {
			to, err := w.state(w.after(w.states[i], name))
			if err != nil {
				return err
			}
			if err := w.addEdge(name, uint32(i+root), uint32(to)); err != nil {
				return err
			}
		}
	}
	for key := range w.keys {
		if err := w.putKey(key); err != nil {
			return err
		}
	}
	binary.LittleEndian.PutUint64(w.raw[lengthsAt:], w.lengths)
	return nil
}

// addEdge puts an edge where step of files.bpf.c looks for it.
func (w *watcher) addEdge(name string, from, to uint32) error {
	hash := uint64(0xcbf29ce484222325) // FNV-1a
	for _, c := range []byte(name) {
		hash = (hash ^ uint64(c)) * 0x100000001b3
	}
	slot := uint32(hash) ^ uint32(hash>>32) ^ from*0x9e3779b1
	for range maxProbes {
		e := w.raw[edgesAt+16*(slot%maxEdges):]
		if binary.LittleEndian.Uint32(e[12:]) == 0 {
			binary.LittleEndian.PutUint64(e, hash)
			binary.LittleEndian.PutUint32(e[8:], from)
			binary.LittleEndian.PutUint32(e[12:], to)
			return nil
		}
		slot++
	}
	return fmt.Errorf("watch: the paths have too many different names")
}

// addKey takes up a name that a file, or its directory, has when its reads are
// watched; what is_key of files.bpf.c makes of it.
func (w *watcher) addKey(name string) error {
	var start [8]byte
	copy(start[:], name)
	w.keys[(binary.LittleEndian.Uint64(start[:])+uint64(len(name)))*0x9e3779b97f4a7c15|1] = true
	w.lengths |= 1 << (len(name) % 64)
	if len(w.keys) > maxKeys/2 {
		return fmt.Errorf("watch: reads of files with more than %d different names", maxKeys/2)
	}
	return nil
}

func (w *watcher) putKey(key uint64) error {
	slot := key >> 56
	for range maxKeyProbes {
		k := w.raw[keysAt+8*(slot%maxKeys):]
		if binary.LittleEndian.Uint64(k) == 0 {
			binary.LittleEndian.PutUint64(k, key)
			return nil
		}
		slot++
	}
	return fmt.Errorf("watch: the names of files whose reads are watched are too much alike")
}

// putBegin puts the state from which a path within a file system goes on where
// begin_of of files.bpf.c looks for it.
func (w *watcher) putBegin(device, state uint32) error {
	slot := device * 0x9e3779b1 >> 22
	for range maxBeginProbes {
		b := w.raw[beginsAt+8*(slot%maxBegins):]
		if binary.LittleEndian.Uint32(b[4:]) == 0 {
			binary.LittleEndian.PutUint32(b, device)
			binary.LittleEndian.PutUint32(b[4:], state)
			return nil
		}
		slot++
	}
	return fmt.Errorf("watch: the numbers of the file systems are too much alike")
}
