package collector

import (
	"encoding/binary"
	"os"
	"path"
	"strings"
	"time"

	"daemoneye/bus/event"
	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
	"daemoneye/roles/api"
	"daemoneye/roles/handoff"
)

// systemTable is kernel_events.
func systemTable() actionTable {
	t := actionTable{name: "kernel_events", open: openSystem, events: []string{
		bpf.ModuleLoad: "module_load", bpf.ModuleUnload: "module_unload", bpf.BPF: "bpf", bpf.Ptrace: "ptrace",
		bpf.ProcessVMRead: "process_vm_read", bpf.ProcessVMWrite: "process_vm_write", bpf.MemoryOpen: "process_memory_open",
		bpf.MemfdCreate: "memfd_create", bpf.MemoryExecutable: "memory_executable", bpf.Mount: "mount", bpf.Unmount: "unmount", bpf.Kexec: "kexec",
		bpf.IOPorts: "io_ports", bpf.Key: "key", bpf.Prctl: "prctl", bpf.IOURing: "io_uring_setup", bpf.Userfaultfd: "userfaultfd",
		bpf.PerfEvent: "perf_event_open", bpf.OpenByHandle: "open_by_handle", bpf.Swap: "swap", bpf.Reboot: "reboot", bpf.HostName: "host_name",
		bpf.SetTime: "set_time", bpf.Signal: "signal", bpf.SignalOther: "signal_same_user", bpf.Chroot: "chroot", bpf.Namespace: "namespace", bpf.Flood: "flood",
		bpf.PidfdGetfd: "pidfd_getfd", bpf.MemoryRead: "process_memory_read", bpf.SetLimits: "set_limits",
		bpf.CgroupMove: "cgroup_move", bpf.CgroupFreeze: "cgroup_freeze",
	}}
	t.wanted = t.mask(nil) &^ (1 << bpf.SignalOther) // servers send their own workers thousands a second
	return t
}

// maxText bounds one text of a call, in bytes.
const maxText = 4 << 10

// systemColumns are those of kernel_events that are its own.
type systemColumns struct {
	event, systemCall, operation, success, errorName, path, objectName, flags, signal, arguments, truncated, actorProtected,
	targetEntityID, targetPID, targetName, targetExecutablePath, targetUserID, targetProtected *event.ColumnBuilder

	events []string
}

func openSystem(b *event.Builder) func(*bpf.Event, *procfs.Process, *live) {
	c := &systemColumns{
		event: b.Column("event"), systemCall: b.Column("system_call"), operation: b.Column("operation"), success: b.Column("success"),
		errorName: b.Column("error"), path: b.Column("path"), objectName: b.Column("object_name"), flags: b.Column("flags"), signal: b.Column("signal"),
		arguments: b.Column("arguments"), truncated: b.Column("truncated"), actorProtected: b.Column("protected"),
		targetEntityID: b.Column("target_entity_id"), targetPID: b.Column("target_pid"), targetName: b.Column("target_name"),
		targetExecutablePath: b.Column("target_executable_path"), targetUserID: b.Column("target_user_id"), targetProtected: b.Column("target_protected"),
		events: systemTable().events,
	}
	return c.write
}

// write writes the columns of one event.
func (c *systemColumns) write(e *bpf.Event, actor *procfs.Process, l *live) {
	call := e.System
	c.event.Text(c.events[e.What])
	c.systemCall.TextOrNull(call.Name)
	c.success.Bool(call.Result >= 0)
	if call.Result < 0 {
		c.errorName.Text(errorName(int(-call.Result)))
	}
	c.actorProtected.Bool(actor != nil && l.guard.has(actor))
	d := describe(e.What, call, l.rows.redact)
	cut := e.Flags&(bpf.CallTextCut|bpf.CallTextUnread|bpf.CallPathCut) != 0
	c.operation.TextOrNull(d.operation)
	c.path.TextOrNull(cutPath(d.path, maxText))
	name, tooLong := cutText(d.object, maxText)
	c.objectName.TextOrNull(name)
	c.truncated.Bool(cut || tooLong)
	c.flags.Texts(d.flags)
	if d.signal > 0 {
		c.signal.Int(int64(d.signal))
	}
	if len(d.arguments) > 0 {
		c.arguments.JSON(encodeJSON(d.arguments))
	}
	c.target(e, l, actor)
}

