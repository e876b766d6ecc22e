//go:build !cgo

package sql

// parseText needs PostgreSQL's grammar, which is C.
func parseText(substitution, Limits) (*queryExpr, error) {
	return nil, fail(codeUnsupported, "this build has no SQL parser: it was compiled without cgo")
}
