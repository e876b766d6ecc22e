//go:build cgo

package sql

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// refuse ends the conversion; without a position of its own the error stands
// where the converter came last.
func (c *converter) refuse(pos int32, what string) node {
	if pos < 0 {
		pos = c.last
	}
	c.fail(refuse(int(pos), what))
	return literal{}
}

// refuseNode refuses what the converter does not know.
func (c *converter) refuseNode(n *pg.Node) node {
	return c.refuse(nodeLocation(n), kindOf(n))
}

// kindOf is what people call a node that is refused.
func kindOf(n *pg.Node) string {
	kind := nodeKind(n)
	switch {
	case kind == "XmlExpr" || kind == "XmlSerialize":
		return "an XML expression"
	case kind == "RangeTableFunc":
		return "XMLTABLE"
	case kind == "JsonIsPredicate":
		return "IS JSON"
	case kind == "JsonObjectConstructor":
		return "JSON_OBJECT"
	case kind == "JsonObjectAgg":
		return "JSON_OBJECTAGG"
	case kind == "JsonArrayAgg":
		return "JSON_ARRAYAGG"
	case strings.HasPrefix(kind, "JsonArray"):
		return "JSON_ARRAY"
	case kind == "SetToDefault":
		return "DEFAULT"
	}
	return "this"
}

// locationOf returns the position of a node of the parser, or the first one
// within it; -1 when there is none.
func locationOf(m protoreflect.Message, depth int) int32 {
	if f := m.Descriptor().Fields().ByName("location"); f != nil {
		if at := int32(m.Get(f).Int()); at > 0 || at == 0 && m.Has(f) {
			return at
		}
	}
	if depth == 0 {
		return -1
	}
	found := int32(-1)
	visit := func(m protoreflect.Message) {
		if at := locationOf(m, depth-1); at >= 0 && (found < 0 || at < found) {
			found = at
		}
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind || f.IsMap():
		case f.IsList():
			for i := range min(v.List().Len(), 16) {
				visit(v.List().Get(i).Message())
			}
		default:
			visit(v.Message())
		}
		return true
	})
	return found
}
