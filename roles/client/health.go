package client

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"daemoneye/roles/api"
	"daemoneye/roles/term"
)

func healthCommand() *cli.Command {
	return &cli.Command{
		Name:  "health",
		Usage: "show whether everything runs, with which privileges; exit status 1 when it does not",
		Description: `   daemoneye health
   daemoneye health --format json | jq .problems
   daemoneye health --security
   daemoneye health > /dev/null || echo "look at DaemonEye"`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "table", Usage: "`FORMAT` of the output: table, json"},
			&cli.BoolFlag{Name: "security", Usage: "show what confines each role, and what it has open, instead"},
		},
		Action: run(health),
	}
}

func health(c *call) error {
	name := c.String("format")
	if name != "table" && name != "json" {
		return usage("it can be table or json", "health has no format %q", name)
	}
	if err := c.exactly(0, ""); err != nil {
		return err
	}
	h, err := c.health()
	switch {
	case err != nil && name == "json" && c.ctx.Err() == nil:
		// Who reads JSON gets JSON: that nothing answers is an answer, too.
		err = writeJSON(c.out, struct {
			Healthy  bool     `json:"healthy"`
			Problems []string `json:"problems"`
		}{false, []string{err.Error()}})
	case err != nil:
		return err
	case c.Bool("security") && name == "json":
		err = writeJSON(c.out, rolesSecurity(h.Roles))
	case c.Bool("security"):
		err = showSecurity(c.out, rolesSecurity(h.Roles))
	case name == "json":
		err = writeJSON(c.out, h)
	default:
		err = showHealth(c.out, h)
	}
	if err == nil && (h == nil || !h.Healthy) {
		return ErrNo
	}
	return err
}

// health asks the agent.
func (c *call) health() (*api.HealthReply, error) {
	return askAgent[api.HealthReply](c, api.Health, nil)
}

// showHealth writes the problems first: what else there is to read depends on
// them.
func showHealth(out *term.Output, h *api.HealthReply) error {
	s := newSheet(out)
	if h.Healthy {
		s.b.WriteString(out.Paint(term.Green, "healthy") + "\n")
	} else {
		s.b.WriteString(out.Paint(term.BoldRed, "not healthy") + "\n")
	}
	for _, p := range h.Problems {
		s.item("%s", p)
	}
	s.b.WriteByte('\n')
	s.line("agent", "version %s, up %s", h.Version, term.Duration(h.Time.Sub(h.Started)))
	healthCollector(s, h)
	healthStore(s, &h.Store)
	r := &h.Rules
	text := fmt.Sprintf("%d loaded", r.Loaded)
	for _, n := range []struct {
		count int
		what  string
	}{{r.Disabled, "disabled"}, {r.Refused, "refused"}, {len(r.Failing), "failing"}} {
		if n.count > 0 {
			text += fmt.Sprintf(", %d %s", n.count, n.what)
		}
	}
	s.line("rules", "%s; %s evaluated, %s", text, term.Count(r.Evaluated), term.Plural(r.Matched, "match", "matches"))
	s.line("", "read from %s", orNone(strings.Join(r.From, ", ")))
	if r.RolledBack != nil {
		s.line("", "%s", rolledBackText(r.RolledBack))
	}
	for _, f := range r.Failing {
		s.line("", "%s", f)
	}
	for _, e := range r.Expired {
		s.line("", "%s", e)
	}
	var alerts []string
	for _, severity := range slices.Backward(severities()) {
		if n := h.Alerts[severity]; n > 0 {
			alerts = append(alerts, fmt.Sprintf("%s %s", term.Count(n), severity))
		}
	}
	for _, severity := range slices.Sorted(maps.Keys(h.Alerts)) {
		if n := h.Alerts[severity]; n > 0 && !slices.Contains(severities(), severity) {
			alerts = append(alerts, fmt.Sprintf("%s %s", term.Count(n), severity))
		}
	}
	s.line("alerts, last 24 h", "%s", orNone(strings.Join(alerts, ", ")))
	s.line("gaps, last 24 h", "%s", term.Count(h.Gaps))
	healthLedger(s, h)
	b := &h.Bus
	s.line("bus", "%s; %s in, %s out; %s shed, %s malformed, %s refused", term.Plural(int64(b.Connections), "connection", "connections"),
		term.Count(b.In), term.Count(b.Out), term.Count(b.Dropped), term.Count(b.Malformed), term.Count(b.Refused))
	for _, r := range h.Roles {
		if r.Confinement != nil {
			for _, missing := range r.Confinement.Missing {
				s.line("security", "%s: %s", r.Role, missing)
			}
		}
	}
	s.b.WriteByte('\n')
	if err := s.flush(); err != nil {
		return err
	}
	return roleTable(out, h.Roles)
}