// tellOfSensor publishes what has become of the programs in the kernel or of this
// process, which none of ours has done.
func (c *collector) tellOfSensor(what, reason string) error {
	pid := os.Getpid()
	return c.tellOfUs(what, pid, func(b *event.Builder) {
		b.Column("arguments").JSON(encodeJSON(map[string]any{"reason": reason}))
		if c.live == nil {
			return
		}
		if self := c.live.processes[int32(pid)]; self != nil {
			b.Column("target_entity_id").Text(self.EntityID)
			b.Column("target_name").TextOrNull(self.Name)
			b.Column("target_executable_path").TextOrNull(self.Executable)
		}
	})
}

// killed publishes that a signal has ended the collector before this one, which
// nobody could tell: its programs in the kernel ended with it.
func (c *collector) killed(k *handoff.Killed) error {
	return c.tellOfUs("signal", k.PID, func(b *event.Builder) {
		b.Column("operation").Text(signalName(uint64(k.Signal)))
		b.Column("signal").Int(int64(k.Signal))
		b.Column("arguments").JSON(encodeJSON(map[string]any{"told_by": "the supervisor, when the process had ended"}))
		b.Column("target_name").Text(Name)
	})
}

// tellOfUs publishes a row of kernel_events that no program in the kernel has
// told, of one of our processes.
func (c *collector) tellOfUs(what string, pid int, own func(*event.Builder)) error {
	a := c.actions[bpf.System]
	b := a.builder
	a.time.Time(time.Now())
	a.source.Text(api.SourceProc)
	b.Column("event").Text(what)
	b.Column("success").Bool(true)
	b.Column("truncated").Bool(false)
	b.Column("protected").Bool(false)
	b.Column("target_pid").Int(int64(pid))
	b.Column("target_protected").Bool(true)
	own(b)
	b.EndRow()
	if err := a.added(); err != nil {
		return err
	}
	return a.flush()
}

// Events of kernel_events of which no program in the kernel tells.
const (
	eventSensorStopped  = "sensor_stopped"
	eventSensorTampered = "sensor_tampered"
	eventSensorStalled  = "sensor_stalled"
)

// target writes which process an event concerns: as the kernel has told it, or
// as its pid says, which the actor's pid namespace numbers.
func (c *systemColumns) target(e *bpf.Event, l *live, actor *procfs.Process) {
	t := e.System.Target
	var p *procfs.Process
	switch {
	case e.What == bpf.BPF && l.opensMap(e.System):
		t.PID = l.guard.self
		p = l.processes[t.PID]
	case t.Start != 0:
		p = l.find(t.PID, t.Start)
	case t.PID != 0: // as it is numbered at the outermost
		p = l.processes[t.PID]
	default:
		if t.PID = namedTarget(e); t.PID > 0 {
			p = l.named(t.PID, actor)
		}
	}
	switch {
	case p != nil:
		c.targetEntityID.Text(p.EntityID)
		c.targetExecutablePath.TextOrNull(p.Executable)
		c.targetPID.Int(int64(p.PID))
		c.targetName.TextOrNull(p.Name)
		c.targetUserID.Int(int64(p.UID[0]))
		c.targetProtected.Bool(l.guard.has(p))
	case t.PID > 0:
		c.targetPID.Int(int64(t.PID))
		c.targetName.TextOrNull(t.Name)
		if t.Start != 0 {
			c.targetUserID.Int(int64(t.UID))
		}
		c.targetProtected.Bool(false)
	}
}

// namedTarget returns the pid that a call was given, 0 when it was none.
func namedTarget(e *bpf.Event) int32 {
	call := e.System
	switch e.What {
	case bpf.Signal, bpf.SignalOther, bpf.ProcessVMRead, bpf.ProcessVMWrite:
		if call.Name != "pidfd_send_signal" {
			return int32(call.Args[0])
		}
	case bpf.MemoryOpen: // refused
		return memoryOf(call.Texts[0] + call.Texts[1])
	case bpf.Ptrace:
		if call.Args[0] != 0 {
			return int32(call.Args[1])
		}
	}
	return 0
}

// named returns the process that a pid names for another one.
func (l *live) named(pid int32, by *procfs.Process) *procfs.Process {
	if by == nil || by.InnerPID == by.PID || by.InnerPID == 0 {
		return l.processes[pid]
	}
	for _, p := range l.processes {
		if p.InnerPID == pid && p.Namespaces.PID == by.Namespaces.PID {
			return p
		}
	}
	return nil
}

// description is what the arguments of a call say.
type description struct {
	operation, path, object string
	flags                   []string
	signal                  uint64
	arguments               map[string]any
}

