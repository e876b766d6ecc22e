package sql

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// evalFunc computes a function for one row of arguments.
type evalFunc func(x *env, a []value) (value, error)

// rowsFunc calls yield for each row of a set-returning function.
type rowsFunc func(x *env, a []value, yield func([]value) error) error

// function is one function, operator, cast or aggregate with one signature.
type function struct {
	name     string
	args     []Type
	ret      Type
	group    string // section of the documentation
	refused  string // what to call it in the error, of one that only PostgreSQL has
	variadic bool   // the last argument may be repeated
	strict   bool   // NULL for any NULL argument
	stable   bool   // depends on the time of execution: not folded when compiled
	eval     evalFunc
	compare  comparison // of a comparison of values that hold alike

	// bind, if set, is called when a query is compiled, with the arguments
	// that are constant (others nil): it checks and prepares them, say a pattern.
	bind func(consts []*value) (evalFunc, error)

	// literal, of an operator between a text and a pattern, returns a part of
	// every text that the pattern matches, "" if none is known. A text without
	// it, of up to maxLiteralText bytes, gives no error, and the result negated.
	literal func(pattern string) string
	negated bool

	// typed, if set, makes the function for arguments of the types given: of
	// one that takes values of any type.
	typed func(types []Type) *function

	// params are the names of the arguments, of a function that may be called
	// with names; those left out are defaults.
	params   []string
	defaults []value

	agg       func() accumulator // of an aggregate
	grouped   func() states      // instead of an accumulator for each group
	unordered bool               // its result does not depend on the order of the rows
	ofRow     bool               // its arguments are the columns of one, a row
	// ordered is that of an aggregate with WITHIN GROUP, whose arguments are the
	// sort key, then those in the brackets: args, of the first row.
	ordered orderedFinal
	window  windowFunc // of a window function

	// rows, of a set-returning function, gives its rows one after the other;
	// columns are their names, "" for that of the call.
	rows    rowsFunc
	columns []string
	// bindRows is bind for rows.
	bindRows func(consts []*value) (rowsFunc, error)
	types    func(args []Type) []Type // of the columns; nil: one of type ret
}

// Function is one entry of the allow-list, for documentation.
type Function struct {
	Name      string
	Kind      string // "function", "aggregate" or "operator"
	Signature string // lower(text) → text
	Doc       string // one line
	Example   string // a SELECT
	Result    string // what it gives, as psql shows it
}

// entry documents all functions of one name.
type entry struct {
	name, doc, example string
	kind               string
	group              string
}

// catalog is the allow-list: what an expression may call.
type catalog struct {
	functions map[string][]*function
	operators map[string][]*function // binary and prefix
	casts     map[[2]Type]*function  // explicit ones with a function
	entries   []entry
}

// theCatalog is built when the first query is compiled.
var theCatalog = sync.OnceValue(func() *catalog {
	c := &catalog{functions: make(map[string][]*function), operators: make(map[string][]*function), casts: make(map[[2]Type]*function)}
	c.addCasts()
	for _, s := range []struct {
		name string
		adds []func()
	}{
		{"Comparison", []func(){c.addComparisons, c.addNullCounts}},
		{"Mathematics", []func(){c.addArithmetic, c.addBits, c.addMath, c.addPowers, c.addIntegers, c.addTrigonometry}},
		{"Text", []func(){c.addText, c.addQuoting, c.addUnicode, c.addFormat}},
		{"Patterns", []func(){c.addPatterns}},
		{"Binary", []func(){c.addBytea, c.addDigests}},
		{"Times", []func(){c.addTimes, c.addTimeFields, c.addTimesOfDay, c.addZones, c.addTimeMakers, c.addToChar}},
		{"Networks", []func(){c.addNetworks}},
		{"Arrays", []func(){c.addArrays, c.addArrayEdits}},
		{"JSON", []func(){c.addJSON, c.addJSONBuilders}},
		{"Aggregates", []func(){c.addAggregates, c.addStatistics}},
		{"Window functions", []func(){c.addWindows}},
		{"Sets of rows", []func(){c.addRows}},
	} {
		for _, add := range s.adds {
			add()
		}
		c.tag(s.name)
	}
	return c
})

