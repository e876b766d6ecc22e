package collector

import (
	"daemoneye/bus/event"
	"daemoneye/platform/bpf"
	"daemoneye/roles/api"
)

// actionTable is a table that tells what processes do, beside process_events.
type actionTable struct {
	name   string
	events []string // the column event, by Event.What; "" where there is none
	// open looks up the columns that are the table's own; what it returns
	// writes them for one event.
	open func(*event.Builder) func(*bpf.Event, *live)
	// wanted is what of its kind is always told: a bit for each Event.What.
	wanted uint64
}

// actionTables are these tables, by the kind of their events.
func actionTables() map[bpf.Kind]actionTable {
	return map[bpf.Kind]actionTable{
		bpf.Network: networkTable(),
		bpf.Files:   fileTable(),
		bpf.System:  systemTable(),
	}
}

// tableOf returns the table whose rows events of the kind become.
func tableOf(k bpf.Kind) string {
	if t, ok := actionTables()[k]; ok {
		return t.name
	}
	return "process_events"
}

// actions gathers the rows of one such table.
type actions struct {
	*outbox
	actor
	time, source *event.ColumnBuilder
	own          func(*bpf.Event, *live)
}

func newActions(t actionTable, o *outbox) *actions {
	b := o.builder
	return &actions{outbox: o, actor: newActor(b), time: b.Column("time"), source: b.Column("source"), own: t.open(b)}
}

// add writes the row of one event.
func (a *actions) add(e *bpf.Event, l *live, known lineage) error {
	a.time.Time(l.enumerator.Wall(e.Time))
	a.source.Text(api.SourceKernel)
	if e.PID != 0 { // else it is not known who did it
		l.rows.actor(&a.actor, l.actor(e), known)
	}
	a.own(e, l)
	a.builder.EndRow()
	return a.added()
}
