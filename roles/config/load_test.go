//go:build unix

package config

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// user is an ordinary user's host below dir.
func user(dir string, environ ...string) host {
	return host{
		environ: append([]string{"HOME=" + dir + "/home"}, environ...),
		uid:     1000, cwd: dir + "/cwd", system: dir + "/etc",
	}
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func entry(t *testing.T, c *Config, key string) Entry {
	t.Helper()
	i := slices.IndexFunc(c.Entries(), func(e Entry) bool { return e.Key == key })
	if i < 0 {
		t.Fatalf("no entry %s", key)
	}
	return c.Entries()[i]
}

func TestPrecedence(t *testing.T) {
	dir := t.TempDir()
	flags := map[string]string{}
	h := user(dir)
	check := func(value time.Duration, source string) {
		t.Helper()
		c, err := load(Options{Flags: flags}, h)
		if err != nil {
			t.Fatal(err)
		}
		if c.Collector.Interval != value {
			t.Errorf("interval = %v, want %v", c.Collector.Interval, value)
		}
		if got := entry(t, c, "collector.interval"); got.Source != source || got.Value != FormatDuration(value) {
			t.Errorf("entry = %+v, want value %v from %s", got, value, source)
		}
	}
	check(30*time.Second, "default")
	system := write(t, dir+"/etc/config.toml", "[collector]\ninterval = '1s'\nsample_interval = '90s'\n")
	check(time.Second, "file:"+system)
	own := write(t, dir+"/home/.config/daemoneye/config.yaml", "collector:\n  interval: 2s\n")
	check(2*time.Second, "file:"+own)
	h.environ = append(h.environ, "DAEMONEYE_COLLECTOR__INTERVAL=")
	check(2*time.Second, "file:"+own)
	h.environ = append(h.environ, "DAEMONEYE_COLLECTOR__INTERVAL=3s")
	check(3*time.Second, "env:DAEMONEYE_COLLECTOR__INTERVAL")
	flags["collector.interval"] = "4s"
	check(4*time.Second, "flag:--interval")

	// What a higher layer does not set stays, and --config replaces both files.
	c, err := load(Options{}, h)
	if err != nil || c.Collector.SampleInterval != 90*time.Second {
		t.Errorf("sample_interval = %v, %v, want that of the system's file", c.Collector.SampleInterval, err)
	}
	write(t, dir+"/cwd/mine.json", `{"log": {"level": "debug"}}`)
	for _, o := range []struct {
		file    string
		environ []string
	}{{file: "mine.json"}, {environ: []string{"DAEMONEYE_CONFIG=mine.json"}}} {
		c, err = load(Options{File: o.file}, user(dir, o.environ...))
		if err != nil {
			t.Fatal(err)
		}
		if c.Log.Level != "debug" || c.Collector.Interval != 30*time.Second || c.Collector.SampleInterval != 30*time.Second {
			t.Errorf("with --config: level %s, intervals %v, %v", c.Log.Level, c.Collector.Interval, c.Collector.SampleInterval)
		}
	}
}

func TestRootReadsTheSystemsFileOnly(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/home/.config/daemoneye/config.yaml", "log: {level: debug}\n")
	h := user(dir)
	h.root, h.uid = true, os.Getuid()
	c, err := load(Options{}, h)
	if err != nil || c.Log.Level != "info" {
		t.Errorf("level = %v, %v, want info", c, err)
	}
	write(t, dir+"/etc/config.yaml", "log: {level: warn}\n")
	c, err = load(Options{}, h)
	if err != nil || c.Log.Level != "warn" {
		t.Errorf("level = %v, %v, want warn", c, err)
	}
}

const (
	fullYAML = `
data_dir: sub/data
collector:
  interval: 1h30m
  user: 1000
  command_line_limit: 65536
  environment: true
  redact:
    options: [--api-key, "--x,y"]
    patterns: ["a{1,2}", 'k=(\w+)']
  hash: {rate: 1.5MiB, cache: 100}
rules.dirs: [/r, ~/r]
store.retention: {age: 36h, bytes: 10GB}
alerts:
  jsonl:
`
	fullTOML = `
data_dir = "sub/data"
rules.dirs = ["/r", "~/r"]
[collector]
interval = "1h30m"
user = 1000
command_line_limit = 65536
environment = true
redact.options = ["--api-key", "--x,y"]
redact.patterns = ["a{1,2}", 'k=(\w+)']
hash = { rate = "1.5MiB", cache = 100 }
[store.retention]
age = "36h"
bytes = "10GB"
`
	fullJSON = `{
"data_dir": "sub/data", "rules": {"dirs": ["/r", "~/r"]},
"collector": {"interval": "1h30m", "user": 1000, "command_line_limit": 65536, "environment": true,
 "redact": {"options": ["--api-key", "--x,y"], "patterns": ["a{1,2}", "k=(\\w+)"]}, "hash": {"rate": "1.5MiB", "cache": 100}},
"store": {"retention": {"age": "36h", "bytes": "10GB"}}, "alerts": null}`
)

func TestFormatsAreEqual(t *testing.T) {
	dir := t.TempDir()
	want := Default()
	want.DataDir = dir + "/etc/sub/data"
	want.Collector.Interval = 90 * time.Minute
	want.Collector.User = "1000"
	want.Collector.CommandLineLimit = 65536
	want.Collector.Environment = true
	want.Collector.Redact.Options = []string{"--api-key", "--x,y"}
	want.Collector.Redact.Patterns = []string{"a{1,2}", `k=(\w+)`}
	want.Collector.Hash.Rate = 3 << 19
	want.Collector.Hash.Cache = 100
	want.Rules.Dirs = []string{"/r", dir + "/home/r"}
	want.Store.Retention = Retention{Age: 36 * time.Hour, Bytes: 10e9}
	equal := func(name string, got *Config, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		got.sources, got.Paths = nil, Paths{}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
	for name, content := range map[string]string{
		"config.yaml": fullYAML, "config.yml": "\ufeff" + fullYAML, "config.toml": fullTOML,
		"crlf.toml": strings.ReplaceAll(fullTOML, "\n", "\r\n"), "config.json": fullJSON,
	} {
		file := write(t, dir+"/etc/"+name, content)
		c, err := load(Options{File: file}, user(dir))
		equal(name, c, err)
		os.Remove(file)
	}
	h := user(dir,
		"DAEMONEYE_DATA_DIR="+dir+"/etc/sub/data", "DAEMONEYE_COLLECTOR__INTERVAL=1h30m", "DAEMONEYE_COLLECTOR__USER=1000",
		"DAEMONEYE_COLLECTOR__COMMAND_LINE_LIMIT=65536", "DAEMONEYE_COLLECTOR__ENVIRONMENT=yes",
		`DAEMONEYE_COLLECTOR__REDACT__OPTIONS=--api-key, "--x,y",`, `DAEMONEYE_COLLECTOR__REDACT__PATTERNS="a{1,2}",k=(\w+)`,
		"DAEMONEYE_COLLECTOR__HASH__RATE=1.5 MiB", "DAEMONEYE_COLLECTOR__HASH__CACHE=100", "DAEMONEYE_RULES__DIRS=/r,~/r",
		"DAEMONEYE_STORE__RETENTION__AGE=1d12h", "DAEMONEYE_STORE__RETENTION__BYTES=10gb",
		"DAEMONEYE_PORT=tcp://10.0.0.1:80", "DAEMONEYE_SERVICE_HOST=10.0.0.1", "DAEMONEYE_PORT_80_TCP=x", "OTHER=1")
	c, err := load(Options{}, h)
	equal("environment", c, err)
}

func TestListRoundTrip(t *testing.T) {
	for _, items := range [][]string{
		nil,
		{"a"},
		{"a", "b c"},
		{"a,b", `c"d`, `"e"`},
		{`a{1,2}`, `[x,y]`, `\d`},
		{`C:\rules\`, `D:\`},
		{"/d/. ", " a", "\u00a0b"},
		{"a\r\nb", "\n"},
		{`k="v"`},
	} {
		if got, err := SplitList(JoinList(items)); err != nil || !slices.Equal(got, items) {
			t.Errorf("SplitList(%q) = %q, %v, want %q", JoinList(items), got, err, items)
		}
	}
}

func TestSplitList(t *testing.T) {
	for in, want := range map[string][]string{
		"": nil, " , ,": nil, "a, b ,": {"a", "b"}, ` "a,b" , c`: {"a,b", "c"}, `"a ""b"" "`: {`a "b" `}, `k="v",x"y`: {`k="v"`, `x"y`}, "a\n": {"a"},
	} {
		if got, err := SplitList(in); err != nil || !slices.Equal(got, want) {
			t.Errorf("SplitList(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{`"a`: "a quotation mark is not closed", `a,"b""`: "a quotation mark is not closed", `"a" b`: `a comma is missing after "a"`, "a\nb": "it has more than one line"} {
		if got, err := SplitList(in); err == nil || err.Error() != want {
			t.Errorf("SplitList(%q) = %q, %v, want error %q", in, got, err, want)
		}
	}
}

func TestDurationsAndSizes(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"0": 0, "30s": 30 * time.Second, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "100ms": 100 * time.Millisecond, "1.5h": 90 * time.Minute,
	} {
		if got, err := ParseDuration(in); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", in, got, err, want)
		}
		if got, err := ParseDuration(FormatDuration(want)); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", FormatDuration(want), got, err, want)
		}
	}
	for _, in := range []string{"", "d", "30", "-1d", "1d-1h", "1.5d", "106752d", "106751d24h", "1h1d", "999999999999d", "1dd"} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", in, got)
		}
	}
	for in, want := range map[string]int64{
		"0": 0, "4096": 4096, "64MiB": 64 << 20, "1GB": 1e9, "1.5 GiB": 3 << 29, "10b": 10, "8388607TiB": 8388607 << 40, "9223372036854775807": 1<<63 - 1,
	} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %v, %v, want %v", in, got, err, want)
		}
		if got, err := ParseSize(FormatSize(want)); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %v, %v, want %v", FormatSize(want), got, err, want)
		}
	}
	for _, in := range []string{"", "MiB", "64M", "1.5", "1..5MiB", ".MiB", "-1", "8388608TiB", "9223372036854775808", "1e3", "99999999999999999999.0TiB"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("ParseSize(%q) = %v, want an error", in, got)
		}
	}
}

func TestExampleIsTheDefault(t *testing.T) {
	var b bytes.Buffer
	if err := WriteExample(&b); err != nil {
		t.Fatal(err)
	}
	example := b.String()
	live := regexp.MustCompile(`(?m)^( *)#([a-z_]+:|  - )`).ReplaceAllString(example, "$1$2")
	for name, content := range map[string]string{"as it is": example, "uncommented": live} {
		dir := t.TempDir()
		file := write(t, dir+"/config.yaml", content)
		c, err := load(Options{File: file}, user(dir))
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, content)
			continue
		}
		set := len(c.sources)
		c.sources, c.Paths = nil, Paths{}
		if !reflect.DeepEqual(c, Default()) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, c, Default())
		}
		if want := map[string]int{"as it is": 0, "uncommented": len(Settings())}[name]; set != want {
			t.Errorf("%s sets %d keys, want %d", name, set, want)
		}
	}
}

