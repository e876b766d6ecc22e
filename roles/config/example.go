package config

import (
	"bufio"
	"io"
	"strings"

	"daemoneye/roles/term"
)

// WriteExample writes a YAML file that names every setting with its default,
// commented out: it is valid as it is and changes nothing.
func WriteExample(w io.Writer) error {
	b := bufio.NewWriter(w)
	lines := []string{
		"# Configuration of DaemonEye. Each setting is shown with its default; remove the # in front to change it.",
		"# Where it is looked for: /etc/daemoneye/config.yaml (root's and everybody's), then ~/.config/daemoneye/config.yaml",
		"# (not root's). TOML and JSON are read as well. Environment variables (DAEMONEYE_COLLECTOR__INTERVAL=10s) and flags",
		`# win over files. "daemoneye config show" prints what holds and why, "daemoneye config check" what is wrong.`,
	}
	var section []string
	for _, s := range Settings() {
		path := strings.Split(s.Key, ".")
		parents, name := path[:len(path)-1], path[len(path)-1]
		same := 0
		for same < len(parents) && same < len(section) && parents[same] == section[same] {
			same++
		}
		lines = append(lines, "")
		for i := same; i < len(parents); i++ {
			lines = append(lines, strings.Repeat("  ", i)+parents[i]+":")
		}
		section = parents
		indent := strings.Repeat("  ", len(parents))
		for _, text := range term.Wrap(s.Doc+" Expected: "+s.Expected()+".", 110-len(indent)) {
			lines = append(lines, indent+"# "+text)
		}
		for _, line := range strings.Split(name+": "+s.yamlDefault(), "\n") {
			lines = append(lines, strings.TrimRight(indent+"#"+line, " "))
		}
	}
	for _, line := range lines {
		// The error of a bufio.Writer stays until Flush.
		_, _ = b.WriteString(line + "\n")
	}
	return b.Flush()
}

func (s Setting) yamlDefault() string {
	switch s.Type {
	case List, PathList:
		if s.Default == "" {
			return "[]"
		}
		return "\n  - " + strings.ReplaceAll(s.Default, ",", "\n  - ") // none needs quotes
	case Text, Path:
		return `"` + s.Default + `"`
	}
	return s.Default
}
