package procfs

import "strings"

// SplitArgs returns the arguments of a /proc/PID/cmdline.
//
// Each argument ends with NUL. A program that writes a title over its
// arguments (setproctitle) leaves one string, with no NUL or with many after
// it; that string is returned as the only argument. NULs at the end are
// therefore no empty arguments; those in the middle are.
func SplitArgs(cmdline string) []string {
	cmdline = strings.TrimRight(cmdline, "\x00")
	if cmdline == "" {
		return nil
	}
	return strings.Split(cmdline, "\x00")
}

// Variable is one environment variable.
type Variable struct {
	Name  string
	Value string
}

// SplitEnviron returns the variables of a /proc/PID/environ in their order.
// A string without "=" is a variable with an empty name: programs that use the
// area for their title leave such.
func SplitEnviron(environ string) []Variable {
	var list []Variable
	for s := range strings.SplitSeq(environ, "\x00") {
		if s == "" {
			continue
		}
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			name, value = "", s
		}
		list = append(list, Variable{Name: name, Value: value})
	}
	return list
}
