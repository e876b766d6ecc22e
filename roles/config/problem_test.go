//go:build unix

package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestFileProblems(t *testing.T) {
	cases := []struct {
		name, file, content string
		want                []string // without "DIR/c.EXT"
	}{
		{"all at once", "yaml", "log:\n  level: loud\n  formt: json\ncollector:\n  interval: 5\nfoo: 1\n", []string{
			`:5: collector.interval = 5: expected a duration from 100ms to 1d, such as 500ms, 30s, 1h30m or 30d`,
			`:6: foo = 1: unknown key; expected data_dir, log, collector, agent, rules, sql, store, alerts, metrics, ledger, security or supervisor`,
			`:3: log.formt = "json": unknown key; did you mean log.format?`,
			`:2: log.level = "loud": expected debug, info, warn or error`,
		}},
		{"toml", "toml", "[log]\nlevel = 3\n\n[collector]\nhash = { cache = 1.5, rat = '1MiB' }\n", []string{
			`:5: collector.hash.cache = 1.5: expected a whole number from 16 to 4194304`,
			`:5: collector.hash.rat = "1MiB": unknown key; did you mean collector.hash.rate?`,
			`:2: log.level = 3: expected debug, info, warn or error`,
		}},
		{"json", "json", "{\n \"agent\": {\n  \"query_memory\": \"64M\",\n  \"Memory\": 1\n }\n}", []string{
			`:4: agent.Memory = 1: unknown key; did you mean agent.memory?`,
			`:3: agent.query_memory = "64M": expected a size from 1MiB to 1TiB, such as 4096, 64MiB or 1GB`,
		}},
		{"mistyped section", "yaml", "colector:\n  interval: 5s\n", []string{
			`:2: colector.interval = "5s": unknown key; did you mean collector.interval?`,
		}},
		{"wrong place", "yaml", "interval: 5s\n", []string{`:1: interval = "5s": unknown key; did you mean collector.interval or metrics.file.interval?`}},
		{"unknown in a section", "yaml", "store:\n  compression: zstd\n", []string{
			`:2: store.compression = "zstd": unknown key; store has retention`,
		}},
		{"section as value", "yaml", "store: 4GiB\n", []string{`:1: store = "4GiB": expected a section with retention`}},
		{"value as section", "yaml", "log:\n  level: {a: 1}\n", []string{`:2: log.level = {"a":1}: expected debug, info, warn or error`}},
		{"zero allowed", "yaml", "store: {retention: {bytes: 10}}\n", []string{
			`:1: store.retention.bytes = 10: expected a size of at least 1MiB or 0, such as 4096, 64MiB or 1GB`,
		}},
		{"bool", "yaml", "rules: {builtin: maybe}\n", []string{`:1: rules.builtin = "maybe": expected true or false`}},
		{"list", "yaml", "rules: {dirs: /a}\n", []string{`:1: rules.dirs = "/a": expected a list of paths`}},
		{"list item", "yaml", "collector: {redact: {patterns: [a, '(b']}}\n", []string{
			`:1: collector.redact.patterns = ["a","(b"]: item 2, "(b", is not good; expected a list of regular expressions (RE2)`,
		}},
		{"list of numbers", "yaml", "rules: {dirs: [1]}\n", []string{`:1: rules.dirs = [1]: item 1 is not text; expected a list of paths`}},
		{"user", "yaml", "agent: {user: 'a b'}\n", []string{`:1: agent.user = "a b": expected a user name or number`}},
		{"control characters", "yaml", "log: {level: \"\\e[2J\"}\n\"\\e[2J\": 1\n", []string{
			`:2: "\x1b[2J" = 1: unknown key; expected data_dir, log, collector, agent, rules, sql, store, alerts, metrics, ledger, security or supervisor`,
			`:1: log.level = "\x1b[2J": expected debug, info, warn or error`,
		}},
		{"twice in yaml", "yaml", "log: {level: info}\nlog: {level: warn}\n", []string{`:2: yaml: mapping key "log" already defined at line 1`}},
		{"twice, dotted", "yaml", "log: {level: info}\nlog.level: warn\n", []string{`:2: log.level = "warn": it is set twice`}},
		{"twice in json", "json", "{\"log\": {\"level\": \"info\",\n\"level\": \"warn\"}}", []string{`:2: log.level is set twice`}},
		{"twice in toml", "toml", "[log]\nlevel='info'\nlevel='warn'\n", []string{`:3: log.level is set twice`}},
		{"yaml syntax", "yaml", "log:\n\tlevel: info\n", []string{`:2: yaml: found character that cannot start any token`}},
		{"toml syntax", "toml", "[log]\nlevel = \n", []string{`:2: toml: incomplete number`}},
		{"json syntax", "json", "{\n\"log\" 1}", []string{`:2: json: invalid character '1' after object key`}},
		{"json syntax in a list", "json", "{\"rules\": {\"dirs\": [\n\"a\" llector", []string{`:2: json: invalid character 'l' after array element`}},
		{"json tail", "json", "{}\n{}", []string{`:2: json: invalid character '{' after top-level value`}},
		{"yaml list", "yaml", "- a\n", []string{`:1: yaml: expected keys with values`}},
		{"json list", "json", "[1]", []string{`:1: json: expected an object with keys`}},
		{"documents", "yaml", "log: {level: info}\n---\nlog: {level: warn}\n", []string{`:2: expected one document, not several with --- between them`}},
		{"utf-8", "yaml", "log:\n  level: \xff\n", []string{`:2: it is not valid UTF-8`}},
		{"deep", "json", "{\"a\":\n" + strings.Repeat("[", 100000), []string{`:2: it is nested more than 64 levels deep`}},
		{"deep toml key", "toml", "\na" + strings.Repeat(".a", 400000) + " = 1", []string{`:2: it is nested more than 64 levels deep`}},
		{"long value", "json", `{"log": {"level": "` + strings.Repeat("é", 100) + `"}}`, []string{
			`:1: log.level = "` + strings.Repeat("é", 40) + `…": expected debug, info, warn or error`,
		}},
		{"large", "yaml", strings.Repeat("#", maxFile+1), []string{`: it is larger than 1MiB`}},
		{"number as path", "yaml", "data_dir: 5\n", []string{`:1: data_dir = 5: expected a path`}},
		{"odd yaml", "yaml", "log: {1: x, null: y, [a]: z}\n", nil},
		{"name", "ini", "", []string{`: expected a name that ends in .yaml, .yml, .toml or .json`}},
	}
	for _, c := range cases {
		dir := t.TempDir()
		file := write(t, dir+"/c."+c.file, c.content)
		got := problems(t, dir, Options{File: file}, user(dir))
		if c.want == nil { // only: some problem, no panic
			if got == nil {
				t.Errorf("%s: no problem", c.name)
			}
			continue
		}
		want := make([]string, len(c.want))
		for i, w := range c.want {
			want[i] = "DIR/c." + c.file + w
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	}
}

func TestEnvironmentAndFlagProblems(t *testing.T) {
	dir := t.TempDir()
	h := user(dir, "DAEMONEYE_COLLECTOR__INTERVALL=5s", "DAEMONEYE_LOG__LEVEL=loud", "DAEMONEYE_RULES_DIRS=/a",
		"DAEMONEYE_data_dir=x", "DAEMONEYE_ALERTS__JSONL__PATH=a\xff")
	got := problems(t, dir, Options{Flags: map[string]string{
		"collector.interval": "1ms", "no.such": "x", "agent.query_timeout": "soon",
	}}, h)
	want := []string{
		`DAEMONEYE_ALERTS__JSONL__PATH: alerts.jsonl.path = "a\xff": it is not valid UTF-8; expected a path`,
		`DAEMONEYE_COLLECTOR__INTERVALL: collector.intervall = "5s": unknown key; did you mean DAEMONEYE_COLLECTOR__INTERVAL?`,
		`DAEMONEYE_LOG__LEVEL: log.level = "loud": expected debug, info, warn or error`,
		`DAEMONEYE_RULES_DIRS: rules_dirs = "/a": unknown key; did you mean DAEMONEYE_RULES__DIRS?`,
		`DAEMONEYE_data_dir: data_dir = "x": unknown key; did you mean DAEMONEYE_DATA_DIR?`,
		`--agent.query_timeout: agent.query_timeout = "soon": expected a duration from 1ms to 1d, such as 500ms, 30s, 1h30m or 30d`,
		`--interval: collector.interval = "1ms": expected a duration from 100ms to 1d, such as 500ms, 30s, 1h30m or 30d`,
		`--no.such: no.such = "x": unknown key; expected data_dir, log, collector, agent, rules, sql, store, alerts, metrics, ledger, security or supervisor`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func TestUnusableFiles(t *testing.T) {
	dir := t.TempDir()
	fifo := dir + "/fifo.yaml"
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/d.yaml", 0o755); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		fifo:              "DIR/fifo.yaml: it is not a regular file",
		dir + "/d.yaml":   "DIR/d.yaml: it is not a regular file",
		dir + "/no.yaml":  "DIR/no.yaml: open: no such file or directory",
		"cwd-is-not.yaml": "DIR/cwd/cwd-is-not.yaml: open: no such file or directory",
	} {
		if got := problems(t, dir, Options{File: file}, user(dir)); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
	write(t, dir+"/etc/config.yaml", "")
	write(t, dir+"/etc/config.json", "")
	want := "DIR/etc/config.yaml: there is DIR/etc/config.json, too: keep one of them"
	if got := problems(t, dir, Options{}, user(dir)); !slices.Equal(got, []string{want}) {
		t.Errorf("two files: %q, want %q", got, want)
	}
}

func TestRootTrustsOnlyItsOwnFiles(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir+"/c.yaml", "log: {level: warn}\n")
	h := user(dir)
	h.root, h.uid = true, os.Getuid()
	for mode, want := range map[os.FileMode]string{
		0o644: "", 0o600: "",
		0o664: "DIR/c.yaml: its mode is 0664: as root, DaemonEye reads only files that nobody else can write (chmod go-w it)",
		0o646: "DIR/c.yaml: its mode is 0646: as root, DaemonEye reads only files that nobody else can write (chmod go-w it)",
	} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(problems(t, dir, Options{File: file}, h), "\n"); got != want {
			t.Errorf("mode %o: %q, want %q", mode, got, want)
		}
		if got := problems(t, dir, Options{File: file}, user(dir)); got != nil {
			t.Errorf("mode %o, not root: %q", mode, got)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("only root can give a file away")
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.yaml") // the file counts, not the link
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if got := problems(t, dir, Options{File: link}, h); got != nil {
		t.Errorf("link: %q", got)
	}
	if err := os.Chown(file, 1234, 1234); err != nil {
		t.Fatal(err)
	}
	want := "DIR/c.yaml: it belongs to user 1234: as root, DaemonEye reads only root's own files (chown root it, or start DaemonEye as that user)"
	if got := problems(t, dir, Options{File: file}, h); !slices.Equal(got, []string{want}) {
		t.Errorf("somebody else's: %q, want %q", got, want)
	}
}
