package collector

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"daemoneye/bus/event"
	"daemoneye/platform/procfs"
)

const (
	maxAncestors = 32
	maxAncestor  = 1 << 10 // bytes of one
	// Bounds of what one row holds, so that it fits into a frame of 1 MiB even
	// when every byte has to be escaped.
	maxCommandLine       = 256 << 10
	maxParentCommandLine = 4 << 10
	maxEnvironment       = 192 << 10
)

// text is what is made of the arguments and the environment of a process, kept
// while these stay the same.
type text struct {
	cmdline     string
	environ     string
	commandLine string // redacted, joined
	cut         bool   // commandLine was cut here
	invoked     string
	environment []byte // JSON, nil when not known
	environCut  bool   // environment was cut here
}

// rows turns processes into rows of the processes table.
type rows struct {
	redact       *redactor
	hasher       *procfs.Hasher // nil: no hashes
	texts        map[string]*text
	capabilities map[uint64][]string
	namespaces   map[procfs.Namespaces][]byte
	platform     []byte // memory for platform_data

	builder   *event.Builder
	processes columns // of builder
	to        *columns
	written   procfs.Digest            // of the last row; the zero value: none
	told      map[string]procfs.Digest // by entity: what rows have said; nil: what is known now
}

func newRows(redact *redactor, hasher *procfs.Hasher) *rows {
	b := event.NewBuilder(event.Lookup("processes"))
	return &rows{
		redact: redact, hasher: hasher, texts: map[string]*text{},
		capabilities: map[uint64][]string{}, namespaces: map[procfs.Namespaces][]byte{},
		builder: b, processes: newColumns(b),
	}
}

// actor is the columns of a process that all tables have which tell what
// processes do, looked up once.
type actor struct {
	entityID, pid, ppid, name, executablePath, commandLine, userID, effectiveUserID, userName, loginUserID, containerID,
	parentEntityID, parentName, parentExecutablePath, parentCommandLine, ancestors *event.ColumnBuilder
}

func newActor(b *event.Builder) actor {
	return actor{
		entityID: b.Column("entity_id"), pid: b.Column("pid"), ppid: b.Column("ppid"), name: b.Column("name"),
		executablePath: b.Column("executable_path"), commandLine: b.Column("command_line"),
		userID: b.Column("user_id"), effectiveUserID: b.Column("effective_user_id"), userName: b.Column("user_name"),
		loginUserID: b.Column("login_user_id"), containerID: b.Column("container_id"),
		parentEntityID: b.Column("parent_entity_id"), parentName: b.Column("parent_name"),
		parentExecutablePath: b.Column("parent_executable_path"), parentCommandLine: b.Column("parent_command_line"),
		ancestors: b.Column("ancestors"),
	}
}

// columns are the builder's, looked up once.
type columns struct {
	actor
	invokedPath, commandLineTruncated, cwd,
	startTime, startTimeNS, groupID, effectiveGroupID, status,
	cpuUsage, cpuTime, memoryUsage, virtualMemory, threads, sessionID, processGroupID, tty, cgroup, cgroupID,
	namespaces, capabilities, permitted, inheritable, ambient, bounding, kernelThread, executableHash, hashAlgorithm,
	executableBlake3, executableInode, executableDevice, executableMode, executableUserID, executableGroupID, fileExists, accessible, environmentVars, environmentTruncated,
	collectionTime, platformData *event.ColumnBuilder
}

func newColumns(b *event.Builder) columns {
	return columns{
		actor:       newActor(b),
		invokedPath: b.Column("invoked_path"), commandLineTruncated: b.Column("command_line_truncated"),
		cwd: b.Column("cwd"), startTime: b.Column("start_time"), startTimeNS: b.Column("start_time_ns"),
		groupID: b.Column("group_id"), effectiveGroupID: b.Column("effective_group_id"),
		status: b.Column("status"), cpuUsage: b.Column("cpu_usage"),
		cpuTime: b.Column("cpu_time"), memoryUsage: b.Column("memory_usage"), virtualMemory: b.Column("virtual_memory"),
		threads: b.Column("threads"), sessionID: b.Column("session_id"), processGroupID: b.Column("process_group_id"),
		tty: b.Column("tty"), cgroup: b.Column("cgroup"), cgroupID: b.Column("cgroup_id"),
		namespaces: b.Column("namespaces"), capabilities: b.Column("capabilities"), kernelThread: b.Column("kernel_thread"),
		permitted: b.Column("permitted_capabilities"), inheritable: b.Column("inheritable_capabilities"),
		ambient: b.Column("ambient_capabilities"), bounding: b.Column("bounding_capabilities"),
		executableHash: b.Column("executable_hash"), hashAlgorithm: b.Column("hash_algorithm"),
		executableBlake3: b.Column("executable_blake3"), executableInode: b.Column("executable_inode"),
		executableDevice: b.Column("executable_device"), executableMode: b.Column("executable_mode"),
		executableUserID: b.Column("executable_user_id"), executableGroupID: b.Column("executable_group_id"), fileExists: b.Column("file_exists"),
		accessible: b.Column("accessible"), environmentVars: b.Column("environment_vars"), environmentTruncated: b.Column("environment_truncated"),
		collectionTime: b.Column("collection_time"), platformData: b.Column("platform_data"),
	}
}

