package event

import "slices"

// tables is the one list of the event view. It is never changed after the
// program has started.
var tables = []*Table{
	define(Table{
		Name: "processes", Kind: State, Time: "collection_time",
		Doc:     "a live process, as last seen",
		Columns: processColumns(),
	}),
	define(Table{
		Name: "process_events", Kind: Stream, Time: "time",
		Doc: "a process was made, executed a new image, changed, exited, or was found by a scan",
		Columns: slices.Concat([]Column{
			{Name: "time", Type: Timestamptz, NotNull: true, Doc: "when it happened, or when a scan noticed it"},
			{Name: "event", Type: Text, NotNull: true, Doc: "fork (a copy of its parent), exec (same pid, new image), changed, exit, or seen (found by a scan)"},
			{Name: "source", Type: Text, NotNull: true, Doc: "what observed it: ebpf (as it happened, or a scan of the kernel's list) or procfs (a scan of /proc)"},
			{Name: "changed_columns", Type: TextArray, Doc: "for changed and exec: the columns whose values differ from the row before"},
			{Name: "exec_path", Type: Text, Doc: "for exec, from ebpf: the path as it was asked for; of a script, its own"},
			{Name: "interpreter", Type: Text, Doc: "for exec of a script, from ebpf: its interpreter"},
			{Name: "exit_code", Type: Int4, Doc: "for exit, from ebpf: the exit code; NULL when a signal ended it"},
			{Name: "exit_signal", Type: Int4, Doc: "for exit, from ebpf: the number of the signal that ended it"},
			{Name: "duration", Type: Float8, Unit: "seconds", Doc: "for exit, from ebpf: how long the process lived"},
			{Name: "peak_memory", Type: Int8, Unit: "bytes", Doc: "for exit, from ebpf: the largest resident set size of its last image"},
		}, processColumns()),
	}),
	define(Table{
		Name: "process_samples", Kind: Stream, Time: "time",
		Doc: "CPU, memory, threads and state of a process at one scan; written when one of them changed",
		Columns: []Column{
			{Name: "time", Type: Timestamptz, NotNull: true, Doc: "when the sample was taken"},
			{Name: "entity_id", Type: Text, NotNull: true, Doc: "the process, as in processes.entity_id"},
			{Name: "pid", Type: Int4, NotNull: true, Doc: "process id"},
			{Name: "name", Type: Text, Doc: "the kernel's name of the process (comm)"},
			{Name: "status", Type: Text, Doc: "running, sleeping, disk-sleep, stopped, traced, zombie, dead or idle"},
			{Name: "cpu_usage", Type: Float8, Unit: "percent of one core", Doc: "CPU use since the sample before, or since the start of the process"},
			{Name: "cpu_time", Type: Float8, Unit: "seconds", Doc: "user and system CPU time since the start of the process"},
			{Name: "memory_usage", Type: Int8, Unit: "bytes", Doc: "resident set size"},
			{Name: "virtual_memory", Type: Int8, Unit: "bytes", Doc: "size of the address space"},
			{Name: "threads", Type: Int4, Doc: "number of threads"},
		},
	}),
	define(Table{
		Name: "scans", Kind: Stream, Time: "time",
		Doc: "one enumeration of all processes",
		Columns: []Column{
			{Name: "time", Type: Timestamptz, NotNull: true, Doc: "when the scan began"},
			{Name: "collector_id", Type: Text, NotNull: true, Doc: "the collector that made it"},
			{Name: "source", Type: Text, NotNull: true, Doc: "what was read: ebpf (the kernel's list) or procfs"},
			{Name: "duration", Type: Float8, NotNull: true, Unit: "seconds", Doc: "how long the scan took"},
			{Name: "processes", Type: Int4, NotNull: true, Doc: "processes found"},
			{Name: "inaccessible", Type: Int4, NotNull: true, Doc: "processes found of which not everything could be read"},
			{Name: "vanished", Type: Int4, NotNull: true, Doc: "processes that ended while they were read"},
			{Name: "events", Type: Int4, NotNull: true, Doc: "process_events that came of the comparison with the scan before"},
			{Name: "errors", Type: Int4, NotNull: true, Doc: "unexpected errors"},
			{Name: "error", Type: Text, Doc: "the first unexpected error"},
		},
	}),
	define(Table{
		Name: "alerts", Kind: State, Time: "last_seen",
		Doc: "a rule matched; further matches with the same dedup key within the rule's window are counted here",
		Columns: []Column{
			{Name: "alert_id", Type: Text, NotNull: true, Doc: "unique; sorts by creation time"},
			{Name: "time", Type: Timestamptz, NotNull: true, Doc: "when the alert was raised"},
			{Name: "rule_id", Type: Text, NotNull: true, Doc: "the rule, as in rules.rule_id"},
			{Name: "rule_version", Type: Text, Doc: "the rule's version when it matched"},
			{Name: "severity", Type: Text, NotNull: true, Doc: "low, medium, high or critical"},
			{Name: "title", Type: Text, NotNull: true, Doc: "the rule's title"},
			{Name: "description", Type: Text, Doc: "the rule's description"},
			{Name: "tags", Type: TextArray, Doc: "the rule's tags, ATT&CK ids among them"},
			{Name: "dedup_key", Type: Text, NotNull: true, Doc: "values of the rule's dedup columns"},
			{Name: "count", Type: Int8, NotNull: true, Doc: "matches counted into this alert"},
			{Name: "first_seen", Type: Timestamptz, NotNull: true, Doc: "time of the first matching row"},
			{Name: "last_seen", Type: Timestamptz, NotNull: true, Doc: "time of the last matching row"},
			{Name: "table_name", Type: Text, NotNull: true, Doc: "the table that the rule reads"},
			{Name: "matched_row", Type: JSONB, NotNull: true, Doc: "what the rule's SELECT returned for the first match"},
			{Name: "process", Type: JSONB, Doc: "the process of the first match: its processes columns"},
			{Name: "entity_id", Type: Text, Doc: "the process, as in processes.entity_id"},
			{Name: "pid", Type: Int4, Doc: "process id"},
			{Name: "host", Type: Text, NotNull: true, Doc: "host name"},
			{Name: "complete", Type: Bool, NotNull: true, Doc: "false when a loss of events could have hidden more"},
			{Name: "incomplete_reasons", Type: TextArray, Doc: "why complete is false"},
		},
	}),
	define(Table{
		Name: "rules", Kind: State, Time: "loaded_at",
		Doc: "a detection rule that was loaded or refused",
		Columns: []Column{
			{Name: "rule_id", Type: Text, Doc: "the id of the rule's header; NULL when the file was refused before it was known"},
			{Name: "title", Type: Text, Doc: "title"},
			{Name: "description", Type: Text, Doc: "description"},
			{Name: "severity", Type: Text, Doc: "low, medium, high or critical"},
			{Name: "tags", Type: TextArray, Doc: "tags, ATT&CK ids among them"},
			{Name: "author", Type: Text, Doc: "author"},
			{Name: "version", Type: Text, Doc: "version"},
			{Name: "status", Type: Text, Doc: "experimental, test, stable or deprecated"},
			{Name: "file", Type: Text, NotNull: true, Doc: "where it was read from; builtin: for the shipped pack"},
			{Name: "enabled", Type: Bool, NotNull: true, Doc: "whether it is evaluated"},
			{Name: "mode", Type: Text, Doc: "stream (as events arrive), history (over stored events) or scan (after each scan)"},
			{Name: "table_name", Type: Text, Doc: "the table that the rule reads"},
			{Name: "error", Type: Text, Doc: "why the rule was refused"},
			{Name: "loaded_at", Type: Timestamptz, NotNull: true, Doc: "when the set of rules was loaded"},
			{Name: "evaluated", Type: Int8, NotNull: true, Unit: "rows", Doc: "rows evaluated since it was loaded"},
			{Name: "matched", Type: Int8, NotNull: true, Unit: "rows", Doc: "rows matched since it was loaded"},
			{Name: "failed", Type: Int8, NotNull: true, Doc: "evaluations that ended in an error, and rows passed over after one, since it was loaded"},
			{Name: "cut", Type: Int8, NotNull: true, Unit: "rows", Doc: "matched rows that were too long for an alert and were cut"},
			{Name: "sql", Type: Text, Doc: "the rule's SELECT"},
		},
	}),
	define(Table{
		Name: "collectors", Kind: State, Time: "last_seen",
		Doc: "a collector that has registered with the agent",
		Columns: []Column{
			{Name: "collector_id", Type: Text, NotNull: true, Doc: "unique for one start of one collector"},
			{Name: "pid", Type: Int4, NotNull: true, Doc: "process id, from the socket's credentials"},
			{Name: "user_id", Type: Int8, NotNull: true, Doc: "user id, from the socket's credentials"},
			{Name: "source", Type: Text, NotNull: true, Doc: "what it observes with: ebpf or procfs"},
			{Name: "connected", Type: Bool, NotNull: true, Doc: "whether it is connected now"},
			{Name: "first_seen", Type: Timestamptz, NotNull: true, Doc: "when it registered first"},
			{Name: "last_seen", Type: Timestamptz, NotNull: true, Doc: "when its last batch or heartbeat arrived"},
			{Name: "sequence", Type: Int8, NotNull: true, Doc: "sequence number of its last stored batch"},
			{Name: "batches", Type: Int8, NotNull: true, Doc: "batches stored"},
			{Name: "rows", Type: Int8, NotNull: true, Doc: "rows stored"},
			{Name: "duplicates", Type: Int8, NotNull: true, Unit: "batches", Doc: "batches resent after they were stored, and discarded"},
			{Name: "dropped", Type: Int8, NotNull: true, Unit: "rows", Doc: "rows that the collector could not keep"},
		},
	}),
	define(Table{
		Name: "event_gaps", Kind: Stream, Time: "time",
		Doc: "a stretch of time in which events were, or may have been, lost",
		Columns: []Column{
			{Name: "time", Type: Timestamptz, NotNull: true, Doc: "when the gap was noticed"},
			{Name: "table_name", Type: Text, NotNull: true, Doc: "the table whose rows are missing"},
			{Name: "start_time", Type: Timestamptz, NotNull: true, Doc: "nothing is missing before"},
			{Name: "end_time", Type: Timestamptz, NotNull: true, Doc: "nothing is missing from here on"},
			{Name: "collector_id", Type: Text, Doc: "the collector concerned"},
			{Name: "hop", Type: Text, NotNull: true, Doc: "where it was lost: collector, bus, store or matcher"},
			{Name: "reason", Type: Text, NotNull: true, Doc: "why"},
			{Name: "lost", Type: Int8, Unit: "rows", Doc: "rows lost; NULL when it can not be known"},
		},
	}),
}

