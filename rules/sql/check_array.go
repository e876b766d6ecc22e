package sql

// array checks ARRAY[…], with elements of type elem if that is not 0.
func (k *checker) array(n arrayNode, elem Type) (expr, error) {
	args, err := k.exprs(n.elements)
	if err != nil {
		return nil, err
	}
	if elem == 0 {
		if len(args) == 0 {
			return nil, failAt(n.pos(), codeIndeterminate, "cannot determine type of empty array").hint("write ARRAY[]::integer[], for example")
		}
		if elem, err = k.unify(args, "ARRAY", n.pos()); err != nil {
			return nil, err
		}
	} else {
		for i := range args {
			if args[i], err = k.coerce(args[i], elem, explicit, n.pos()); err != nil {
				return nil, err
			}
		}
	}
	if elem.IsArray() {
		return nil, refuse(n.pos(), "an array of more than one dimension")
	}
	return &arrayExpr{elements: args, t: ArrayOf(elem)}, nil
}

func (k *checker) subscript(n subscriptNode) (expr, error) {
	arg, err := k.expr(n.arg)
	if err != nil {
		return nil, err
	}
	if call, ok := arg.(*callExpr); ok && n.after && call.args[0].typ().IsArray() {
		return nil, refuse(n.pos(), "a second subscript of an array").hint("arrays have one dimension; write (x[i:j])[k]")
	}
	if arg.typ() == JSONB && !n.slice {
		return k.jsonSubscript(arg, n)
	}
	if !arg.typ().IsArray() {
		return nil, failAt(n.pos(), codeDatatypeMismatch, "cannot subscript type %v because it does not support subscripting", arg.typ())
	}
	bounds := []expr{arg}
	for _, b := range []node{n.index, n.upper} {
		if b == nil && !n.slice {
			continue
		}
		var e expr = &constExpr{v: null, t: Int4}
		if b != nil {
			if e, err = k.expr(b); err != nil {
				return nil, err
			}
			if t := e.typ(); t != Unknown && !t.integer() && t.category() != 'N' {
				return nil, failAt(b.pos(), codeDatatypeMismatch, "array subscript must have type integer")
			}
			if e, err = k.coerce(e, Int4, explicit, b.pos()); err != nil {
				return nil, err
			}
		}
		bounds = append(bounds, e)
	}
	if n.slice {
		return k.makeCall(arraySlice(arg.typ(), n.index == nil, n.upper == nil), bounds, arg.typ(), n.pos())
	}
	return k.makeCall(arrayElementAt(arg.typ()), bounds, arg.typ().Elem(), n.pos())
}

// jsonSubscript is document[index], which is document #> ARRAY[index]: other
// than ->, it takes an integer as a key of an object, too, and finds nothing in
// a scalar.
func (k *checker) jsonSubscript(arg expr, n subscriptNode) (expr, error) {
	index, err := k.expr(n.index)
	if err != nil {
		return nil, err
	}
	mode := implicit
	if index.typ().integer() {
		mode = explicit
	}
	if index, err = k.coerce(index, Text, mode, n.pos()); err != nil {
		return nil, err
	}
	return k.op("#>", []expr{arg, &arrayExpr{elements: []expr{index}, t: ArrayOf(Text)}}, n.pos())
}