func TestSettings(t *testing.T) {
	fields := map[any]string{}
	c := &Config{}
	for _, s := range Settings() {
		if other, ok := fields[s.field(c)]; ok {
			t.Errorf("%s and %s share a field", s.Key, other)
		}
		fields[s.field(c)] = s.Key
		if s.Doc == "" || !strings.HasSuffix(s.Doc, ".") {
			t.Errorf("%s: doc %q", s.Key, s.Doc)
		}
	}
	var count func(v reflect.Value) int
	count = func(v reflect.Value) int {
		n := 0
		for i := range v.NumField() {
			switch f := v.Type().Field(i); {
			case f.Type == reflect.TypeFor[Paths]() || !f.IsExported():
			case f.Type.Kind() == reflect.Struct:
				n += count(v.Field(i))
			default:
				n++
			}
		}
		return n
	}
	if got := count(reflect.ValueOf(*c)); got != len(fields) {
		t.Errorf("%d settings for %d fields of Config", len(fields), got)
	}
}

func TestMarshal(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir+"/c.yaml", fullYAML)
	for _, o := range []Options{{}, {File: file, Flags: map[string]string{"agent.user": "nobody"}}} {
		c, err := load(o, user(dir))
		if err != nil {
			t.Fatal(err)
		}
		b, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Unmarshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, c) || !slices.Equal(got.Entries(), c.Entries()) {
			t.Errorf("Unmarshal(Marshal(c)) = %+v, want %+v", got, c)
		}
		for _, bad := range []string{
			"", "{}", "null", `{"Config":null}`, string(b) + "1",
			strings.Replace(string(b), `"Level":"info"`, `"Level":"loud"`, 1),
			strings.Replace(string(b), `"Level"`, `"Levels"`, 1),
		} {
			if _, err := Unmarshal([]byte(bad)); err == nil {
				t.Errorf("Unmarshal(%q) gives no error", bad)
			}
		}
	}
}

