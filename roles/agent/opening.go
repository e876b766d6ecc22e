package agent

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"daemoneye/roles/api"
	"daemoneye/roles/term"
)

// opening is what a person sees first, when everything runs.
type opening struct {
	version    string
	host       string
	invocation string // how to run the client for this instance
	collector  *api.CollectorStatus
	roles      []api.RoleStatus
	rules      api.RulesStatus
	refused    []api.Refusal
	store      string
	retention  string
	full       string // why nothing is stored, "" when it is
}

// maxRefused bounds the refused rules that the opening lines name.
const maxRefused = 5

// write prints the opening lines:
//
//	DaemonEye 0.1.0 watches web-1
//	  source  /proc scans, every 30s
//	          processes that live shorter than the interval are missed; …
//	  rules   12 loaded, 1 refused
//	          rules/x.sql: line 3, column 8: …
//	  data    /var/lib/daemoneye/store, kept 30d or 4.0 GiB
//	  roles   procmond pid 12 as nobody with cap_sys_ptrace, …
//	  try     daemoneye ps --tree
func (op *opening) write(o *term.Output) error {
	var b bytes.Buffer
	label := func(name string) string { return "  " + o.Paint(term.Dim, fmt.Sprintf("%-8s", name)) }
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%s%s\n", label(name), o.Text(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(&b, "%s watches %s\n", o.Paint(term.Bold, o.Text("DaemonEye "+op.version)), o.Text(op.host))
	if c := op.collector; c == nil {
		line("source", "the collector has not reported yet")
	} else {
		line("source", "%s, every %v; %s now", sourceName(c.Source), c.Interval, term.Plural(int64(c.Processes), "process", "processes"))
		for _, limit := range c.Limits {
			line("", "%s", limit)
		}
	}
	text := fmt.Sprintf("%d loaded", op.rules.Loaded)
	if op.rules.Disabled > 0 {
		text += fmt.Sprintf(", %d disabled", op.rules.Disabled)
	}
	if op.rules.Refused > 0 {
		text += fmt.Sprintf(", %d refused", op.rules.Refused)
	}
	line("rules", "%s", text)
	if r := op.rules.RolledBack; r != nil {
		line("", "rolled back to set %d: %s rules history", r.Set, op.invocation)
	}
	for i, r := range op.refused {
		if i == maxRefused {
			line("", "and %d more: %s rules list", len(op.refused)-i, op.invocation)
			break
		}
		line("", "%s", r.Message) // it begins with the file
	}
	line("data", "%s, kept %s", op.store, op.retention)
	if op.full != "" {
		fmt.Fprintf(&b, "%s%s\n", label(""), o.Paint(term.BoldRed, o.Text(op.full)))
	}
	for i, r := range op.roles {
		name := ""
		if i == 0 {
			name = "roles"
		}
		line(name, "%s", roleLine(r))
	}
	line("try", "%s ps --tree", op.invocation)
	line("", "%s query \"SELECT name, count(*) FROM processes GROUP BY name ORDER BY 2 DESC\"", op.invocation)
	line("", "%s health", op.invocation)
	fmt.Fprintf(&b, "Alerts appear below as they come. Ctrl-C stops.\n")
	_, err := o.Write(b.Bytes())
	return err
}

func sourceName(source string) string {
	switch source {
	case api.SourceProc:
		return "/proc scans"
	case api.SourceKernel:
		return "eBPF, and scans"
	case api.SourceNetlink:
		return "netlink process events, and scans"
	}
	return source
}

// roleLine says who a role is, for people.
func roleLine(r api.RoleStatus) string {
	if r.Error != "" {
		return fmt.Sprintf("%s pid %d: %s", r.Role, r.PID, r.Error)
	}
	user := r.User
	if user == "" {
		user = fmt.Sprintf("uid %d", r.UID)
	}
	privileges := "no capabilities"
	switch {
	case r.Role == "supervisor" && r.UID == 0:
		privileges = "starts the two, nothing else"
	case len(r.Capabilities) > 0:
		privileges = strings.Join(r.Capabilities, ", ") + " only"
		if len(r.Capabilities) > 4 {
			privileges = fmt.Sprintf("%d capabilities", len(r.Capabilities))
		}
	}
	return fmt.Sprintf("%s pid %d as %s: %s", r.Role, r.PID, user, privileges)
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}
