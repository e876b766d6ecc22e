package client

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"daemoneye/rules"
	"daemoneye/rules/sql"
)

func rulesNewCommand() *cli.Command {
	return &cli.Command{
		Name:      "new",
		Usage:     "write the skeleton of a rule and of its fixtures",
		ArgsUsage: "FILE.sql",
		Description: `   daemoneye rules new my-rules/shell-from-office.sql
   daemoneye rules new exec-from-share.sql

The name of the file becomes the rule's id. What exists is not touched.`,
		Action: run(rulesNew),
	}
}

const ruleSkeleton = `-- id: %s
-- title: A program of which this is the first line that people read
-- description: Why a match matters, and what to look at first.
-- author: unknown
-- date: %s
-- version: 1
-- status: experimental
-- severity: medium
-- tags: attack.execution, attack.t1059
-- falsepositives: what harmless programs do the same
-- dedup: executable_path, user_id
-- window: 1h
SELECT time, pid, user_name, executable_path, command_line
FROM process_events
WHERE event IN ('seen', 'exec')
  AND executable_path LIKE '%%/example'
`

const fixtureSkeleton = `cases:
  - name: the program runs
    events:
      - executable_path: /usr/bin/example
    match: 1
  - name: another program runs
    events:
      - executable_path: /usr/bin/other
    must_not_match: true
`

func skeletonText(id string) string {
	return fmt.Sprintf(ruleSkeleton, id, time.Now().UTC().Format(time.DateOnly))
}

func rulesNew(c *call) error {
	if err := c.exactly(1, "the file to write"); err != nil {
		return err
	}
	file := c.Args().First()
	base, ok := strings.CutSuffix(file, ".sql")
	if !ok {
		return usage("rules are files whose names end in .sql", "%q is not the name of a rule file", file)
	}
	text := []byte(skeletonText(filepath.Base(base)))
	if _, err := rules.Parse(file, text, sql.Config{}); err != nil {
		return &Error{Err: err, Hint: "the name of the file becomes the id of the rule"}
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{file, text}, {base + ".test.yaml", []byte(fixtureSkeleton)}} {
		if err := writeNew(f.name, f.text); err != nil {
			return err
		}
		c.note("wrote %s", f.name)
	}
	return nil
}

// writeNew writes a file that does not exist yet.
func writeNew(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