func TestPaths(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the paths are those of Linux")
	}
	dir := t.TempDir()
	home := dir + "/home"
	long := "/" + strings.Repeat("x", 200)
	for _, c := range []struct {
		name string
		host host
		data string
		want Paths
		err  string
	}{
		{name: "user", host: user(dir), want: Paths{
			Config: home + "/.config/daemoneye", State: home + "/.local/state/daemoneye", Run: home + "/.local/state/daemoneye/run",
		}},
		{name: "xdg", host: user(dir, "XDG_STATE_HOME=/s", "XDG_CONFIG_HOME=/c", "XDG_RUNTIME_DIR=/run/user/1000"), want: Paths{
			Config: "/c/daemoneye", State: "/s/daemoneye", Run: "/run/user/1000/daemoneye",
		}},
		{name: "relative xdg is ignored", host: user(dir, "XDG_STATE_HOME=s", "XDG_RUNTIME_DIR=r"), want: Paths{
			Config: home + "/.config/daemoneye", State: home + "/.local/state/daemoneye", Run: home + "/.local/state/daemoneye/run",
		}},
		{name: "data dir", host: user(dir), data: "d", want: Paths{
			Config: home + "/.config/daemoneye", State: dir + "/cwd/d", Run: dir + "/cwd/d/run",
		}},
		{name: "data dir without home", host: host{cwd: dir, uid: 1000, system: dir + "/etc"}, data: "/d", want: Paths{State: "/d", Run: "/d/run"}},
		{name: "root", host: host{root: true, system: "/nowhere"}, want: Paths{
			Config: "/nowhere", State: "/var/lib/daemoneye", Run: "/run/daemoneye",
		}},
		{name: "no home", host: host{uid: 1000, system: dir + "/etc"}, err: ErrNoHome.Error()},
		{name: "long", host: user(dir), data: long, want: Paths{Config: home + "/.config/daemoneye", State: long, Run: long + "/run"}},
	} {
		flags := map[string]string{}
		if c.data != "" {
			flags["data_dir"] = c.data
		}
		got, err := load(Options{Flags: flags}, c.host)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		c.want.Store, c.want.Token, c.want.Socket = c.want.State+"/store", c.want.State+"/token", c.want.Run+"/agent.sock"
		c.want.Ledger = c.want.State + "/ledger"
		got.Paths.RulesDirs, got.Paths.RulesDefault = nil, false
		if !c.host.root && c.data == "" {
			c.want.System = "/run/daemoneye/agent.sock" // who names no instance may mean root's
		}
		if !reflect.DeepEqual(got.Paths, c.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got.Paths, c.want)
		}
	}
}

