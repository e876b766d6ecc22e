package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sigmaRule = `title: "Su \e[2J"
id: su
logsource: {product: linux, category: process_creation}
detection: {s: {Image|endswith: /su}, condition: s}
`

// sigmaDir is a directory of Sigma rules, some of which are refused.
func sigmaDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a/su.yml":    sigmaRule,
		"a/two.yml":   strings.Replace(sigmaRule, "id: su", "id: one", 1) + "---\n" + strings.Replace(sigmaRule, "id: su", "id: two", 1),
		"b/host.yml":  strings.NewReplacer("id: su", "id: host", "Image|endswith", `"Source\ehostname"`).Replace(sigmaRule),
		"b/log.yml":   strings.NewReplacer("id: su", "id: log", "category: process_creation", "service: sshd").Replace(sigmaRule),
		"c/other.sql": "what is no Sigma rule",
	} {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSigmaConvert(t *testing.T) {
	dir, out := sigmaDir(t), filepath.Join(t.TempDir(), "new", "out")
	stdout, _, err := app(t, "sigma", "convert", "-o", out, dir)
	want := []string{`b/host.yml:4: field "Source hostname" has no column in process_events`, "b/log.yml:1: no table has the log of linux/sshd", "3 rules written, 2 refused"}
	for _, s := range want {
		if !strings.Contains(stdout, s) {
			t.Errorf("sigma convert says\n%s\nwant %q in it", stdout, s)
		}
	}
	if status(err) != 1 || strings.Contains(stdout, "\x1b") {
		t.Errorf("sigma convert: %v, status %d, want 1\n%q", err, status(err), stdout)
	}
	for _, name := range []string{"a/su.sql", "a/two.one.sql", "a/two.two.sql"} {
		text, err := os.ReadFile(filepath.Join(out, filepath.FromSlash(name)))
		if err != nil || !strings.Contains(string(text), "\n-- title: Su [2J\n") {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	if stdout, _, err := app(t, "rules", "validate", out); err != nil || !strings.Contains(stdout, "3 valid rules, 0 refused") {
		t.Errorf("rules validate of what was made: %v\n%s", err, stdout)
	}
	one := filepath.Join(dir, "a", "su.yml")
	if _, stderr, err := app(t, "sigma", "convert", "-o", filepath.Join(out, "a"), one); status(err) != 1 || !strings.Contains(stderr, "su.sql") {
		t.Errorf("sigma convert over a file that is there: %v\n%s", err, stderr)
	}
	if stdout, _, err := app(t, "sigma", "convert", "--force", "-o", filepath.Join(out, "a"), one); err != nil || stdout != "1 rule written, 0 refused\n" {
		t.Errorf("sigma convert --force: %v\n%s", err, stdout)
	}
}

func TestSigmaPipeline(t *testing.T) {
	rule := write(t, "r.yaml", strings.Replace(sigmaRule, "Image|endswith", "process.name|endswith", 1))
	pipeline := write(t, "p.yaml", "transformations: [{type: field_name_mapping, mapping: {process.name: Image}}]\n")
	if stdout, _, err := app(t, "sigma", "convert", "-o", t.TempDir(), rule); status(err) != 1 || !strings.Contains(stdout, "process.name") {
		t.Errorf("without a pipeline: %v\n%s", err, stdout)
	}
	if stdout, _, err := app(t, "sigma", "convert", "-o", t.TempDir(), "--pipeline", pipeline, rule); err != nil {
		t.Errorf("with a pipeline: %v\n%s", err, stdout)
	}
	if _, stderr, err := app(t, "sigma", "convert", "-o", t.TempDir(), "--pipeline", rule, rule); status(err) != 1 || !strings.Contains(stderr, "pipeline "+rule) {
		t.Errorf("with a pipeline that is none: %v\n%s", err, stderr)
	}
}

func TestSigmaCoverage(t *testing.T) {
	dir := sigmaDir(t)
	stdout, _, err := app(t, "sigma", "coverage", dir)
	const want = `       logsource        | rules | converted | refused 
------------------------+-------+-----------+---------
 linux/process_creation |     4 |         3 |       1
 linux/sshd             |     1 |         0 |       1
(2 rows)

       logsource        | refused |                         reason                          
------------------------+---------+---------------------------------------------------------
 linux/process_creation |       1 | field "Source hostname" has no column in process_events
 linux/sshd             |       1 | no table has the log of linux/sshd
(2 rows)
`
	if err != nil || strings.TrimRight(stdout, "\n") != strings.TrimRight(want, "\n") {
		t.Errorf("sigma coverage: %v\n%s\nwant\n%s", err, stdout, want)
	}
	stdout, _, err = app(t, "sigma", "coverage", "--format", "json", dir)
	if err != nil || !strings.Contains(stdout, `"reason": "no table has the log of linux/sshd"`) || !strings.Contains(stdout, `"converted": 3`) {
		t.Errorf("sigma coverage as JSON: %v\n%s", err, stdout)
	}
	for _, args := range [][]string{{"coverage"}, {"convert", dir}, {"coverage", "--format", "csv", dir}} {
		if _, _, err := app(t, append([]string{"sigma"}, args...)...); status(err) != 2 {
			t.Errorf("sigma %v: %v, want wrong use", args, err)
		}
	}
	if _, stderr, err := app(t, "sigma", "coverage", t.TempDir()); status(err) != 1 || !strings.Contains(stderr, "there is no Sigma rule") {
		t.Errorf("sigma coverage of an empty directory: %v\n%s", err, stderr)
	}
}