// build returns a batch with one row for each of the processes, in their
// order. A digest that is not known yet is taken from before while the
// executable is the same file.
func (r *rows) build(list []*procfs.Process, before *state) *event.Batch {
	lineage := lineage{}
	for _, p := range list {
		r.add(&r.processes, p, before, lineage)
		r.builder.EndRow()
	}
	return r.builder.Batch()
}

// lineage is the ancestors column of the children of a process.
type lineage map[*procfs.Process][]string

// add writes the columns of one process, of a table that has them.
func (r *rows) add(to *columns, p *procfs.Process, before *state, known lineage) {
	r.to = to
	r.actor(&to.actor, p, known)
	r.identity(p)
	r.credentials(p)
	r.usage(p)
	r.surroundings(p)
	r.executable(p, before)
}

// actor writes the columns that say which process did something.
func (r *rows) actor(c *actor, p *procfs.Process, known lineage) {
	c.entityID.Text(p.EntityID)
	c.pid.Int(int64(p.PID))
	c.commandLine.TextOrNull(r.text(p).commandLine)
	c.executablePath.TextOrNull(p.Executable)
	c.containerID.TextOrNull(p.ContainerID)
	if !p.Started.IsZero() { // stat tells, or an event
		c.ppid.Int(int64(p.PPID))
		c.name.TextOrNull(p.Name)
	}
	if p.HasStatus {
		c.userID.Int(int64(p.UID[0]))
		c.effectiveUserID.Int(int64(p.UID[1]))
		c.userName.TextOrNull(p.UserName)
		if p.LoginUID != procfs.NoUser {
			c.loginUserID.Int(int64(p.LoginUID))
		}
	}
	r.parent(c, p, known)
}

// keep forgets the texts of all other processes.
func (r *rows) keep(list []*procfs.Process) {
	texts := make(map[string]*text, len(list))
	for _, p := range list {
		if t := r.texts[p.EntityID]; t != nil {
			texts[p.EntityID] = t
		}
	}
	r.texts = texts
}

// inherit lets a child begin with its parent's texts.
func (r *rows) inherit(child, parent string) {
	if t := r.texts[parent]; t != nil {
		r.texts[child] = t
	}
}

// forget is called when a process has ended.
func (r *rows) forget(id string) { delete(r.texts, id) }

// text returns what the arguments of p amount to, remembered or made anew.
// What is remembered of a process is its last image.
func (r *rows) text(p *procfs.Process) *text {
	t := r.textOnce(p)
	r.texts[p.EntityID] = t
	return t
}

// textOnce is text for a process that may have ended: it is not remembered.
func (r *rows) textOnce(p *procfs.Process) *text {
	if t := r.texts[p.EntityID]; t != nil && t.cmdline == p.Cmdline && t.environ == p.Environ && (t.environment != nil) == p.EnvironKnown {
		return t
	}
	t := &text{cmdline: p.Cmdline, environ: p.Environ}
	args := procfs.SplitArgs(p.Cmdline)
	if p.CmdlineTruncated {
		args = dropCut(args)
	}
	if len(args) > 0 {
		// A program may have written its whole command line over its first argument.
		args = r.redact.args(args)
		t.invoked, _ = cutText(args[0], maxParentCommandLine)
		t.commandLine, t.cut = cutText(strings.Join(args, " "), maxCommandLine)
	}
	if p.EnvironKnown {
		t.environment, t.environCut = r.environment(p.Environ)
	}
	return t
}

// cutTail bounds what dropCut takes away.
const cutTail = 1 << 10

