package sigma

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// correlation is a rule about what other rules find.
type correlation struct {
	line     int
	kind     string
	rules    []string // ids or names
	groupBy  []string
	timespan time.Duration
	aliases  map[string]map[string]string // alias → rule → field
	field    string                       // whose values value_count counts
	compare  []string                     // conditions on the count: ">= 5"
	generate bool                         // the rules count by themselves, too
}

const maxCorrelated = 20 // rules of a correlation

var comparisons = map[string]string{"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "=", "neq": "<>"}

func (d *Document) readCorrelation(v *value) {
	if v.kind != mapping {
		panic(fail(v.line, "correlation: a map is wanted"))
	}
	c := &correlation{line: v.line, aliases: map[string]map[string]string{}}
	c.kind = v.get("type").word("type")
	counts := c.kind == "event_count" || c.kind == "value_count"
	if !counts && c.kind != "temporal" && c.kind != "temporal_ordered" {
		panic(fail(v.line, "correlation: type %q is not known", oneLine(c.kind)))
	}
	c.rules = v.get("rules").words("rules")
	c.groupBy = v.get("group-by").words("group-by")
	switch {
	case len(c.rules) == 0:
		panic(fail(v.line, "correlation: there are no rules"))
	case len(c.rules) > maxCorrelated:
		panic(fail(v.line, "correlation: more than %d rules", maxCorrelated))
	case len(c.groupBy) > 8:
		panic(fail(v.line, "correlation: group-by has more than 8 fields"))
	}
	var err error
	if c.timespan, err = timespan(v.get("timespan").word("timespan")); err != nil {
		panic(fail(v.line, "correlation: %v", err))
	}
	c.generate = v.get("generate").word("generate") == "true"
	if a := v.get("aliases"); a != nil {
		for _, e := range a.entries {
			c.aliases[e.key] = map[string]string{}
			for _, f := range e.entries {
				c.aliases[e.key][f.key] = f.word("aliases")
			}
		}
	}
	c.readCondition(v.get("condition"), counts)
	d.correlation = c
}

func (c *correlation) readCondition(v *value, counts bool) {
	switch {
	case v == nil && counts:
		panic(fail(c.line, "correlation: %s needs a condition", c.kind))
	case v == nil:
		return
	case v.kind != mapping || !counts:
		panic(fail(v.line, "correlation: a condition of this kind is not known for %s", c.kind))
	}
	for _, e := range v.entries {
		if e.key == "field" {
			c.field = e.word("field")
			continue
		}
		sign, ok := comparisons[e.key]
		if !ok {
			panic(fail(e.line, "correlation: condition %q is not known", oneLine(e.key)))
		}
		n, err := strconv.ParseUint(e.word(e.key), 10, 31)
		if err != nil {
			panic(fail(e.line, "correlation: %s needs a number", e.key))
		}
		c.compare = append(c.compare, fmt.Sprintf("%s %d", sign, n))
	}
	switch {
	case len(c.compare) == 0:
		panic(fail(v.line, "correlation: the condition has no number"))
	case (c.field != "") != (c.kind == "value_count"):
		panic(fail(v.line, "correlation: field is for value_count, which needs one"))
	}
}

// timespan reads 30s, 5m, 1h, 2d and 1w.
func timespan(s string) (time.Duration, error) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	if s == "" {
		return 0, fmt.Errorf("there is no timespan")
	}
	unit, ok := units[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 31)
	if !ok || err != nil || n == 0 {
		return 0, fmt.Errorf("timespan %q is not such as 30s, 5m, 1h or 2d", oneLine(s))
	}
	if n > uint64(maxTimespan/unit) {
		return 0, fmt.Errorf("timespan %q is longer than 45 days", s)
	}
	return time.Duration(n) * unit, nil
}

// maxTimespan is half of the longest window of a rule.
const maxTimespan = 45 * 24 * time.Hour

// find returns the rule with that id or name.
func (c *correlation) find(docs []*Document, name string) (*Document, *Error) {
	for _, d := range docs {
		if d.ID != name && d.Name != name {
			continue
		}
		switch {
		case d.Err != nil:
			return nil, c.refused(name, d.Err)
		case d.correlation != nil:
			return nil, fail(c.line, "correlation: rule %q is itself a correlation", oneLine(name))
		}
		return d, nil
	}
	return nil, fail(c.line, "correlation: there is no rule %q", oneLine(name))
}

func (c *correlation) refused(name string, err *Error) *Error {
	return fail(c.line, "correlation: rule %q is refused: %s", oneLine(name), err.Message)
}

// matches makes the rows that one rule finds: time, number, the group's values, and value.
func (c *correlation) matches(d *Document, name string, number int) (string, *Error) {
	answers, err := d.conditions()
	if err != nil {
		return "", c.refused(name, err)
	}
	var parts []string
	for _, a := range answers {
		columns := []string{"time", fmt.Sprintf("%d AS step", number)}
		fields := c.groupBy
		if c.field != "" {
			fields = append(slices.Clone(fields), c.field)
		}
		for i, field := range fields {
			if of, ok := c.aliases[field]; ok {
				if field = of[name]; field == "" {
					field = of[d.Name]
				}
				if field == "" {
					return "", fail(c.line, "correlation: alias %q has no field for rule %q", oneLine(fields[i]), oneLine(name))
				}
			}
			column, err := valueOf(&a.view, field, c.line)
			if err != nil {
				return "", err
			}
			as := "value"
			if i < len(c.groupBy) {
				as = groupNames(c.groupBy)[i]
			}
			columns = append(columns, column+" AS "+as)
		}
		parts = append(parts, a.statement(strings.Join(columns, ", ")))
	}
	return strings.Join(parts, "UNION ALL\n"), nil
}

