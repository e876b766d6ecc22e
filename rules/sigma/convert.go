package sigma

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Rule is a rule made of a document.
type Rule struct {
	Document *Document
	Text     string // header and SELECT
}

// Config adjusts Convert; its zero value is the default.
type Config struct {
	Pipeline *Pipeline
	Tag      func(string) bool // whether a rule may have the tag; nil: any

	// Check says what is wrong with the text of a correlation, so that the rules
	// that it reads are not disabled for one that is refused; may be nil.
	Check func(text string) error
}

// Convert makes rules of the documents: one for each, more for rules about
// several kinds of audit records. It sets the Err of those that are refused.
// Rules that only a correlation reads are made, and disabled.
func Convert(docs []*Document, cfg Config) []Rule {
	var rules []Rule
	for _, d := range docs {
		if d.Err == nil && d.correlation == nil {
			d.Err = cfg.Pipeline.prepare(d)
		}
	}
	silent := map[*Document]bool{} // read by correlations alone
	var correlated []Rule
	for _, d := range docs {
		if d.Err != nil || d.correlation == nil {
			continue
		}
		text, parts, err := d.correlate(docs, cfg)
		if err == nil && cfg.Check != nil {
			if bad := cfg.Check(text); bad != nil {
				err = fail(0, "the SELECT made of it: %v", bad)
			}
		}
		if err != nil {
			d.Err = err
			continue
		}
		correlated = append(correlated, Rule{d, text})
		for _, p := range parts {
			if _, ok := silent[p]; !ok || d.correlation.generate {
				silent[p] = !d.correlation.generate
			}
		}
	}
	for _, d := range docs {
		switch {
		case d.Err != nil:
		case d.correlation != nil:
			rules = append(rules, correlated[0])
			correlated = correlated[1:]
		default:
			made, err := d.convert(cfg, silent[d])
			if d.Err = err; err == nil {
				rules = append(rules, made...)
			}
		}
	}
	return rules
}

// convert makes the rules of a document that is no correlation.
func (d *Document) convert(cfg Config, silent bool) ([]Rule, *Error) {
	parts, err := d.conditions()
	if err != nil {
		return nil, err
	}
	var rules []Rule
	for _, p := range parts {
		h := d.header(cfg)
		if len(parts) > 1 {
			h.id += "." + p.view.table
		}
		h.disabled = silent
		rules = append(rules, Rule{d, h.String() + p.statement(p.view.result)})
	}
	return rules, nil
}

// answer is what one table says to a rule.
type answer struct {
	view view
	when expr
}

func (a *answer) statement(columns string) string {
	parts := []expr{a.when}
	switch {
	case a.when.is(true):
		parts = nil
	case a.when.join == "AND":
		parts = a.when.of
	}
	if a.view.where != "" {
		parts = append([]expr{leaf(a.view.where)}, parts...)
	}
	var b strings.Builder
	b.WriteString("SELECT " + columns + "\nFROM " + a.view.table + "\n")
	for i, part := range parts {
		b.WriteString([]string{"WHERE ", "  AND "}[min(i, 1)])
		part.write(&b, 1)
		b.WriteByte('\n')
	}
	return b.String()
}

// conditions finds the tables that answer the rule, and what their rows must be.
func (d *Document) conditions() ([]answer, *Error) {
	list, err := views(d.Logsource)
	if err != nil {
		return nil, err
	}
	if len(list) > 1 {
		if err := checkRecords(d.condition, list); err != nil {
			return nil, err
		}
	}
	if d.Logsource.Category == "network_connection" && uses(d.condition, hostname) {
		list[0] = asked(list[0])
	}
	if list[0].where == started && (uses(d.condition, "sha256") || uses(d.condition, "SHA256")) {
		list[0].where = hashed
	}
	var answers []answer
	for _, v := range list {
		if v.named && !namesCall(d.condition, &v) {
			continue
		}
		c := &converter{view: &v, logsource: d.Logsource}
		e, err := c.node(d.condition, true)
		switch {
		case err != nil:
			return nil, err
		case e.is(false):
		default:
			answers = append(answers, answer{v, e})
		}
	}
	if len(answers) == 0 {
		return nil, fail(0, "nothing matches the condition")
	}
	return answers, nil
}