// dropCut takes away the last word of arguments that were cut off somewhere in
// it, of a long one its end: half a secret may not be known as one.
func dropCut(args []string) []string {
	if len(args) == 0 {
		return nil
	}
	rest, last := args[:len(args)-1], args[len(args)-1]
	at := max(strings.LastIndexAny(last, " \t\n"), len(last)-cutTail)
	if at <= 0 {
		return rest
	}
	return append(slices.Clone(rest), last[:at])
}

// environment returns the variables as a JSON object, and whether it had to be
// cut. Of one that is there twice the first counts, as it does for getenv(3). Of
// the loader's all do, joined by colons: ld.so(8) of the GNU C library takes the
// last one, that of musl the first.
func (r *rows) environment(environ string) (object []byte, cut bool) {
	m := map[string]string{}
	size := 0
	for _, v := range procfs.SplitEnviron(environ) {
		name := event.Clean(v.Name)
		value := event.Clean(r.redact.variable(v.Name, v.Value))
		if before, dup := m[name]; dup {
			if !strings.HasPrefix(name, "LD_") {
				continue
			}
			value = before + ":" + value
		}
		m[name] = value
		if size += len(name) + len(m[name]); size > maxEnvironment {
			break
		}
	}
	object = encodeJSON(m)
	return event.ShrinkJSON(object, maxEnvironment), len(object) > maxEnvironment
}

// encodeJSON encodes maps of strings and numbers, which can not fail.
func encodeJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return bytes.TrimSpace(b.Bytes())
}

// cutText returns s as a text column holds it, in at most limit bytes, and
// whether it had to be cut.
func cutText(s string, limit int) (string, bool) {
	s = event.Clean(s)
	if len(s) <= limit {
		return s, false
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit], true
}

// cutPath returns a path as a text column holds it. Of one that is longer than
// limit the end stays, which says what it is, after a mark.
func cutPath(s string, limit int) string {
	s = event.Clean(s)
	if len(s) <= limit {
		return s
	}
	const mark = "…"
	at := len(s) - limit + len(mark)
	for at < len(s) && !utf8.RuneStart(s[at]) {
		at++
	}
	return mark + s[at:]
}

func (r *rows) identity(p *procfs.Process) {
	c, t := r.to, r.text(p)
	c.collectionTime.Time(p.Collected)
	c.accessible.Bool(p.Accessible)
	c.kernelThread.Bool(p.KernelThread)
	c.invokedPath.TextOrNull(t.invoked)
	if p.HasStat && !p.KernelThread {
		c.commandLineTruncated.Bool(t.cut || p.CmdlineTruncated)
	}
	if !p.Started.IsZero() {
		c.startTime.Time(p.Started)
		c.startTimeNS.Int(p.Started.UnixNano())
	}
	if !p.HasStat {
		return
	}
	c.sessionID.Int(int64(p.SID))
	c.processGroupID.Int(int64(p.PGID))
	c.tty.TextOrNull(p.TTY)
}

func (r *rows) credentials(p *procfs.Process) {
	if !p.HasStatus {
		return
	}
	c := r.to
	c.groupID.Int(int64(p.GID[0]))
	c.effectiveGroupID.Int(int64(p.GID[1]))
	c.capabilities.Texts(r.capabilityNames(p.CapEffective))
	c.permitted.Texts(r.capabilityNames(p.CapPermitted))
	c.inheritable.Texts(r.capabilityNames(p.CapInheritable))
	c.ambient.Texts(r.capabilityNames(p.CapAmbient))
	c.bounding.Texts(r.capabilityNames(p.CapBounding))
	r.platform = appendPlatformData(r.platform[:0], p)
	c.platformData.JSON(r.platform)
}

// capabilityNames returns the names of a set, remembered: there are few.
func (r *rows) capabilityNames(set uint64) []string {
	names, ok := r.capabilities[set]
	if !ok {
		if len(r.capabilities) > 4096 {
			clear(r.capabilities)
		}
		names = procfs.CapabilityNames(set)
		r.capabilities[set] = names
	}
	return names
}

