package bus

import "fmt"

// Role is what a peer connects as.
type Role string

const (
	Operator  Role = "operator"  // a client, admitted by uid and groups
	Collector Role = "collector" // a collector, admitted by its spawn token
)

// Verb is what a peer wants to do.
type Verb string

const (
	Publish   Verb = "publish"
	Subscribe Verb = "subscribe"
	Request   Verb = "request"
)

// Access is one row of the table of what peers may do. Everything else is
// refused; see the package comment for how. The agent itself, through the
// Broker's methods, is not subject to it.
type Access struct {
	Role Role
	Verb Verb
	Name string // a topic pattern, for Request of request names
	// Class is the strongest class that a subscription may have: with Wait a
	// peer may hold publishers back, so it is Shed unless said otherwise.
	Class Class
}

type accessRow struct {
	Access
	pattern Pattern
}

type accessTable []accessRow

func newAccessTable(rows []Access) (accessTable, error) {
	table := make(accessTable, 0, len(rows))
	for _, row := range rows {
		pattern, err := ParsePattern(row.Name)
		if err != nil {
			return nil, fmt.Errorf("access table: %w", err)
		}
		switch {
		case row.Role != Operator && row.Role != Collector:
			return nil, fmt.Errorf("access table: role %q for %q", row.Role, row.Name)
		case row.Verb != Publish && row.Verb != Subscribe && row.Verb != Request:
			return nil, fmt.Errorf("access table: verb %q for %q", row.Verb, row.Name)
		}
		table = append(table, accessRow{row, pattern})
	}
	return table, nil
}

// allows is for publishes and requests.
func (t accessTable) allows(role Role, verb Verb, name string) bool {
	for _, row := range t {
		if row.Role == role && row.Verb == verb && row.pattern.Match(name) {
			return true
		}
	}
	return false
}

// allowsSubscribe reports whether one row covers all of the pattern.
func (t accessTable) allowsSubscribe(role Role, pattern Pattern, class Class) bool {
	for _, row := range t {
		if row.Role == role && row.Verb == Subscribe && row.Class >= class && row.pattern.Covers(pattern) {
			return true
		}
	}
	return false
}
