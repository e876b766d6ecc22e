package client

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "show the version of this program",
		Description: `   daemoneye version
   daemoneye version --format json`,
		Flags:  []cli.Flag{formatFlag()},
		Action: run(version),
	}
}

// version prints what the linker recorded: without version control (as in a
// build with -buildvcs=false) there is no commit.
func version(c *call) error {
	name, err := format(c.Context)
	if err != nil {
		return err
	}
	if err := c.exactly(0, ""); err != nil {
		return err
	}
	text, commit := "devel", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if v := info.Main.Version; v != "" && v != "(devel)" {
			text = v
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = s.Value + commit
			case s.Key == "vcs.modified" && s.Value == "true":
				commit += " (modified)"
			}
		}
	}
	if c.App.Version != "" {
		text = c.App.Version
	}
	platform := runtime.GOOS + "/" + runtime.GOARCH
	if name != "table" {
		list := newListing("version text", "commit text", "go text", "platform text")
		var known any
		if commit != "" {
			known = commit
		}
		list.add(text, known, runtime.Version(), platform)
		return list.print(newPrinter(c.out, name))
	}
	if commit != "" {
		text += ", commit " + commit
	}
	_, err = fmt.Fprintf(c.out, "daemoneye %s, %s, %s\n", text, runtime.Version(), platform)
	return err
}