func TestRulesDirs(t *testing.T) {
	dir := t.TempDir()
	rules := func(o Options) []string {
		t.Helper()
		c, err := load(o, user(dir))
		if err != nil {
			t.Fatal(err)
		}
		return c.Paths.RulesDirs
	}
	// It counts before it exists: it may be made while the agent runs.
	if got, want := rules(Options{}), []string{dir + "/home/.config/daemoneye/rules"}; !slices.Equal(got, want) {
		t.Errorf("rules dirs = %q, want %q", got, want)
	}
	if got, want := rules(Options{Flags: map[string]string{"rules.dirs": "a,/b"}}), []string{dir + "/cwd/a", "/b"}; !slices.Equal(got, want) {
		t.Errorf("rules dirs = %q, want %q", got, want)
	}
}

func TestLoadOfThisHost(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DAEMONEYE_DATA_DIR", dir)
	file := write(t, dir+"/c.yaml", "log: {level: warn}\n")
	c, err := Load(Options{File: file})
	if err != nil {
		t.Fatal(err)
	}
	if c.Log.Level != "warn" || c.Paths.Store != dir+"/store" {
		t.Errorf("level %s, store %s", c.Log.Level, c.Paths.Store)
	}
}

// problems loads and returns the problems, dir replaced by DIR.
func problems(t *testing.T, dir string, o Options, h host) []string {
	t.Helper()
	_, err := load(o, h)
	if err == nil {
		return nil
	}
	var all *Error
	if !errors.As(err, &all) {
		t.Fatalf("error %v is no *Error", err)
	}
	return strings.Split(strings.ReplaceAll(all.Error(), dir, "DIR"), "\n")
}

