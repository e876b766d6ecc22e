package collector

import (
	"daemoneye/bus/event"
	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
	"daemoneye/roles/api"
)

// actionTable is a table that tells what processes do, beside process_events.
type actionTable struct {
	name   string
	events []string // the column event, by Event.What; "" where there is none
	// open looks up the columns that are the table's own; what it returns
	// writes them for one event and the process that it tells of, nil when
	// that is not known.
	open func(*event.Builder) func(*bpf.Event, *procfs.Process, *live)
	// wanted is what of its kind is always told: a bit for each Event.What.
	wanted uint64
}

// actionTables are these tables, by the kind of their events. It is never changed.
var actionTables map[bpf.Kind]actionTable

func init() { // what describes an event of one looks another one up
	actionTables = map[bpf.Kind]actionTable{
		bpf.Network: networkTable(),
		bpf.Files:   fileTable(),
		bpf.System:  systemTable(),
	}
}

// tableOf returns the table whose rows events of the kind become.
func tableOf(k bpf.Kind) string {
	if t, ok := actionTables[k]; ok {
		return t.name
	}
	return "process_events"
}

// actions gathers the rows of one such table.
type actions struct {
	*outbox
	actor
	time, source *event.ColumnBuilder
	own          func(*bpf.Event, *procfs.Process, *live)
}

func newActions(t actionTable, o *outbox) *actions {
	b := o.builder
	return &actions{outbox: o, actor: newActor(b), time: b.Column("time"), source: b.Column("source"), own: t.open(b)}
}

// add writes the row of one event.
func (a *actions) add(e *bpf.Event, l *live, known lineage) error {
	a.time.Time(l.enumerator.Wall(e.Time))
	a.source.Text(api.SourceKernel)
	var p *procfs.Process
	if e.PID != 0 { // else it is not known who did it
		p = l.actor(e)
		l.rows.actor(&a.actor, p, known)
	}
	a.own(e, p, l)
	a.builder.EndRow()
	return a.added()
}