// groupNames are the columns of the fields by which matches are grouped.
func groupNames(fields []string) []string {
	names := make([]string, len(fields))
	for i, field := range fields {
		name := "group_" + strings.Trim(strings.Map(func(c rune) rune {
			switch {
			case c >= 'A' && c <= 'Z':
				return c - 'A' + 'a'
			case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
				return c
			}
			return '_'
		}, cut(field, 40)), "_")
		if slices.Contains(names, name) {
			name += fmt.Sprintf("_%d", i+1)
		}
		names[i] = name
	}
	return names
}

// valueOf is one text for a field: of several columns the first that has one.
func valueOf(v *view, field string, line int) (string, *Error) {
	c := &converter{view: v}
	columns, err := c.field(field, line)
	if err != nil {
		return "", err
	}
	var parts []string
	for _, col := range columns {
		switch {
		case col.kind == ofArguments:
			return "", fail(line, "field %q can not be told apart in a command line", field)
		case col.claimed:
			continue
		}
		sql := col.sql
		if col.kind == ofNumber {
			sql += "::text"
		}
		if col.guard != "" {
			sql = "CASE WHEN " + col.guard + " THEN " + sql + " END"
		}
		parts = append(parts, sql)
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return "coalesce(" + strings.Join(parts, ", ") + ")", nil
}

// correlate makes the rule of a correlation, and returns the rules that it reads.
func (d *Document) correlate(docs []*Document, cfg Config) (string, []*Document, *Error) {
	c := d.correlation
	var parts []*Document
	var found []string
	for i, name := range c.rules {
		part, err := c.find(docs, name)
		if err != nil {
			return "", nil, err
		}
		rows, err := c.matches(part, name, i+1)
		if err != nil {
			return "", nil, err
		}
		parts = append(parts, part)
		found = append(found, rows)
	}
	h := d.header(cfg)
	h.window = (2 * c.timespan).String() // so that each timespan is once seen as a whole
	groups := groupNames(c.groupBy)
	h.dedup = strings.Join(groups, ", ")
	return h.String() + c.statement(strings.Join(found, "UNION ALL\n"), groups), parts, nil
}

// statement is the SELECT over the rows found.
func (c *correlation) statement(found string, groups []string) string {
	span := fmt.Sprintf("interval '%d seconds'", int64(c.timespan/time.Second))
	partition := ""
	if len(groups) > 0 {
		partition = "PARTITION BY " + strings.Join(groups, ", ") + " "
	}
	columns := strings.Join(append([]string{"time"}, groups...), ", ")
	found = "WITH found AS (\n" + found + ")"
	within := "WINDOW span AS (" + partition + "ORDER BY time RANGE BETWEEN " + span + " PRECEDING AND CURRENT ROW)"
	switch c.kind {
	case "event_count":
		return fmt.Sprintf("%s\nSELECT %s, event_count FROM (\n  SELECT %s, count(*) OVER span AS event_count FROM found\n  %s\n) AS counted\nWHERE %s\n",
			found, columns, columns, within, c.threshold("event_count"))
	case "value_count":
		same := ""
		for _, g := range groups {
			same += " AND b." + g + " IS NOT DISTINCT FROM a." + g
		}
		by := "a." + strings.Join(append([]string{"time"}, groups...), ", a.")
		return fmt.Sprintf("%s\nSELECT %s, count(DISTINCT b.value) AS value_count\nFROM (SELECT DISTINCT %s FROM found) AS a\nJOIN found AS b ON b.time BETWEEN a.time - %s AND a.time%s\nGROUP BY %s\nHAVING %s\n",
			found, by, columns, span, same, by, c.threshold("count(DISTINCT b.value)"))
	case "temporal":
		var all []string
		for i := range c.rules {
			all = append(all, fmt.Sprintf("bool_or(step = %d) OVER span AS seen_%d", i+1, i+1))
		}
		var seen []string
		for i := range c.rules {
			seen = append(seen, fmt.Sprintf("seen_%d", i+1))
		}
		return fmt.Sprintf("%s\nSELECT %s FROM (\n  SELECT %s,\n    %s\n  FROM found\n  %s\n) AS counted\nWHERE %s\n",
			found, columns, columns, strings.Join(all, ",\n    "), within, strings.Join(seen, " AND "))
	}
	// Of each row the latest time at which the steps before it can have begun.
	rows := "SELECT *, CASE WHEN step = 1 THEN time END AS began_1 FROM found"
	for i := 2; i <= len(c.rules); i++ {
		rows = fmt.Sprintf("SELECT *, CASE WHEN step = %d THEN max(began_%d) OVER (%sORDER BY time) END AS began_%d FROM (\n%s) AS step_%d",
			i, i-1, partition, i, rows, i-1)
	}
	last := len(c.rules)
	return fmt.Sprintf("%s\nSELECT %s, began_%d AS began FROM (\n%s) AS steps\nWHERE began_%d >= time - %s\n", found, columns, last, rows, last, span)
}

func (c *correlation) threshold(count string) string {
	list := make([]string, len(c.compare))
	for i, compare := range c.compare {
		list[i] = count + " " + compare
	}
	return strings.Join(list, " AND ")
}