// tag gives the functions that are new since the last call their group.
func (c *catalog) tag(group string) {
	for _, m := range []map[string][]*function{c.functions, c.operators} {
		for _, list := range m {
			for _, f := range list {
				if f.group == "" {
					f.group = group
				}
			}
		}
	}
}

// parseSignature reads "text,int4:text"; a trailing * on the last argument
// makes it variadic.
func parseSignature(s string) (args []Type, ret Type, variadic bool) {
	in, out, _ := strings.Cut(s, ":")
	one := func(name string) Type {
		elem, isArray := strings.CutSuffix(name, "[]")
		t := typeByName(elem)
		if t == 0 {
			panic(fmt.Sprintf("sql: signature %q names type %q", s, name))
		}
		if isArray {
			return ArrayOf(t)
		}
		return t
	}
	if in != "" {
		for _, name := range strings.Split(in, ",") {
			name, variadic = strings.CutSuffix(name, "*")
			args = append(args, one(name))
		}
	}
	return args, one(out), variadic
}

// pairs are signatures, each followed by its implementation.
type pairs []any

// fn defines a function under one name.
func (c *catalog) fn(group, name, doc, example string, list pairs) {
	c.entries = append(c.entries, entry{name, doc, example, "function", group})
	for i := 0; i < len(list); i += 2 {
		c.functions[name] = append(c.functions[name], makeFunction(name, list[i].(string), list[i+1]))
	}
}

// op defines an operator.
func (c *catalog) op(group, name, doc, example string, list pairs) {
	if !slices.ContainsFunc(c.entries, func(e entry) bool { return e.kind == "operator" && e.name == name && e.group == group }) && doc != "" {
		c.entries = append(c.entries, entry{name, doc, example, "operator", group})
	}
	for i := 0; i < len(list); i += 2 {
		c.operators[name] = append(c.operators[name], makeFunction(name, list[i].(string), list[i+1]))
	}
}

// options of a definition
type (
	notStrict evalFunc
	stableFn  evalFunc
	bound     func(consts []*value) (evalFunc, error)
)

func makeFunction(name, signature string, impl any) *function {
	f := &function{name: name, strict: true}
	f.args, f.ret, f.variadic = parseSignature(signature)
	switch impl := impl.(type) {
	case func(a []value) (value, error):
		f.eval = func(_ *env, a []value) (value, error) { return impl(a) }
	case func(a []value) value:
		f.eval = func(_ *env, a []value) (value, error) { return impl(a), nil }
	case evalFunc:
		f.eval = impl
	case func(x *env, a []value) (value, error):
		f.eval = impl
	case notStrict:
		f.eval, f.strict = evalFunc(impl), false
	case stableFn:
		f.eval, f.stable = evalFunc(impl), true
	case bound:
		f.bind = impl
		f.eval = func(x *env, a []value) (value, error) {
			consts := make([]*value, len(a))
			for i := range a {
				if i > 0 {
					consts[i] = &a[i]
				}
			}
			run, err := impl(consts)
			if err != nil {
				return null, err
			}
			return run(x, a)
		}
	default:
		panic(fmt.Sprintf("sql: %s(%s) has implementation %T", name, signature, impl))
	}
	return f
}

// castFunction returns the function of an explicit cast, nil if there is none.
func castFunction(from, to Type) *function { return theCatalog().casts[[2]Type{from, to}] }

// cast defines the casts between two types.
func (c *catalog) cast(from, to Type, f func(a []value) (value, error)) {
	c.casts[[2]Type{from, to}] = &function{
		name: typeTable[to].internal, args: []Type{from}, ret: to, strict: true,
		eval: func(_ *env, a []value) (value, error) { return f(a) },
	}
}

func (f *function) aggregate() bool { return f.agg != nil || f.ordered != nil }

// signature shows f as the manual does.
func (f *function) signature(operator bool) string {
	names := make([]string, len(f.args))
	for i, t := range f.args {
		names[i] = t.String()
		if f.variadic && i == len(f.args)-1 {
			names[i] += ", …"
		}
	}
	switch {
	case operator && len(names) == 2:
		return fmt.Sprintf("%s %s %s → %v", names[0], f.name, names[1], f.ret)
	case operator:
		return fmt.Sprintf("%s %s → %v", f.name, names[0], f.ret)
	}
	return fmt.Sprintf("%s(%s) → %v", f.name, strings.Join(names, ", "), f.ret)
}
