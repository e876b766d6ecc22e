package client

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"daemoneye/platform"
	"daemoneye/roles/api"
	"daemoneye/roles/term"
)

// Who says something of a role.
const (
	saidKernel = "kernel" // this client has read it
	saidAgent  = "agent"  // which has read it
	saidRole   = "role"   // its own word
)

// roleSecurity is what one of our processes may do.
type roleSecurity struct {
	Role       string   `json:"role"`
	PID        int      `json:"pid"`
	UID        int      `json:"uid"`
	User       string   `json:"user"`
	Effective  []string `json:"effective"`
	Permitted  []string `json:"permitted"`
	Bounding   []string `json:"bounding"`
	NoNewPrivs bool     `json:"no_new_privs"`
	Seccomp    int      `json:"seccomp"` // mode: 0 off, 1 strict, 2 filter
	Source     string   `json:"source"`  // of the above: kernel or agent
	Error      string   `json:"error,omitempty"`

	// The kernel does not tell these; they are the role's own word, nil when it
	// has not said.
	Confinement *api.Confinement `json:"confinement"`

	Descriptors       map[string]int `json:"descriptors"`
	DescriptorsSource string         `json:"descriptors_source"` // kernel, role or "": not known
}

// rolesSecurity looks at the roles. What this client can read of the kernel it
// reads itself, so that a role that was taken over can not tell otherwise.
func rolesSecurity(roles []api.RoleStatus) []roleSecurity {
	list := make([]roleSecurity, 0, len(roles))
	for _, r := range roles {
		x := roleSecurity{
			Role: r.Role, PID: r.PID, UID: r.UID, User: r.User, Effective: r.Effective, Permitted: r.Capabilities, Bounding: r.Bounding,
			NoNewPrivs: r.NoNewPrivs, Seccomp: r.Seccomp, Error: r.Error, Source: saidAgent, Confinement: r.Confinement,
		}
		if r.Confinement != nil && r.Confinement.Descriptors != nil {
			x.Descriptors, x.DescriptorsSource = r.Confinement.Descriptors, saidRole
		}
		x.read(r.Started)
		list = append(list, x)
	}
	return list
}

// read takes what the kernel says of the process, if this client sees it under
// the same number: it may be in another pid namespace.
func (x *roleSecurity) read(started time.Time) {
	s, err := platform.ReadStatus(x.PID)
	if err != nil || x.Error != "" || s.Started.Sub(started).Abs() > time.Second {
		return
	}
	x.Source = saidKernel
	x.UID, x.Effective, x.Permitted, x.Bounding, x.NoNewPrivs, x.Seccomp = s.UID, s.Effective, s.Permitted, s.Bounding, s.NoNewPrivs, s.Seccomp
	open, err := platform.OpenDescriptors(x.PID)
	if err != nil {
		return // it takes root
	}
	defer func() { _ = open.Close() }()
	if kinds, err := open.Kinds(); err == nil {
		x.Descriptors, x.DescriptorsSource = kinds, saidKernel
	}
}

// showSecurity writes a column for each role.
func showSecurity(out *term.Output, roles []roleSecurity) error {
	columns := []string{"role text"}
	for _, x := range roles {
		columns = append(columns, x.Role+" text")
	}
	list := newListing(columns...)
	row := func(name string, cell func(x *roleSecurity) string) {
		cells := []any{name}
		for i := range roles {
			cells = append(cells, cell(&roles[i]))
		}
		list.add(cells...)
	}
	row("pid", func(x *roleSecurity) string { return fmt.Sprint(x.PID) })
	row("user", func(x *roleSecurity) string {
		if x.Error != "" {
			return x.Error
		}
		return strings.TrimSpace(fmt.Sprintf("%s (%d)", x.User, x.UID))
	})
	row("effective", func(x *roleSecurity) string { return capabilities(x.Effective) })
	row("permitted", func(x *roleSecurity) string { return capabilities(x.Permitted) })
	row("bounding", func(x *roleSecurity) string { return capabilities(x.Bounding) })
	row("no_new_privs", func(x *roleSecurity) string { return yesNo(x.NoNewPrivs) })
	row("seccomp", func(x *roleSecurity) string { return seccompState(x) })
	row("landlock", func(x *roleSecurity) string {
		switch {
		case x.Confinement == nil:
			return "not known"
		case x.Confinement.Landlock == 0:
			return "off"
		}
		return fmt.Sprintf("version %d", x.Confinement.Landlock)
	})
	kinds := map[string]bool{}
	for _, x := range roles {
		for kind := range x.Descriptors {
			kinds[kind] = true
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		row("open: "+kind, func(x *roleSecurity) string {
			if x.DescriptorsSource == "" {
				return "not known"
			}
			return fmt.Sprint(x.Descriptors[kind])
		})
	}
	if err := list.print(newPrinter(out, "table")); err != nil {
		return err
	}
	return securityNotes(out, roles)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// seccompState is the kernel's mode, and what the role says of its filter.
func seccompState(x *roleSecurity) string {
	mode := map[int]string{0: "off", 1: "strict", 2: "filter"}[x.Seccomp]
	mode = cmp.Or(mode, fmt.Sprintf("mode %d", x.Seccomp))
	if c := x.Confinement; c != nil && c.Calls > 0 {
		mode += fmt.Sprintf(": %d calls, else %s", c.Calls, c.Seccomp)
	}
	return mode
}

// securityNotes says what is missing, and whose word the rest is.
func securityNotes(out *term.Output, roles []roleSecurity) error {
	s := newSheet(out)
	own := []string{"landlock", "the list of calls"}
	unread, unknown := []string{}, []string{}
	for _, x := range roles {
		if c := x.Confinement; c != nil {
			for _, text := range slices.Concat(c.Missing, c.Limits) {
				s.item("%s: %s", x.Role, text)
			}
		}
		switch x.DescriptorsSource {
		case saidRole:
			unread = append(unread, x.Role)
		case "":
			unknown = append(unknown, x.Role)
		}
		if x.Source != saidKernel {
			s.item("%s: not seen from here; the agent has read it", x.Role)
		}
	}
	if len(unread) > 0 {
		own = append(own, "open descriptors of "+strings.Join(unread, ", "))
	}
	s.item("the role's own word: %s; the kernel says the rest", strings.Join(own, ", "))
	if len(unknown) > 0 {
		s.item("descriptors of %s: only root may list them", strings.Join(unknown, ", "))
	}
	return s.flush()
}