// uses reports whether a condition looks at a field.
func uses(n node, field string) bool {
	return slices.ContainsFunc(items(n), func(it *item) bool { return it.field == field })
}

// items returns the items below a node.
func items(n node) (list []*item) {
	switch n := n.(type) {
	case and:
		for _, c := range n {
			list = append(list, items(c)...)
		}
	case or:
		for _, c := range n {
			list = append(list, items(c)...)
		}
	case not:
		return items(n.node)
	case *item:
		return []*item{n}
	}
	return list
}

const (
	recordField = "type"
	callField   = "SYSCALL"
)

func isCallField(name string) bool { return name == callField || name == "syscall" }

// words returns the values of an item that is to be one of them.
func (it *item) words() (list []string, ok bool) {
	for _, forms := range it.tests {
		text, plain := "", false
		if len(forms) == 1 && forms[0].op == opMatch {
			text, plain = forms[0].pattern.plain()
		}
		if !plain {
			return nil, false
		}
		list = append(list, text)
	}
	return list, true
}

// checkRecords refuses audit records and system calls that no table has.
func checkRecords(n node, list []view) *Error {
	if all, ok := n.(and); ok {
		isCall := false
		for _, c := range all {
			if it, ok := c.(*item); ok && it.field == recordField {
				words, _ := it.words()
				isCall = slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, "SYSCALL") })
			}
		}
		for _, c := range all {
			if it, ok := c.(*item); ok && isCall && slices.Contains(argumentNames(), it.field) {
				return fail(it.line, "field %q: the numbers that a system call was given have no column", it.field)
			}
		}
	}
	switch n := n.(type) {
	case and:
		return firstError(n, list)
	case or:
		return firstError(n, list)
	case not:
		return checkRecords(n.node, list)
	case *item:
		return n.checkRecord(list)
	}
	return nil
}

func firstError(nodes []node, list []view) *Error {
	for _, c := range nodes {
		if err := checkRecords(c, list); err != nil {
			return err
		}
	}
	return nil
}

func (it *item) checkRecord(list []view) *Error {
	if it.field != recordField && !isCallField(it.field) {
		return nil
	}
	words, ok := it.words()
	if !ok {
		return fail(it.line, "field %q: only names are read, not patterns", it.field)
	}
	for _, w := range words {
		switch {
		case it.field == recordField:
			if !slices.ContainsFunc(list, func(v view) bool { return containsFold(v.records, w) }) {
				return fail(it.line, "audit records of type %q have no table", oneLine(w))
			}
		case !slices.ContainsFunc(list, func(v view) bool { return containsFold(v.calls, w) }):
			return fail(it.line, "system call %q has no table", oneLine(w))
		}
	}
	return nil
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(e string) bool { return strings.EqualFold(e, s) })
}

func namesCall(n node, v *view) bool {
	return slices.ContainsFunc(items(n), func(it *item) bool {
		words, _ := it.words()
		return isCallField(it.field) && slices.ContainsFunc(words, func(w string) bool { return containsFold(v.calls, w) })
	})
}

// converter makes SQL of conditions over one table.
type converter struct {
	view      *view
	logsource Logsource
	tests     int
}

// node converts a condition. wanted is false within an odd number of NOT.
func (c *converter) node(n node, wanted bool) (expr, *Error) {
	switch n := n.(type) {
	case and:
		return c.join("AND", n, wanted)
	case or:
		return c.join("OR", n, wanted)
	case not:
		e, err := c.node(n.node, !wanted)
		return negate(e), err
	case *item:
		return c.item(n, wanted)
	}
	panic("unknown node")
}

