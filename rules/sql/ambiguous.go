package sql

// ambiguous reports whether PostgreSQL finds a call ambiguous for a type that
// does not exist here: untyped literals could be json, bit strings and others.
func ambiguous(name string, types []Type) bool {
	if len(types) == 0 || types[0] != Unknown {
		return false
	}
	switch name {
	case "->", "->>":
		return len(types) == 2
	case "#>", "#>>", "?|":
		return len(types) == 2 && (name != "?|" || types[1] == Unknown)
	case "trunc", "age", "bit_count", "unnest":
		return len(types) == 1
	case "get_bit":
		return len(types) == 2 && types[1] == Unknown
	}
	return false
}

// arrayOfArrays reports whether a call needs an array of arrays: an element
// type that is an array beside an array, given as NULL or a literal, or as the
// result.
func arrayOfArrays(list []*function, actual []Type) (Type, bool) {
	for _, f := range list {
		if len(f.args) != len(actual) || f.variadic {
			continue
		}
		var elem Type
		wants := f.ret == anyArray || f.ret == anyCompatibleArray
		fits := true
		for i, t := range f.args {
			switch t {
			case anyElement, anyNonArray, anyCompatible:
				if actual[i].IsArray() {
					elem = actual[i]
				}
			case anyArray, anyCompatibleArray:
				wants = true
				fits = fits && actual[i] == Unknown
			default:
				fits = fits && canCoerce(actual[i], t)
			}
		}
		if fits && wants && elem != 0 && f.refused == "" {
			return elem, true
		}
	}
	return 0, false
}
