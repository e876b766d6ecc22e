package sigma

import "strings"

// column is where a field's value may be.
type column struct {
	sql   string // a column, or an expression
	kind  kindOf
	guard string // holds the field only where this is true; "": always

	// claimed is what the process can choose as it likes, such as argv[0]. It
	// is looked at where a match is wanted, and not within NOT, where it could
	// make an exception of an attacker.
	claimed bool
}

// kindOf says what can be done with a column.
type kindOf uint8

const (
	ofText kindOf = iota
	ofNumber
	ofAddress
	ofArguments // command_line from the word on that number says
)

// view is a table that answers a kind of rules.
type view struct {
	table  string
	where  string // what its rows must be
	fields map[string][]column
	// keywords are the columns that keywords are looked for in.
	keywords []column
	result   string // columns of the result

	// Of audit records:
	records []string // values of type
	absent  []string // fields of records of other types
	calls   []string // system calls that the rows tell of
	named   bool     // only rules that name one of calls are about it
}

func text(sql string) []column    { return []column{{sql: sql}} }
func number(sql string) []column  { return []column{{sql: sql, kind: ofNumber}} }
func address(sql string) []column { return []column{{sql: sql, kind: ofAddress}} }
func when(guard string, c []column) []column {
	out := make([]column, len(c))
	for i := range c {
		out[i] = c[i]
		out[i].guard = guard
	}
	return out
}

func either(lists ...[]column) (out []column) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// with adds fields to others.
func with(base map[string][]column, more map[string][]column) map[string][]column {
	out := map[string][]column{}
	for name, c := range base {
		out[name] = c
	}
	for name, c := range more {
		out[name] = c
	}
	return out
}

const (
	argv0       = "invoked_path"
	parentArgv0 = "split_part(parent_command_line, ' ', 1)"
)

// actor are the fields of the process that did something, which all tables have.
func actor() map[string][]column {
	return map[string][]column{
		"Image":             text("executable_path"),
		"ProcessName":       text("executable_path"),
		"CommandLine":       text("command_line"),
		"ProcessId":         number("pid"),
		"User":              text("user_name"),
		"ParentImage":       either(text("parent_executable_path"), []column{{sql: parentArgv0, claimed: true}}),
		"ParentCommandLine": text("parent_command_line"),
		"ParentProcessId":   number("ppid"),
		"LogonId":           number("user_id"), // as Sysmon for Linux tells it
		"ContainerId":       text("container_id"),
	}
}

// processStarted has what a process event says beyond that. Of a link, such as
// sh, executable_path is the program that it leads to; exec_path is what was
// asked for.
func processStarted() map[string][]column {
	image := either(text("executable_path"), text("exec_path"), []column{{sql: argv0, claimed: true}})
	return with(actor(), map[string][]column{
		"Image":            image,
		"ProcessName":      image,
		"CurrentDirectory": text("cwd"),
		"sha256":           text("executable_hash"),
		"SHA256":           text("executable_hash"),
	})
}

const (
	started      = "event IN ('seen', 'exec')"
	hashed       = "event IN ('seen', 'exec', 'changed')" // digests come a moment later
	inbound      = "event = 'accept'"
	outbound     = "event <> 'accept'"
	renamed      = "event = 'rename'"
	notRenamed   = "event <> 'rename'"
	processShown = "time, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line"
	fileShown    = "time, event, path, target_path, pid, user_name, executable_path, command_line, parent_executable_path"
	netShown     = "time, event, protocol, local_address, local_port, remote_address, remote_port, dns_name, pid, user_name, executable_path, command_line"
	// The events of the system calls that audit has; signals are not among them.
	kernelCalls = "event IN ('memfd_create', 'module_load', 'module_unload', 'bpf', 'process_vm_read', 'process_vm_write', 'mount', 'unmount', 'kexec', " +
		"'io_ports', 'io_uring_setup', 'userfaultfd', 'perf_event_open', 'open_by_handle', 'swap', 'reboot', 'host_name', 'set_time', 'chroot')"
	kernelShown = "time, event, system_call, operation, path, object_name, target_executable_path, pid, user_name, executable_path, command_line"
)

