package api

import "time"

// CollectorNeeds is the request of a collector for what it shall tell beyond
// its base set: nil → Needs…, until the connection ends. A new answer takes the
// place of the last one; one comes when what is needed has changed, and at
// least every third of LeaseTime.
const CollectorNeeds = "collector.needs"

// LeaseTime is how long Needs count. A collector that hears no more goes back to
// its base set.
const LeaseTime = 30 * time.Second

// Needs is what rules and watchers read.
type Needs struct {
	Tables []Need `msgpack:"tables"`
}

// Need is what is read of a table: only these rows, as far as it is known.
type Need struct {
	Table  string   `msgpack:"table"`
	Events []string `msgpack:"events"` // values of the column event; empty: all
	Paths  []string `msgpack:"paths"`  // what is changed here or below, beside what the collector is configured for
	Reads  []string `msgpack:"reads"`  // files that are read, as well
}