// join converts a list. What is false in an AND, or true in an OR, decides, even
// beside what has no column.
func (c *converter) join(how string, list []node, wanted bool) (expr, *Error) {
	var parts []expr
	var first *Error
	for _, n := range list {
		e, err := c.node(n, wanted)
		if err == nil && e.is(how == "OR") {
			return e, nil
		}
		if err != nil && first == nil {
			first = err
		}
		parts = append(parts, e)
	}
	return joined(how, parts), first
}

func (c *converter) item(it *item, wanted bool) (expr, *Error) {
	if c.view.records != nil {
		if e, ok := c.record(it); ok {
			return e, nil
		}
	}
	columns, err := c.columns(it)
	if err != nil {
		return expr{}, err
	}
	if !wanted {
		columns = slices.DeleteFunc(slices.Clone(columns), func(col column) bool { return col.claimed })
	}
	for _, forms := range it.tests {
		if c.tests += len(forms); c.tests > maxTests {
			return expr{}, fail(it.line, "more than %d comparisons", maxTests)
		}
	}
	if !it.all {
		return c.any(it, columns, slices.Concat(it.tests...), wanted)
	}
	var parts []expr
	for _, forms := range it.tests {
		e, err := c.any(it, columns, forms, wanted)
		if err != nil {
			return expr{}, err
		}
		parts = append(parts, e)
	}
	return joined("AND", parts), nil
}

// record answers what the table itself says: its audit records, and the system
// calls that it tells of.
func (c *converter) record(it *item) (expr, bool) {
	words, _ := it.words()
	switch {
	case it.field == recordField:
		return constant(slices.ContainsFunc(words, func(w string) bool { return containsFold(c.view.records, w) })), true
	case slices.Contains(c.view.absent, it.field):
		return constant(false), true
	case !isCallField(it.field):
		return expr{}, false
	}
	var calls []string
	for _, w := range words {
		if containsFold(c.view.calls, w) {
			calls = append(calls, quote(strings.ToLower(w)))
		}
	}
	column := c.view.callColumn()
	if len(calls) == 0 || column == "" {
		return constant(len(calls) > 0), true
	}
	return leaf(column + " IN (" + strings.Join(calls, ", ") + ")"), true
}

// columns returns where the values of an item's field are.
func (c *converter) columns(it *item) ([]column, *Error) {
	if it.field == "" {
		return c.view.keywords, nil
	}
	return c.field(it.field, it.line)
}

func (c *converter) field(name string, line int) ([]column, *Error) {
	if columns, ok := c.view.fields[name]; ok {
		return columns, nil
	}
	shown := oneLine(name)
	if near := c.view.near(name); near != "" {
		return nil, fail(line, "field %q has no column (it is written %q)", shown, near)
	}
	if _, ok := c.view.fields[hostname]; ok && connection()[name] != nil {
		return nil, fail(line, "field %q has no column beside %s: a name is asked for before there is a connection", shown, hostname)
	}
	return nil, fail(line, "field %q has no column in %s", shown, c.view.table)
}

// any is true when one of the tests holds for one of the columns.
func (c *converter) any(it *item, columns []column, tests []test, wanted bool) (expr, *Error) {
	var parts []expr
	var there []test // exists and null, which concern all columns together
	for _, col := range columns {
		var own []test
		for _, t := range tests {
			switch {
			case t.op != opExists && t.op != opNull:
				own = append(own, t)
			case col.sql == columns[0].sql && col.guard == columns[0].guard:
				there = append(there, t)
			}
		}
		e, err := c.column(it, col, own, wanted)
		if err != nil {
			return expr{}, err
		}
		if col.guard != "" && len(own) > 0 {
			e = joined("AND", []expr{e, leaf(col.guard)})
		}
		parts = append(parts, e)
	}
	for _, t := range there {
		parts = append(parts, exists(columns, t.op == opExists && t.text == "true"))
	}
	return joined("OR", parts), nil
}