func describe(what uint32, c *bpf.Call, redact *redactor) (d description) {
	text := func(s string) string {
		s, _ = cutText(s, maxText)
		return s
	}
	secret := func(s string) string { return text(strings.Join(redact.args(strings.Split(s, " ")), " ")) }
	d.arguments = map[string]any{}
	set := func(name string, value any) {
		if s, ok := value.(string); !ok || s != "" {
			d.arguments[name] = value
		}
	}
	a, words := c.Args, c.Texts
	switch what {
	case bpf.ModuleLoad:
		d.path, d.flags = c.Path, []string{}
		if base := path.Base(c.Path); c.Path != "" {
			d.object, _, _ = strings.Cut(base, ".ko")
			d.flags = moduleFlags(a[2])
		}
		set("parameters", secret(words[1]+words[2]))
	case bpf.ModuleUnload:
		d.object = words[0]
	case bpf.BPF:
		d.describeBPF(c, text)
	case bpf.Ptrace:
		d.operation = ptraceName(a[0])
	case bpf.ProcessVMRead, bpf.ProcessVMWrite:
		set("bytes", max(c.Result, 0))
	case bpf.MemoryOpen, bpf.MemoryRead:
		d.path = c.Path
		if d.path == "" {
			d.path = words[0] + words[1]
		}
	case bpf.MemfdCreate:
		d.object, d.flags = words[0], memfdFlags(a[1])
		if c.Name == "memfd_secret" {
			d.flags = memfdFlags(a[0])
		}
	case bpf.MemoryExecutable:
		d.describeExecutable(c, set)
	case bpf.Mount:
		d.describeMount(c, secret)
	case bpf.Unmount:
		d.path, d.flags = words[0], unmountFlags(a[1])
		if c.Name == "umount" {
			d.flags = []string{}
		}
	case bpf.Kexec:
		d.path = c.Path
		set("command_line", secret(words[3]))
	case bpf.IOPorts:
		if c.Name == "iopl" {
			set("level", a[0])
		} else {
			set("from", a[0])
			set("count", a[1])
			set("on", a[2] != 0)
		}
	case bpf.Key:
		if c.Name == "keyctl" {
			d.operation = keyctlName(a[0])
			set("key", int32(a[1]))
		} else {
			d.object = words[1]
			set("type", text(words[0]))
		}
	case bpf.Prctl:
		d.operation = prctlName(a[0])
		set("value", a[1])
	case bpf.IOURing:
		set("entries", uint32(a[0]))
		if len(c.Bytes) >= 12 {
			set("flags", binary.LittleEndian.Uint32(c.Bytes[8:]))
		}
	case bpf.Userfaultfd:
		set("flags", a[0])
	case bpf.PerfEvent:
		if len(c.Bytes) == 16 {
			d.operation = perfTypeName(binary.LittleEndian.Uint32(c.Bytes))
			set("config", binary.LittleEndian.Uint64(c.Bytes[8:]))
		}
		set("cpu", int32(a[2]))
	case bpf.OpenByHandle:
		d.path = c.Path
		if len(c.Bytes) == 8 {
			set("handle_type", int32(binary.LittleEndian.Uint32(c.Bytes[4:])))
		}
	case bpf.Swap:
		d.operation, d.path = c.Name, words[0]
	case bpf.Reboot:
		d.operation = rebootName(a[2])
	case bpf.HostName:
		d.object = string(c.Bytes)
	case bpf.SetTime:
		if t, ok := timeSet(c); ok {
			set("time", t.Format(time.RFC3339Nano))
		}
	case bpf.Signal, bpf.SignalOther:
		d.signal = a[1]
		if c.Name == "tgkill" || c.Name == "rt_tgsigqueueinfo" {
			d.signal = a[2]
		}
		d.operation = signalName(d.signal)
		if code := int32(c.Args[2]); c.Name == "" && code != 0 {
			set("cause", signalCause(code))
		}
	case bpf.Chroot:
		d.path = words[0]
		set("put_old", text(words[1]))
	case bpf.Flood:
		d.object, d.operation = sortOf(c)
		set("held_back", a[2])
		set("of_user", a[3] != 0)
	case bpf.Namespace:
		d.flags = namespaceFlags(a[0])
		if c.Name == "setns" {
			d.flags = namespaceFlags(a[1])
		}
	case bpf.PidfdGetfd:
		set("descriptor", int32(a[1]))
	case bpf.SetLimits:
		if c.Name == "prlimit64" {
			d.operation = limitName(a[1])
		}
		if len(c.Bytes) == 16 {
			set("soft", limitText(binary.LittleEndian.Uint64(c.Bytes)))
			set("hard", limitText(binary.LittleEndian.Uint64(c.Bytes[8:])))
		}
	case bpf.CgroupMove, bpf.CgroupFreeze:
		d.object = words[0]
	}
	return d
}