// newFile is the name that a file got.
func newFile() []column {
	return either(when(notRenamed, text("path")), when(renamed, text("target_path")))
}

// views are the tables for a log source. Those of several kinds of audit
// records make a rule each.
func views(l Logsource) ([]view, *Error) {
	switch {
	case l.Category == "" && l.Service == "auditd":
		return audit(), nil
	case l.Category == "" && l.Service != "":
		return nil, fail(0, "no table has the log of %s", l)
	case l.Category == "":
		return nil, fail(0, "log source %s names no category: no table has its log", l)
	case l.Service != "" && l.Service != "sysmon":
		return nil, fail(0, "no table has the log of %s", l)
	}
	switch l.Product {
	case "", "linux", "macos", "windows":
	default:
		return nil, fail(0, "no table has the log of %s", l)
	}
	v, ok := category(l.Category)
	if !ok {
		return nil, fail(0, "no table has events of category %q", l.Category)
	}
	if l.Product == "windows" {
		delete(v.fields, "LogonId") // a session's there
	}
	return []view{v}, nil
}

func category(name string) (view, bool) {
	fileEvent := func(where string, target []column) view {
		return view{
			table: "file_events", where: where + " AND error IS NULL", result: fileShown, keywords: either(text("path"), text("target_path"), text("command_line")),
			fields: with(actor(), map[string][]column{"TargetFilename": target}),
		}
	}
	switch name {
	case "process_creation":
		return view{
			table: "process_events", where: started, fields: processStarted(), result: processShown,
			keywords: either(text("command_line"), text("executable_path"), text("exec_path"), text("parent_command_line")),
		}, true
	case "process_termination":
		return view{table: "process_events", where: "event = 'exit'", fields: processStarted(), result: processShown, keywords: text("command_line")}, true
	case "file_event":
		return fileEvent("event IN ('create', 'write', 'rename', 'link', 'symlink')", newFile()), true
	case "file_delete":
		return fileEvent("event = 'delete'", text("path")), true
	case "file_access":
		return fileEvent("event IN ('read', 'write')", text("path")), true
	case "file_rename":
		v := fileEvent("event = 'rename'", text("target_path"))
		v.fields["SourceFilename"] = text("path")
		return v, true
	case "network_connection":
		return view{
			table: "network_events", where: "event IN ('connect', 'accept', 'send')", result: netShown,
			keywords: either(text("remote_address"), text("local_address"), text("command_line")), fields: with(actor(), connection()),
		}, true
	case "dns_query":
		return view{
			table: "network_events", where: "event = 'dns_query'", result: netShown, keywords: either(text("dns_name"), text("command_line")),
			fields: with(actor(), map[string][]column{"QueryName": text("dns_name"), "QueryType": text("dns_type")}),
		}, true
	case "driver_load":
		return view{
			table: "kernel_events", where: "event = 'module_load' AND success", result: kernelShown, keywords: either(text("path"), text("object_name"), text("command_line")),
			fields: with(actor(), map[string][]column{"ImageLoaded": text("path")}),
		}, true
	case "process_access":
		return view{
			table: "kernel_events", where: "event IN ('ptrace', 'process_vm_read', 'process_vm_write', 'process_memory_open') AND success", result: kernelShown,
			keywords: text("command_line"),
			fields: map[string][]column{
				"SourceImage": text("executable_path"), "SourceUser": text("user_name"), "SourceProcessId": number("pid"), "SourceCommandLine": text("command_line"),
				"TargetImage": text("target_executable_path"), "TargetProcessId": number("target_pid"),
			},
		}, true
	}
	return view{}, false
}

// connection are the fields of a connection. Its source is who began it.
func connection() map[string][]column {
	sides := func(f func(string) []column, here, there string) []column {
		return either(when(outbound, f(here)), when(inbound, f(there)))
	}
	isIPv6 := func(columns []column) []column {
		out := make([]column, len(columns))
		for i, c := range columns {
			out[i] = c
			out[i].sql = "(" + c.sql + " LIKE '%:%')::text"
		}
		return out
	}
	source, destination := sides(text, "local_address", "remote_address"), sides(text, "remote_address", "local_address")
	return map[string][]column{
		"Initiated":         text("(event <> 'accept')::text"),
		"Protocol":          text("protocol"),
		"SourceIp":          sides(address, "local_address", "remote_address"),
		"SourcePort":        sides(number, "local_port", "remote_port"),
		"DestinationIp":     sides(address, "remote_address", "local_address"),
		"DestinationPort":   sides(number, "remote_port", "local_port"),
		"SourceIsIpv6":      isIPv6(source),
		"DestinationIsIpv6": isIPv6(destination),
	}
}