func healthLedger(s *sheet, h *api.HealthReply) {
	l := &h.Ledger
	s.line("ledger", "%s, %s under the newest checkpoint; %s wait, %s lost", term.Plural(int64(l.Size), "entry", "entries"), term.Count(int64(l.Checkpoint)),
		term.Count(int64(l.Waiting)), term.Count(int64(l.Lost)))
	if !l.SignedAt.IsZero() {
		s.line("", "signed %s ago; public key %s", term.Duration(max(h.Time.Sub(l.SignedAt), 0).Truncate(time.Second)), l.PublicKey)
	}
	if l.Error != "" {
		s.line("", "%s", l.Error)
	}
}

func healthCollector(s *sheet, h *api.HealthReply) {
	c := h.Collector
	if c == nil {
		s.line("collector", "none has registered")
		return
	}
	state := "connected"
	if !c.Connected {
		state = "not connected, last seen " + term.Duration(h.Time.Sub(c.LastSeen)) + " ago"
	}
	scan := "no scan yet"
	if !c.LastScanAt.IsZero() {
		scan = fmt.Sprintf("last scan %s ago, took %s", term.Duration(max(h.Time.Sub(c.LastScanAt), 0).Truncate(time.Second)), term.Duration(c.LastScan))
	}
	s.line("collector", "%s; source %s, a scan every %s", state, c.Source, term.Duration(c.Interval))
	found := ""
	if c.Source != api.SourceProc {
		found = fmt.Sprintf(", %s found by scans only", term.Count(int64(c.Found)))
	}
	if c.Source == api.SourceNetlink {
		found += fmt.Sprintf(", %s looked up too late", term.Plural(int64(c.Late), "event", "events"))
	}
	s.line("", "%s; %s%s", scan, term.Plural(int64(c.Processes), "process", "processes"), found)
	s.line("", "%s queued, %s dropped, %s", term.Plural(int64(c.Queued), "batch", "batches"), term.Plural(int64(c.Dropped), "row", "rows"),
		term.Plural(int64(c.Scans), "scan", "scans"))
	if u := &c.Unread; u.Total() > 0 {
		s.line("", "not read or hashed in time: %s late, %s not made; %s not queued, %s stalled, %s too large; first %s, last %s",
			term.Plural(int64(u.Late), "request", "requests"), term.Count(int64(u.Refused)),
			term.Plural(int64(u.Dropped), "hash", "hashes"), term.Count(int64(u.Stalled)), term.Count(int64(u.Large)), stamp(u.First), stamp(u.Last))
	}
	if u := &c.Held; u.Rows > 0 {
		s.line("", "held back: %s of who made too many; first %s, last %s; last by %s", term.Plural(int64(u.Rows), "event", "events"), stamp(u.First), stamp(u.Last), u.By)
	}
	for _, told := range c.Told {
		s.line("", "%s", told)
	}
	for _, limit := range c.Limits {
		s.line("", "%s", limit)
	}
}

func healthStore(s *sheet, st *api.StoreStatus) {
	s.line("store", "%s", st.Dir)
	text := fmt.Sprintf("%s, %s", term.Bytes(st.Bytes), term.Plural(st.Rows, "row", "rows"))
	if !st.Oldest.IsZero() {
		text += fmt.Sprintf(" of %s to %s", stamp(st.Oldest), stamp(st.Newest))
	}
	s.line("", "%s", text)
	if st.Segments > 0 || st.Quarantined > 0 {
		text = fmt.Sprintf("%s of %s, %s", term.Plural(st.Segments, "segment", "segments"), term.Plural(st.SegmentRows, "row", "rows"), term.Bytes(st.SegmentBytes))
		if st.Sealed > 0 {
			text += fmt.Sprintf("; %s sealed since the start", term.Plural(st.Sealed, "row", "rows"))
		}
		if st.Quarantined > 0 {
			text += fmt.Sprintf("; %d in quarantine", st.Quarantined)
		}
		s.line("", "%s", text)
	}
	if st.Error != "" {
		s.line("", "last write: %s", st.Error)
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// roleTable shows our processes as the kernel reports them.
func roleTable(out *term.Output, roles []api.RoleStatus) error {
	list := newListing("role text", "pid integer", "user text", "memory numeric", "up numeric", "no_new_privs boolean", "capabilities text", "bounding text")
	now := time.Now()
	for _, r := range roles {
		if r.Error != "" {
			list.add(r.Role, r.PID, nil, nil, nil, nil, r.Error, nil)
			continue
		}
		user := fmt.Sprint(r.UID)
		if r.User != "" {
			user = fmt.Sprintf("%s (%d)", r.User, r.UID)
		}
		list.add(r.Role, r.PID, user, term.Bytes(r.Memory), term.Duration(now.Sub(r.Started).Truncate(time.Second)), r.NoNewPrivs,
			capabilities(r.Capabilities), capabilities(r.Bounding))
	}
	return list.print(newPrinter(out, "table"))
}

// capabilities names few and counts many: root's forty say less than "40".
func capabilities(list []string) string {
	if len(list) > 4 {
		return fmt.Sprintf("%d of them", len(list))
	}
	return orNone(strings.Join(list, " "))
}