func TestDefaultsOfAll(t *testing.T) {
	c, err := load(Options{}, user(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"log.level": "info", "collector.interval": "30s", "store.retention.age": "30d", "store.retention.bytes": "4GiB",
		"collector.command_line_limit": "32KiB", "agent.memory": "0", "rules.dirs": "", "supervisor.stop_timeout": "10s",
	}
	got := map[string]string{}
	for _, e := range c.Entries() {
		if e.Source != "default" {
			t.Errorf("%s comes from %s", e.Key, e.Source)
		}
		if _, ok := want[e.Key]; ok {
			got[e.Key] = e.Value
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("defaults = %v, want %v", got, want)
	}
}

// --data-dir "$DIR" of a variable that is not set must not take the system's.
func TestEmptyDataDir(t *testing.T) {
	_, err := Load(Options{Flags: map[string]string{"data_dir": ""}})
	if err == nil || !strings.Contains(err.Error(), "--data-dir") || !strings.Contains(err.Error(), "expected a directory") {
		t.Errorf("Load with --data-dir \"\" = %v, want it refused", err)
	}
}

// TestWatched: files of the configuration are watched beside those of the
// built-in rules.
func TestWatched(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir+"/c.yaml", "collector:\n  files:\n    paths: [/srv/app]\n    reads: [/srv/app/key]\n")
	c, err := load(Options{File: file}, user(dir))
	if err != nil {
		t.Fatal(err)
	}
	paths, reads := c.Collector.Files.Watched()
	for _, list := range []struct{ got, want []string }{{paths, []string{"/etc", "/home/*/.ssh", "/srv/app"}}, {reads, []string{"/etc/shadow", "/srv/app/key"}}} {
		for _, w := range list.want {
			if !slices.Contains(list.got, w) {
				t.Errorf("%q is not among %q", w, list.got)
			}
		}
	}
}