// exists is true when the field is there, or when it is missing.
func exists(columns []column, wanted bool) expr {
	var parts []expr
	for _, col := range columns {
		if col.claimed {
			continue
		}
		e := leaf(col.sql + " IS NOT NULL")
		if col.guard != "" {
			e = joined("AND", []expr{e, leaf(col.guard)})
		}
		parts = append(parts, e)
	}
	if len(parts) == 1 && columns[0].guard == "" && !wanted {
		return leaf(columns[0].sql + " IS NULL")
	}
	e := joined("OR", parts)
	if wanted {
		return e
	}
	return negate(e)
}

// column is true when one of the tests holds for the column.
func (c *converter) column(it *item, col column, tests []test, wanted bool) (expr, *Error) {
	var parts []expr
	l := &lists{col: col}
	for _, t := range tests {
		if col.kind == ofArguments {
			e, err := argument(it, t, wanted)
			if err != nil {
				return expr{}, err
			}
			parts = append(parts, e)
			continue
		}
		switch t.op {
		case opMatch:
			parts = l.match(parts, t)
		case opRegexp:
			pattern, fold, err := translate(t.text, t.flags)
			if err != nil {
				return expr{}, fail(it.line, "%v", err)
			}
			parts = append(parts, matches(col.asText(), pattern, fold, col.kind == ofText))
		case opCIDR:
			if col.kind != ofAddress {
				return expr{}, fail(it.line, "field %q holds no address: cidr needs one", it.field)
			}
			parts = append(parts, expr{sql: col.sql + "::inet <<= " + quote(t.text) + "::inet", unsafe: true})
		case opField:
			e, err := c.other(it, col, t, wanted)
			if err != nil {
				return expr{}, err
			}
			parts = append(parts, e)
		default:
			if col.kind != ofNumber {
				return expr{}, fail(it.line, "field %q holds no number", it.field)
			}
			sign := map[operator]string{opLess: "<", opLessEqual: "<=", opGreater: ">", opGreaterEqual: ">="}[t.op]
			parts = append(parts, leaf(col.sql+" "+sign+" "+t.text))
		}
	}
	return joined("OR", append(l.exprs(), parts...)), nil
}

func (col column) asText() string {
	if col.kind == ofNumber {
		return col.sql + "::text"
	}
	return col.sql
}

// matches is a comparison with a regular expression.
func matches(sql, pattern string, fold, safe bool) expr {
	op := " ~ "
	if fold {
		op = " ~* "
	}
	e := leaf(sql + op + quote(pattern))
	e.unsafe = !safe
	return e
}

// lists gathers what one column is compared with, to say it once.
type lists struct {
	col     column
	numbers []string
	equal   []string
	like    []string
	ilike   []string
}

func (l *lists) match(parts []expr, t test) []expr {
	text, plain := t.pattern.plain()
	plain = plain || len(t.pattern) == 0
	if plain && l.col.kind == ofNumber {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			l.numbers = append(l.numbers, strconv.FormatInt(n, 10))
			return parts
		}
	}
	if addr, err := netip.ParseAddr(text); plain && l.col.kind == ofAddress && err == nil {
		text, t.pattern = addr.String(), literal(addr.String())
	}
	p := t.pattern
	if !t.cased {
		p = p.folded()
	}
	cased := t.cased || !strings.ContainsFunc(p.like(), func(c rune) bool { return c < unicode.MaxASCII && unicode.IsLetter(c) })
	switch {
	case p.choices():
		pattern := `\A` + p.regexp() + `\Z`
		pattern = strings.TrimPrefix(pattern, `\A.*`)
		pattern = strings.TrimSuffix(pattern, `.*\Z`)
		return append(parts, matches(l.col.asText(), pattern, !cased, l.col.kind == ofText))
	case cased && plain:
		l.equal = append(l.equal, quote(text))
	case cased:
		l.like = append(l.like, quote(p.like()))
	default:
		l.ilike = append(l.ilike, quote(p.like()))
		if base, ok := baseName(p); ok && l.col.claimed {
			l.ilike = append(l.ilike, quote(likeEscapes.Replace(base)))
		}
	}
	return parts
}

