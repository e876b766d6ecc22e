// Package pack holds the rules that DaemonEye ships: for each technique one
// .sql file and, beside it, the fixtures that it must and must not match.
package pack

import (
	"embed"
	"io/fs"
)

//go:embed *.sql *.yaml
var files embed.FS

// Files returns the rules and their fixtures.
func Files() fs.FS { return files }
