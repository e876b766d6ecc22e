//go:generate go run docs/generate.go

// DaemonEye watches the processes of a host. One binary plays every role; see
// package roles.
package main

import (
	"context"
	"os"

	"daemoneye/roles"
)

// version is set by the linker: -X main.version=….
var version = "devel"

func main() {
	os.Exit(roles.Main(context.Background(), version, os.Args, os.Stdout, os.Stderr))
}