// baseName returns sh for a pattern that asks for a path which ends in /sh:
// argv[0] is often without a directory.
func baseName(p pattern) (string, bool) {
	if len(p) != 2 || !p[0].many || len(p[1].text) < 2 || p[1].text[0] != '/' || strings.ContainsRune(p[1].text[1:], '/') {
		return "", false
	}
	return p[1].text[1:], true
}

func (l *lists) exprs() (out []expr) {
	add := func(sql, one, many, end string, values []string) {
		values = unique(values)
		e := expr{unsafe: l.col.kind == ofNumber || strings.ContainsAny(l.col.sql, "(: ")}
		switch len(values) {
		case 0:
			return
		case 1:
			e.sql = sql + one + values[0]
		default:
			e.sql = sql + many + strings.Join(values, ", ") + end
		}
		out = append(out, e)
	}
	add(l.col.sql, " = ", " IN (", ")", l.numbers)
	add(l.col.asText(), " = ", " IN (", ")", l.equal)
	add(l.col.asText(), " LIKE ", " LIKE ANY (ARRAY[", "])", l.like)
	add(l.col.asText(), " ILIKE ", " ILIKE ANY (ARRAY[", "])", l.ilike)
	return out
}

func unique(list []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// argument looks for a word of the command line, at its place or behind: that
// an argument has blanks can not be seen.
func argument(it *item, t test, wanted bool) (expr, *Error) {
	if !wanted {
		return expr{}, fail(it.line, "field %q can not be told apart in a command line, as a NOT needs it", it.field)
	}
	switch t.op {
	case opMatch:
		p := t.pattern
		if !t.cased {
			p = p.folded()
		}
		begin, end := `(?:.* )?`, `(?: |\Z)`
		if len(p) > 0 && p[0].many {
			begin = ""
		}
		if len(p) > 0 && p[len(p)-1].many {
			p, end = p[:len(p)-1], ""
		}
		return matches("command_line", `\A(?:[^ ]* ){`+it.field[1:]+`}`+begin+p.regexp()+end, !t.cased, true), nil
	case opRegexp:
		pattern, fold, err := translateWords(t.text, t.flags)
		if err != nil {
			return expr{}, fail(it.line, "%v", err)
		}
		return matches("command_line", pattern, fold, true), nil
	}
	return expr{}, fail(it.line, "field %q can only be compared with texts", it.field)
}

// other compares with another field.
func (c *converter) other(it *item, col column, t test, wanted bool) (expr, *Error) {
	others, err := c.field(t.text, it.line)
	if err != nil {
		return expr{}, err
	}
	var parts []expr
	for _, o := range others {
		if o.claimed && !wanted {
			continue
		}
		if o.kind == ofArguments || t.part != whole && (col.kind != ofText || o.kind != ofText) {
			return expr{}, fail(it.line, "field %q can not be compared with %q so", it.field, t.text)
		}
		a, b := col.asText(), o.asText()
		switch {
		case col.kind == ofNumber && o.kind == ofNumber:
			a, b = col.sql, o.sql
		case !t.cased:
			a, b = "lower("+a+")", "lower("+b+")"
		}
		e := leaf(map[place]string{
			whole: a + " = " + b, atStart: "starts_with(" + a + ", " + b + ")", within: "strpos(" + a + ", " + b + ") > 0",
			atEnd: "right(" + a + ", length(" + b + ")) = " + b,
		}[t.part])
		if o.guard != "" {
			e = joined("AND", []expr{e, leaf(o.guard)})
		}
		e.unsafe = true
		parts = append(parts, e)
	}
	return joined("OR", parts), nil
}