// appendPlatformData appends what only Linux has: seccomp mode, no_new_privs, the saved
// ids where they differ from the effective ones, and the pid within the
// process's own pid namespace where it differs.
func appendPlatformData(b []byte, p *procfs.Process) []byte {
	b = append(b, `{"no_new_privs":`...)
	b = strconv.AppendBool(b, p.NoNewPrivs)
	number := func(name string, n int64) {
		b = append(append(append(b, `,"`...), name...), `":`...)
		b = strconv.AppendInt(b, n, 10)
	}
	if p.InnerPID != 0 && p.InnerPID != p.PID {
		number("ns_pid", int64(p.InnerPID))
	}
	if p.UID[2] != p.UID[1] {
		number("saved_user_id", int64(p.UID[2]))
	}
	if p.GID[2] != p.GID[1] {
		number("saved_group_id", int64(p.GID[2]))
	}
	b = append(append(append(b, `,"seccomp":"`...), procfs.SeccompMode(p.Seccomp)...), `"}`...)
	return b
}

func (r *rows) usage(p *procfs.Process) {
	if !p.HasStat {
		return
	}
	c := r.to
	c.status.TextOrNull(procfs.StateName(p.State))
	if !p.CPUUnknown {
		c.cpuUsage.Float(round(p.CPUUsage))
		c.cpuTime.Float(p.CPUTime())
	}
	c.memoryUsage.Int(p.RSS)
	c.virtualMemory.Int(p.VirtualSize)
	c.threads.Int(int64(p.Threads))
}

// round keeps two decimals of a percentage: more are noise.
func round(f float64) float64 { return math.Round(f*100) / 100 }

func (r *rows) surroundings(p *procfs.Process) {
	c := r.to
	c.cwd.TextOrNull(p.CWD)
	c.cgroup.TextOrNull(p.Cgroup)
	if p.CgroupID != 0 {
		c.cgroupID.Int(int64(p.CgroupID))
	}
	if p.Namespaces != (procfs.Namespaces{}) {
		raw, ok := r.namespaces[p.Namespaces]
		if !ok {
			if len(r.namespaces) > 4096 {
				clear(r.namespaces)
			}
			raw = p.Namespaces.AppendJSON(nil)
			r.namespaces[p.Namespaces] = raw
		}
		c.namespaces.JSON(raw)
	}
	if t := r.text(p); t.environment != nil {
		c.environmentVars.JSON(t.environment)
		c.environmentTruncated.Bool(t.environCut || p.EnvironTruncated)
	}
}

func (r *rows) executable(p *procfs.Process, before *state) {
	c := r.to
	if p.FileExists != procfs.ExistenceUnknown {
		c.fileExists.Bool(p.FileExists == procfs.Exists)
	}
	r.written = procfs.Digest{}
	if p.ExecutableID.Inode == 0 {
		return
	}
	c.executableInode.Int(int64(p.ExecutableID.Inode))
	c.executableDevice.Int(int64(p.ExecutableID.Device))
	c.executableMode.Text(strconv.FormatUint(uint64(p.ExecutableMode&0o7777), 8))
	c.executableUserID.Int(int64(p.ExecutableOwner))
	c.executableGroupID.Int(int64(p.ExecutableGroup))
	if r.hasher == nil {
		return
	}
	if d, ok := r.digest(p, before); ok {
		r.written = d
		c.executableHash.Text(d.SHA256)
		c.hashAlgorithm.Text("sha256")
		c.executableBlake3.TextOrNull(d.BLAKE3)
	}
}

// digest returns what a row says of the file that p runs.
func (r *rows) digest(p *procfs.Process, before *state) (d procfs.Digest, ok bool) {
	if r.told != nil {
		d = r.told[p.EntityID]
		return d, d != procfs.Digest{}
	}
	if p.State == 'X' { // nothing is left to read
		d, ok = r.hasher.Lookup(p.ExecutableID)
	} else {
		d, ok = r.hasher.Request(p)
	}
	if !ok {
		d, ok = before.digest(p)
	}
	return d, ok
}

func (r *rows) parent(c *actor, p *procfs.Process, known lineage) {
	parent := p.Parent
	if parent == nil {
		return
	}
	c.parentEntityID.Text(parent.EntityID)
	c.parentName.TextOrNull(parent.Name)
	c.parentExecutablePath.TextOrNull(parent.Executable)
	line, _ := cutText(r.textOnce(parent).commandLine, maxParentCommandLine)
	c.parentCommandLine.TextOrNull(line)
	list, ok := known[parent]
	if !ok {
		for _, a := range p.Ancestors(maxAncestors) {
			name := a.Executable
			if name == "" {
				name = a.Name
			}
			list = append(list, cutPath(name, maxAncestor))
		}
		known[parent] = list
	}
	c.ancestors.Texts(list)
}
