package platform

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Memory returns the resident set size of a process and its proportional set
// size, in bytes: a page shared by n processes counts 1/n. It needs the right
// to trace the process, and costs the kernel a walk over its pages.
func Memory(pid int) (rss, pss int64, err error) {
	path := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, fmt.Errorf("read memory use: %w", err)
	}
	for line := range bytes.Lines(raw) {
		f := bytes.Fields(line)
		if len(f) != 3 {
			continue
		}
		n, err := strconv.ParseInt(string(f[1]), 10, 40)
		if err != nil {
			continue
		}
		switch string(f[0]) {
		case "Rss:":
			rss = n << 10
		case "Pss:":
			pss = n << 10
		}
	}
	if rss == 0 {
		return 0, 0, fmt.Errorf("read memory use: %q has no Rss", path)
	}
	return rss, pss, nil
}