func (d *description) describeExecutable(c *bpf.Call, set func(string, any)) {
	switch c.Name {
	case "personality":
		d.flags = personalityFlags(c.Args[0])
	case "shmat":
		d.flags = segmentFlags(c.Args[2])
		set("segment", int32(c.Args[0]))
	case "ipc":
		d.flags = segmentFlags(c.Args[2])
		set("segment", int32(c.Args[1]))
	default:
		d.path, d.flags = c.Path, protections(c.Args[2])
		set("length", c.Args[1])
	}
}

// describeBPF reads union bpf_attr of include/uapi/linux/bpf.h.
func (d *description) describeBPF(c *bpf.Call, text func(string) string) {
	d.operation = bpfCommandName(c.Args[0])
	word := func(at int) (uint32, bool) {
		if at+4 > len(c.Bytes) {
			return 0, false
		}
		return binary.LittleEndian.Uint32(c.Bytes[at:]), true
	}
	number := func(name string, at int) {
		if n, ok := word(at); ok {
			d.arguments[name] = n
		}
	}
	switch c.Args[0] {
	case 5: // BPF_PROG_LOAD
		if n, ok := word(0); ok {
			d.arguments["program_type"] = bpfProgramType(n)
		}
		number("instructions", 4)
		if len(c.Bytes) >= 64 {
			name, _, _ := strings.Cut(string(c.Bytes[48:64]), "\x00")
			d.object = text(name)
		}
	case 6: // BPF_OBJ_PIN
		d.path = c.Texts[1]
	case 17: // BPF_RAW_TRACEPOINT_OPEN
		d.object = c.Texts[1]
	case 8, 9, 28: // BPF_PROG_ATTACH, BPF_PROG_DETACH, BPF_LINK_CREATE
		number("attach_type", 8)
	case 13, 14, 30: // …_GET_FD_BY_ID
		number("id", 0)
		number("open_flags", 8)
	}
}

func (d *description) describeMount(c *bpf.Call, secret func(string) string) {
	set := func(name, value string) {
		if value != "" {
			d.arguments[name] = value
		}
	}
	switch c.Name {
	case "mount":
		d.path, d.object, d.flags = c.Texts[1], c.Texts[2], mountFlags(c.Args[3])
		set("source", secret(c.Texts[0]))
	case "fsopen":
		d.object = c.Texts[0]
	case "fsmount":
		d.flags = mountAttributes(c.Args[2])
	case "move_mount":
		d.path = c.Texts[3]
		set("source", secret(c.Texts[1]))
	case "mount_setattr":
		d.path = c.Texts[1]
		if len(c.Bytes) >= 8 {
			d.flags = mountAttributes(binary.LittleEndian.Uint64(c.Bytes))
		}
	default: // open_tree, fspick
		d.path = c.Texts[1]
	}
}

// timeSet returns the time that a call asked for: of clock_settime(2) only that
// of the wall clock.
func timeSet(c *bpf.Call) (t time.Time, ok bool) {
	words := func(size int) (a, b int64) {
		if size == 4 {
			return int64(int32(binary.LittleEndian.Uint32(c.Bytes))), int64(int32(binary.LittleEndian.Uint32(c.Bytes[4:])))
		}
		return int64(binary.LittleEndian.Uint64(c.Bytes)), int64(binary.LittleEndian.Uint64(c.Bytes[8:]))
	}
	size := 8
	if c.Compat && !strings.HasSuffix(c.Name, "64") {
		size = 4
	}
	switch {
	case c.Name == "stime" && len(c.Bytes) >= 4:
		t = time.Unix(int64(int32(binary.LittleEndian.Uint32(c.Bytes))), 0)
	case len(c.Bytes) < 16:
		return t, false
	case c.Name == "settimeofday":
		seconds, micro := words(size)
		t = time.Unix(seconds, micro*1000)
	case strings.HasPrefix(c.Name, "clock_settime"):
		seconds, nano := words(size)
		t = time.Unix(seconds, nano)
	default:
		return t, false
	}
	t = t.UTC()
	return t, t.Year() > 0 && t.Year() < 10000
}
