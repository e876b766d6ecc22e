package history

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

const loadHead = "| | bytes a row | load, rows/s | |\n|---|---|---|---|\n"

func loadLine(name string, l loaded) string {
	note := l.Version
	if l.Sealing > 0 {
		note = fmt.Sprintf("append %s, seal %s rows/s", thousands(float64(l.Rows)/(l.Seconds-l.Sealing)), thousands(float64(l.Rows)/l.Sealing))
	}
	speed := "–"
	if l.Seconds > 0 {
		speed = thousands(float64(l.Rows) / l.Seconds)
	}
	return fmt.Sprintf("| %s | %.1f | %s | %s |", name, float64(l.Bytes)/float64(l.Rows), speed, note)
}

// ratios are the peers whose time is divided by ours with as many workers, or
// with the most.
var ratios = []string{"DuckDB", "PostgreSQL"}

// pairs are the columns to compare: ours and the other.
func pairs(columns []column) (out [][2]int) {
	for _, name := range ratios {
		for i, c := range columns {
			if c.name != name {
				continue
			}
			own := slices.IndexFunc(columns, func(o column) bool { return o.name == "DaemonEye" && (c.workers == 0 || o.workers == c.workers) })
			if own >= 0 {
				out = append(out, [2]int{own, i})
			}
		}
	}
	return out
}

// table is a heading and a line for each query, in Markdown.
func table(head []string, queries []string, cells func(query int) []string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for i, name := range queries {
		fmt.Fprintf(&out, "| %s | %s |\n", name, strings.Join(cells(i), " | "))
	}
	return out.String()
}

// timeTable is how long the queries took, and ratios of it.
func timeTable(queries []string, columns []column, results [][]measured) string {
	head := []string{"ms"}
	for _, c := range columns {
		head = append(head, c.label)
	}
	for _, p := range pairs(columns) {
		head = append(head, columns[p[1]].label+" ÷ ours")
	}
	return table(head, queries, func(query int) (out []string) {
		m := results[query]
		for i := range columns {
			if m[i].err != nil {
				out = append(out, "error")
				continue
			}
			out = append(out, millis(median(m[i].millis)))
		}
		for _, p := range pairs(columns) {
			out = append(out, ratio(median(m[p[1]].millis), median(m[p[0]].millis)))
		}
		return out
	})
}

// useTable is what the queries used where that is known: CPU, memory.
func useTable(queries []string, columns []column, results [][]measured) string {
	head := []string{"CPU ms, peak MB"}
	var known []int
	for i, c := range columns {
		if c.workers > 0 {
			known, head = append(known, i), append(head, c.label)
		}
	}
	return table(append(head, "CPU, 1 core, DuckDB ÷ ours"), queries, func(query int) (out []string) {
		m := results[query]
		cpu := map[string]float64{}
		for _, i := range known {
			out = append(out, fmt.Sprintf("%s, %d MB", millis(median(m[i].cpu)), m[i].peak>>20))
			cpu[columns[i].name] = median(m[i].cpu) // the last is that with one worker
		}
		return append(out, ratio(cpu["DuckDB"], cpu["DaemonEye"]))
	})
}

func ratio(theirs, ours float64) string {
	if theirs == 0 || ours == 0 {
		return ""
	}
	return fmt.Sprintf("%.3g ×", theirs/ours)
}

// describe is what is told while the comparison runs.
func describe(columns []column, m []measured) string {
	var out []string
	for i, c := range columns {
		text := c.label + " " + millis(median(m[i].millis)) + " ms"
		if m[i].peak > 0 {
			text += fmt.Sprintf(" (CPU %s, %d MB)", millis(median(m[i].cpu)), m[i].peak>>20)
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	return s[len(s)/2]
}

func millis(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f", ms)
	}
	return thousands(ms)
}

func thousands(n float64) string {
	s := fmt.Sprintf("%.0f", n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// sizeOf adds up the files under dir.
func sizeOf(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