// actorColumns describe the process that did something, in the tables of what
// processes do: some of processColumns, all of which may be NULL.
func actorColumns() []Column {
	names := []string{
		"entity_id", "pid", "ppid", "name", "executable_path", "command_line", "user_id", "effective_user_id", "user_name",
		"login_user_id", "container_id", "parent_entity_id", "parent_name", "parent_executable_path", "parent_command_line", "ancestors",
	}
	var list []Column
	for _, c := range processColumns() {
		if slices.Contains(names, c.Name) {
			c.NotNull = false
			list = append(list, c)
		}
	}
	return list
}

// processColumns describe one process. They stand in processes and again in
// process_events, so that a rule needs no join.
func processColumns() []Column {
	return []Column{
		{Name: "entity_id", Type: Text, NotNull: true, Doc: "identity that survives reuse of the pid: from boot id, pid and start time"},
		{Name: "pid", Type: Int4, NotNull: true, Doc: "process id (thread group id)"},
		{Name: "ppid", Type: Int4, Doc: "parent's process id"},
		{Name: "name", Type: Text, Doc: "the kernel's name of the process (comm), at most 15 bytes"},
		{Name: "executable_path", Type: Text, Doc: "the file that runs, links resolved; NULL for kernel threads and where it can not be read"},
		{Name: "invoked_path", Type: Text, Doc: "as what it was started: argv[0]"},
		{Name: "command_line", Type: Text, Doc: "the arguments, joined by one space, secrets redacted; bytes that are not UTF-8 appear as \\xHH"},
		{Name: "command_line_truncated", Type: Bool, Doc: "whether command_line was cut at the collector's limit"},
		{Name: "cwd", Type: Text, Doc: "working directory"},
		{Name: "start_time", Type: Timestamptz, Doc: "when the process started"},
		{Name: "start_time_ns", Type: Int8, Unit: "nanoseconds since the Unix epoch", Doc: "start_time as exactly as the source gives it; /proc counts in ticks of 10 ms"},
		{Name: "user_id", Type: Int8, Doc: "real user id"},
		{Name: "effective_user_id", Type: Int8, Doc: "effective user id"},
		{Name: "group_id", Type: Int8, Doc: "real group id"},
		{Name: "effective_group_id", Type: Int8, Doc: "effective group id"},
		{Name: "user_name", Type: Text, Doc: "name of user_id on this host"},
		{Name: "login_user_id", Type: Int8, Doc: "user id with which the session was logged in, kept by the audit system; NULL when none was set"},
		{Name: "status", Type: Text, Doc: "running, sleeping, disk-sleep, stopped, traced, zombie, dead or idle"},
		{Name: "cpu_usage", Type: Float8, Unit: "percent of one core", Doc: "CPU use between the last two scans, or since the start of the process"},
		{Name: "cpu_time", Type: Float8, Unit: "seconds", Doc: "user and system CPU time since the start of the process"},
		{Name: "memory_usage", Type: Int8, Unit: "bytes", Doc: "resident set size"},
		{Name: "virtual_memory", Type: Int8, Unit: "bytes", Doc: "size of the address space"},
		{Name: "threads", Type: Int4, Doc: "number of threads"},
		{Name: "session_id", Type: Int4, Doc: "session id"},
		{Name: "process_group_id", Type: Int4, Doc: "process group id"},
		{Name: "tty", Type: Text, Doc: "controlling terminal, such as pts/0; NULL when there is none"},
		{Name: "cgroup", Type: Text, Doc: "control group path (the unified hierarchy's, else the first)"},
		{Name: "container_id", Type: Text, Doc: "container id taken from the control group path"},
		{Name: "namespaces", Type: JSONB, Doc: "namespace inode numbers by type, such as {\"mnt\": 4026531841}"},
		{Name: "capabilities", Type: TextArray, Doc: "effective capabilities, such as cap_net_admin"},
		{Name: "kernel_thread", Type: Bool, NotNull: true, Doc: "whether it is a thread of the kernel"},
		{Name: "executable_hash", Type: Text, Doc: "digest of the executable by hash_algorithm, in hex; NULL until it is known"},
		{Name: "hash_algorithm", Type: Text, Doc: "sha256"},
		{Name: "executable_blake3", Type: Text, Doc: "BLAKE3-256 digest of the executable, in hex"},
		{Name: "executable_inode", Type: Int8, Doc: "inode number of the executable"},
		{Name: "executable_device", Type: Int8, Doc: "device number of the executable's file system"},
		{Name: "executable_mode", Type: Text, Doc: "permissions of the executable, in octal: 4755"},
		{Name: "executable_user_id", Type: Int8, Doc: "owner of the executable"},
		{Name: "file_exists", Type: Bool, Doc: "whether executable_path still names the file that runs; false when it was deleted or replaced"},
		{Name: "accessible", Type: Bool, NotNull: true, Doc: "whether everything about the process could be read"},
		{Name: "environment_vars", Type: JSONB, Doc: "environment as an object of strings; unless all of it is switched on, only what ebpf saw at exec of variables such as LD_PRELOAD that change what a program does"},
		{Name: "parent_entity_id", Type: Text, Doc: "the parent's entity_id"},
		{Name: "parent_name", Type: Text, Doc: "the parent's name"},
		{Name: "parent_executable_path", Type: Text, Doc: "the parent's executable_path"},
		{Name: "parent_command_line", Type: Text, Doc: "the parent's command_line"},
		{Name: "ancestors", Type: TextArray, Doc: "executable path (or name) of the parent, its parent and so on"},
		{Name: "collection_time", Type: Timestamptz, NotNull: true, Doc: "when the row was read"},
		{Name: "platform_data", Type: JSONB, Doc: "what only this platform has"},
	}
}
