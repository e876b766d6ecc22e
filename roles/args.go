package roles

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// permute puts the arguments of a command line in the order that the flag
// package needs: the command's path, its flags wherever they stood, "--", and
// the rest. A global flag may stand before or after the command's name. So
// `daemoneye query 'SELECT 1' --format csv` works as people type it.
//
// Whoever asks for help gets it: "watch events --help" and "help watch events"
// are "watch --help". --version and -v are "version" where no command stands.
func permute(app *cli.App, args []string) []string {
	if len(args) > 0 && args[0] == "help" {
		args = append(args[1:len(args):len(args)], "--help")
	}
	var path, flags, rest []string
	help := false
	commands := app.Commands
	known := app.Flags
	last := (*cli.Command)(nil)
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			rest = append(rest, args[i+1:]...)
			i = len(args)
		case arg == "--help" || arg == "-help" || arg == "-h":
			help = true
		case isFlag(arg):
			flags = append(flags, arg)
			if takesValue(known, arg) {
				if i++; i == len(args) {
					return slices.Concat(path, flags) // the flag package says that it needs a value
				}
				flags = append(flags, args[i])
			}
		default:
			c := find(commands, arg)
			if c == nil || len(rest) > 0 {
				rest = append(rest, arg)
				continue
			}
			path = append(path, arg)
			last, commands, known = c, c.Subcommands, slices.Concat(app.Flags, c.Flags)
		}
	}
	noArguments := last != nil && len(last.Subcommands) == 0
	switch i := slices.IndexFunc(flags, isVersion); {
	case help && (noArguments || len(rest) == 0):
		return append(path, "--help")
	case help:
		flags = nil // of a command that does not exist, which is what to say
	case i >= 0 && last == nil && len(rest) == 0:
		return slices.Concat([]string{"version"}, slices.Delete(flags, i, i+1))
	}
	// A group with an unknown subcommand shows its own message: leave out the
	// "--", after which no subcommand is looked for.
	if !noArguments {
		return slices.Concat(path, flags, rest)
	}
	return slices.Concat(path, flags, []string{"--"}, rest)
}

// isFlag reports whether arg is a flag and its name holds no blank: a statement
// that begins with a comment, as rule files do, is none.
func isFlag(arg string) bool {
	name, _, _ := strings.Cut(arg, "=")
	return len(name) > 1 && name[0] == '-' && !strings.ContainsAny(name, " \t\r\n")
}

func isVersion(flag string) bool { return flag == "--version" || flag == "-version" || flag == "-v" }

func find(commands []*cli.Command, name string) *cli.Command {
	i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(name) })
	if i < 0 {
		return nil
	}
	return commands[i]
}

// takesValue reports whether arg is a flag whose value is the next argument.
// Of an unknown flag that is not known; the flag package will refuse it.
func takesValue(known []cli.Flag, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, f := range known {
		if _, boolean := f.(*cli.BoolFlag); slices.Contains(f.Names(), name) {
			return !boolean
		}
	}
	return false
}

// inherit gives every command the global flags, so that they are accepted
// after its name too.
func inherit(commands []*cli.Command, flags []cli.Flag) {
	for _, c := range commands {
		if len(c.Subcommands) > 0 {
			inherit(c.Subcommands, flags)
			continue
		}
		for _, f := range flags {
			if !slices.ContainsFunc(c.Flags, func(g cli.Flag) bool { return g.Names()[0] == f.Names()[0] }) {
				c.Flags = append(c.Flags, f)
			}
		}
	}
}
