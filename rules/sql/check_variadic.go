package sql

import "slices"

// variadicCall checks f(VARIADIC array): the elements are the last arguments.
func (k *checker) variadicCall(n funcCall, list []*function, args []expr) (expr, error) {
	last := len(args) - 1
	if last < 0 {
		return nil, noFunction(n.pos(), n.name+"()")
	}
	var spread []*function
	for _, f := range list {
		if f.aggregate() {
			return nil, refuse(n.pos(), "VARIADIC with an aggregate")
		}
		if len(f.args) != len(args) {
			continue
		}
		if !f.variadic {
			spread = append(spread, f) // which may well take an array
			continue
		}
		g := *f
		g.variadic = false
		g.args = slices.Clone(f.args)
		if elem := f.args[last]; elem != anyType {
			g.args[last] = ArrayOf(elem)
		}
		g.typed = func(types []Type) *function { return spreadFunction(f, types) }
		spread = append(spread, &g)
	}
	if t := args[last].typ(); len(spread) > 0 && spread[0].args[last] == anyType && !t.IsArray() && t != Unknown {
		return nil, failAt(n.pos(), codeDatatypeMismatch, "VARIADIC argument must be an array")
	} else if t == Unknown && len(spread) > 0 && spread[0].args[last] == anyType {
		return nil, failAt(n.pos(), codeDatatypeMismatch, "VARIADIC argument must be an array")
	}
	if len(spread) == 0 {
		types := make([]Type, len(args))
		for i, a := range args {
			types[i] = a.typ()
		}
		return nil, noFunction(n.pos(), describeFunction(n.name)(types))
	}
	return k.call(spread, args, n.pos(), describeFunction(n.name), false)
}

// spreadFunction calls f with the elements of its last argument, an array.
// Without the array, the result is NULL, or that of a call without them for
// a function that handles NULL itself and has other arguments.
func spreadFunction(f *function, types []Type) *function {
	last := len(types) - 1
	g := *f
	g.args, g.variadic, g.strict, g.typed = types, false, false, nil
	elem := Text
	if types[last].IsArray() {
		elem = types[last].Elem()
	}
	g.eval = func(x *env, a []value) (value, error) {
		if a[last].null {
			if f.name != "format" {
				return null, nil
			}
			a = append(slices.Clone(a[:last]), value{o: &array{elem: elem}})
		}
		row := append(slices.Clone(a[:last]), elements(a[last])...)
		fn := f
		if f.typed != nil {
			all := slices.Clone(types[:last])
			for range elements(a[last]) {
				all = append(all, elem)
			}
			fn = f.typed(all)
		}
		if f.strict && slices.ContainsFunc(row, func(v value) bool { return v.null }) && f.typed != nil {
			return null, nil
		}
		return fn.eval(x, row)
	}
	return &g
}

// namedCall checks a call with arguments written name => value.
func (k *checker) namedCall(n funcCall, list []*function, args []expr) (expr, error) {
	seen := make(map[string]bool)
	for i, name := range n.names {
		switch {
		case name == "" && len(seen) > 0:
			return nil, failAt(n.pos(), codeSyntax, "positional argument cannot follow named argument")
		case name != "" && seen[name]:
			return nil, failAt(exprPos(args[i], n.pos()), codeSyntax, "argument name %q used more than once", name)
		case name != "":
			seen[name] = true
		}
	}
	for _, f := range list {
		if len(f.params) != len(f.args) || len(f.params) < len(args) {
			continue
		}
		full, ok := f.arrange(n.names, args)
		if !ok {
			continue
		}
		e, err := k.call([]*function{f}, full, n.pos(), describeFunction(n.name), false)
		if err != nil {
			return nil, err
		}
		return e, nil
	}
	return nil, failAt(n.pos(), codeUndefinedFunction, "function %s does not exist with these argument names", n.name)
}

// arrange puts named arguments in their places, and defaults in the others.
func (f *function) arrange(names []string, args []expr) ([]expr, bool) {
	full := make([]expr, len(f.args))
	for i, a := range args {
		at := i
		if names[i] != "" {
			at = slices.Index(f.params, names[i])
		}
		if at < 0 || full[at] != nil {
			return nil, false
		}
		full[at] = a
	}
	for i := range full {
		if full[i] != nil {
			continue
		}
		k := i - (len(f.args) - len(f.defaults))
		if k < 0 {
			return nil, false
		}
		full[i] = &constExpr{v: f.defaults[k], t: f.args[i], at: -1}
	}
	return full, true
}

// withinGroup checks aggregate(args) WITHIN GROUP (ORDER BY key): the key
// becomes the first argument, and what the rows are sorted by.
func (k *checker) withinGroup(n funcCall, list []*function, args []expr) (*aggExpr, error) {
	switch {
	case len(n.orderBy) != 1:
		return nil, failAt(n.pos(), codeUndefinedFunction, "function %s does not exist with %d sort keys", n.name, len(n.orderBy))
	case n.distinct:
		return nil, failAt(n.pos(), codeSyntax, "cannot use DISTINCT with WITHIN GROUP")
	case n.variadic || len(n.names) > 0:
		return nil, refuse(n.pos(), "VARIADIC or a named argument with WITHIN GROUP")
	}
	key, err := k.expr(n.orderBy[0].expr)
	if err != nil {
		return nil, err
	}
	// PostgreSQL resolves the call with the arguments in the brackets first.
	e, err := k.call(list, append(slices.Clone(args), key), n.pos(), describeFunction(n.name), false)
	if err != nil {
		return nil, err
	}
	a := e.(*aggExpr)
	last := len(a.args) - 1
	a.args = append([]expr{k.known(a.args[last])}, a.args[:last]...)
	for i := range a.args[1:] {
		if hasColumn(a.args[i+1]) {
			continue // compared with GROUP BY as written
		}
		arg, err := k.stmt.fold(a.args[i+1])
		if err != nil {
			return nil, err
		}
		// A wrong fraction is an error even without rows.
		if c, ok := isConstant(arg); ok && !c.v.null && arg.typ() == Float8 {
			if err := checkFraction(c.v.f); err != nil {
				return nil, positioned(err, n.pos())
			}
		}
		a.args[i+1] = arg
	}
	item := n.orderBy[0]
	a.order = []sortKey{{expr: a.args[0], descending: item.descending, nullsFirst: item.nullsFirst}}
	n.orderBy = nil
	return a, k.aggregate(a, n)
}