// The name of a connection's other side is known when it is asked for, by its
// own event: a rule that looks at it reads those, in which other fields of the
// connection are not known yet.
const hostname = "DestinationHostname"

func asked(v view) view {
	v.where = "event = 'dns_query'"
	v.fields = with(actor(), map[string][]column{hostname: text("dns_name"), "Initiated": text("'true'")})
	v.keywords = either(text("dns_name"), text("command_line"))
	return v
}

// audit are the tables that tell what the Linux audit system does: each of one
// or more records of an event.
func audit() []view {
	who := func(more map[string][]column) map[string][]column {
		return with(map[string][]column{
			"comm": text("name"), "exe": text("executable_path"), "pid": number("pid"), "ppid": number("ppid"),
			"uid": number("user_id"), "euid": number("effective_user_id"), "auid": number("login_user_id"),
		}, more)
	}
	arguments := map[string][]column{
		"a0":  text(argv0),
		"cwd": text("cwd"), "gid": number("group_id"), "egid": number("effective_group_id"),
		"exe": either(text("executable_path"), text("exec_path")),
	}
	for _, name := range argumentNames()[1:] {
		arguments[name] = []column{{sql: "command_line", kind: ofArguments}}
	}
	return []view{
		{
			table: "process_events", where: started, fields: who(arguments), result: processShown, keywords: either(text("command_line"), text("executable_path")),
			records: []string{"EXECVE", "SYSCALL"}, absent: []string{"name", "nametype", "ouid", "ogid"}, calls: []string{"execve", "execveat"},
		},
		{
			table: "file_events", result: fileShown, keywords: either(text("path"), text("target_path")), records: []string{"PATH"},
			absent: argumentNames(),
			fields: who(map[string][]column{
				"name":     either(text("path"), when("event IN ('rename', 'link')", text("target_path"))),
				"nametype": text("CASE WHEN event IN ('create', 'mkdir', 'mknod', 'link', 'symlink', 'rename') THEN 'CREATE' WHEN event = 'delete' THEN 'DELETE' ELSE 'NORMAL' END"),
				"ouid":     number("file_user_id"), "ogid": number("file_group_id"),
			}),
		},
		{
			table: "kernel_events", where: kernelCalls, result: kernelShown, keywords: either(text("path"), text("object_name")), records: []string{"SYSCALL"}, named: true,
			fields: who(map[string][]column{"success": text("CASE WHEN success THEN 'yes' ELSE 'no' END")}),
			calls: []string{
				"memfd_create", "init_module", "finit_module", "delete_module", "bpf", "process_vm_readv", "process_vm_writev", "mount", "umount2",
				"kexec_load", "kexec_file_load", "ioperm", "iopl", "io_uring_setup", "userfaultfd", "perf_event_open", "open_by_handle_at", "swapon", "swapoff",
				"reboot", "sethostname", "setdomainname", "settimeofday", "clock_settime", "chroot",
			},
		},
		{
			table: "network_events", where: "event IN ('connect', 'accept', 'listen')", result: netShown, keywords: either(text("remote_address"), text("local_address")),
			records: []string{"SYSCALL"}, named: true, calls: []string{"connect", "accept", "listen"}, fields: who(nil),
		},
	}
}

func argumentNames() []string {
	return []string{"a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"}
}

// callColumn is the column that names the system call, of views with calls.
func (v *view) callColumn() string {
	switch v.table {
	case "kernel_events":
		return "system_call"
	case "network_events":
		return "event"
	}
	return ""
}

// near returns a field's name that differs from the given one by case alone.
func (v *view) near(field string) string {
	for name := range v.fields {
		if strings.EqualFold(name, field) {
			return name
		}
	}
	return ""
}
