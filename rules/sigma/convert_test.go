package sigma

import (
	"fmt"
	"strings"
	"testing"
)

// made converts one rule of process_creation with this detection.
func made(t *testing.T, detection string) (string, *Error) {
	t.Helper()
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(detection), "\n") {
		b.WriteString("  " + line + "\n")
	}
	text := "title: t\nlogsource: {product: linux, category: process_creation}\ndetection:\n" + b.String()
	if !strings.Contains(detection, "condition:") {
		text += "  condition: s\n"
	}
	docs := Parse("t.yml", []byte(text))
	rules := Convert(docs, Config{})
	if len(docs) != 1 {
		t.Fatalf("%d documents of\n%s", len(docs), text)
	}
	if docs[0].Err != nil {
		return "", docs[0].Err
	}
	_, where, _ := strings.Cut(rules[0].Text, "event IN ('seen', 'exec')\n")
	return strings.TrimSpace(where), nil
}

// squeeze makes one line of SQL.
func squeeze(s string) string {
	return strings.NewReplacer("( ", "(", " )", ")").Replace(strings.Join(strings.Fields(s), " "))
}

func TestConvert(t *testing.T) {
	for detection, want := range map[string]string{
		// Values, wildcards and escapes.
		`s: {CommandLine: 'a*b?c'}`:           `AND command_line ILIKE 'a%b_c'`,
		`s: {CommandLine: 'a\*b\?c'}`:         `AND command_line ILIKE 'a*b?c'`,
		`s: {CommandLine: 'a\\*b\c\\d'}`:      `AND command_line ILIKE 'a\\%b\\c\\d'`,
		`s: {CommandLine: '50%_x'}`:           `AND command_line ILIKE '50\%\_x'`,
		`s: {CommandLine: "it's"}`:            `AND command_line ILIKE 'it''s'`,
		`s: {CommandLine: "a\e[2J\u202e'\\"}`: `AND command_line ILIKE E'a\u001B[2J\u202E\'\\\\'`,
		`s: {CommandLine: [a, 7, true]}`:      `AND (command_line = '7' OR command_line ILIKE ANY (ARRAY['a', 'true']))`,
		`s: {CommandLine: ''}`:                `AND command_line = ''`,
		`s: {CommandLine: null}`:              `AND command_line IS NULL`,
		`s: {CommandLine: 'é?'}`:              `AND command_line ~ '\A[éÉ].\Z'`,
		`s: {ProcessId: [4, '0x4', '5*']}`:    `AND (pid = 4 OR pid::text LIKE '5%' OR pid::text ILIKE '0x4')`,
		// Modifiers.
		`s: {CommandLine|contains: x}`:                   `AND command_line ILIKE '%x%'`,
		`s: {CommandLine|startswith: x}`:                 `AND command_line ILIKE 'x%'`,
		`s: {CommandLine|endswith: x}`:                   `AND command_line ILIKE '%x'`,
		`s: {CommandLine|contains|all: [x, y]}`:          `AND command_line ILIKE '%x%'` + "\n  AND command_line ILIKE '%y%'",
		`s: {CommandLine|contains|cased: X}`:             `AND command_line LIKE '%X%'`,
		`s: {CommandLine|cased: X}`:                      `AND command_line = 'X'`,
		`s: {CommandLine|neq: x}`:                        `AND (command_line ILIKE 'x') IS NOT TRUE`,
		`s: {CommandLine|exists: true}`:                  `AND command_line IS NOT NULL`,
		`s: {CommandLine|exists: false}`:                 `AND command_line IS NULL`,
		`s: {CommandLine|base64|contains: foobar}`:       `AND command_line ILIKE '%Zm9vYmFy%'`,
		`s: {CommandLine|base64offset|contains: foobar}`: `AND command_line ILIKE ANY (ARRAY['%Zm9vYmFy%', '%Zvb2Jhc%', '%mb29iYX%'])`,
		`s: {CommandLine|wide|base64|contains: ab}`:      `AND command_line ILIKE '%YQBiAA==%'`,
		`s: {CommandLine|utf16|base64: ab}`:              `AND command_line ILIKE '//5hAGIA'`,
		`s: {CommandLine|utf16be|base64: ab}`:            `AND command_line ILIKE 'AGEAYg=='`,
		`s: {CommandLine|windash|contains: ' -f'}`:       `AND command_line ~* ' [-/–—―]f'`,
		`s: {CommandLine|re: 'a\bc.$'}`:                  `AND command_line ~ 'a\yc[^\n]\Z'`,
		`s: {CommandLine|re|i: 'aB\s'}`:                  `AND command_line ~* 'AB[\u0009\u000a\u000c\u000d ]'`,
		`s: {CommandLine|re|s|m: '^a.'}`:                 `AND command_line ~ '(?w)^a.'`,
		`s: {CommandLine|fieldref: ParentCommandLine}`:   `AND lower(command_line) = lower(parent_command_line)`,
		`s: {CommandLine|fieldref|endswith: User}`:       `AND right(lower(command_line), length(lower(user_name))) = lower(user_name)`,
		`s: {ProcessId|gte: 5, ParentProcessId|lt: 3}`:   `AND pid >= 5` + "\n  AND ppid < 3",
		`s: {ProcessId|fieldref: ParentProcessId}`:       `AND pid = ppid`,
		// Fields of several columns; argv[0] is the process's own to choose.
		`s: {Image|endswith: /sh}`:                                         `AND (executable_path ILIKE '%/sh' OR exec_path ILIKE '%/sh' OR invoked_path ILIKE ANY (ARRAY['%/sh', 'sh']))`,
		"s: {Image|endswith: /sh}\ncondition: not s":                       `AND (executable_path ILIKE '%/sh' OR exec_path ILIKE '%/sh') IS NOT TRUE`,
		`s: {Image: null}`:                                                 `AND (executable_path IS NOT NULL OR exec_path IS NOT NULL) IS NOT TRUE`,
		"s: {ParentImage|endswith: /sh}\nf: {User: x}\ncondition: s and f": "AND user_name ILIKE 'x'\n  AND (parent_executable_path ILIKE '%/sh' OR split_part(parent_command_line, ' ', 1) ILIKE ANY (ARRAY['%/sh', 'sh']))",
		// Searches and conditions.
		"s:\n- User: a\n- CommandLine: b\n": `AND (user_name ILIKE 'a' OR command_line ILIKE 'b')`,
		"s: [x, y]":                         `AND (command_line ILIKE ANY (ARRAY['%x%', '%y%']) OR executable_path ILIKE ANY (ARRAY['%x%', '%y%']) OR exec_path ILIKE ANY (ARRAY['%x%', '%y%']) OR parent_command_line ILIKE ANY (ARRAY['%x%', '%y%']))`,
		"a: {User: a}\nb: {User: b}\nc: {User: c}\ncondition: a or b and not c": `AND (user_name ILIKE 'a' OR (user_name ILIKE 'b' AND (user_name ILIKE 'c') IS NOT TRUE))`,
		"a: {User: a}\nb: {User: b}\ncondition: NOT (a OR b)":                   `AND (user_name ILIKE 'a' OR user_name ILIKE 'b') IS NOT TRUE`,
		"s_1: {User: a}\ns_2: {User: b}\nx: {User: c}\ncondition: all of s_*":   "AND user_name ILIKE 'a'\n  AND user_name ILIKE 'b'",
		"a: {User: a}\n_b: {User: b}\ncondition: 1 of them":                     `AND user_name ILIKE 'a'`,
		"a: {User: a}\nb: {User: b}\ncondition: [a, b]":                         `AND (user_name ILIKE 'a' OR user_name ILIKE 'b')`,
		"s: &x {User: a}\nr: *x\ncondition: r":                                  `AND user_name ILIKE 'a'`,
	} {
		got, err := made(t, detection)
		if err != nil {
			t.Errorf("%s: %v", detection, err)
			continue
		}
		if squeeze(got) != squeeze(want) {
			t.Errorf("%s\n got %s\nwant %s", detection, got, want)
		}
	}
}

// What is refused, and why.
func TestRefused(t *testing.T) {
	for detection, want := range map[string]string{
		`s: {SourceHostname: x}`:                                        `field "SourceHostname" has no column in process_events`,
		`s: {commandline: x}`:                                           `field "commandline" has no column (it is written "CommandLine")`,
		"s: {User: a}\nf: {Nope: b}\ncondition: s or f":                 `field "Nope" has no column in process_events`,
		`s: {"x' OR 1=1 --": y}`:                                        `field "x' OR 1=1 --" has no column in process_events`,
		`s: {CommandLine|near: x}`:                                      `modifier "near" is not known`,
		`s: {CommandLine|contains|endswith: x}`:                         `modifiers "contains" and "endswith" exclude each other`,
		`s: {CommandLine|wide: x}`:                                      `no column has bytes of UTF-16`,
		`s: {CommandLine|base64: 'a*'}`:                                 `takes no wildcards`,
		`s: {CommandLine|base64offset: a}`:                              `is too short for base64offset`,
		`s: {CommandLine|re: '(?=x)'}`:                                  "invalid or unsupported Perl syntax",
		`s: {CommandLine|re: '(a'}`:                                     "missing closing )",
		`s: {CommandLine|gt: 5}`:                                        "holds no number",
		`s: {ProcessId|gt: x}`:                                          "is not a number",
		`s: {CommandLine|cidr: 10.0.0.0/8}`:                             "holds no address",
		`s: {CommandLine|cidr: "1'; DROP"}`:                             "is not a network",
		`s: {CommandLine|exists: maybe}`:                                "exists is true or false",
		`s: {CommandLine|expand: '%x%'}`:                                "placeholder %x% has no values in a pipeline",
		`s: {CommandLine|fieldref: Nope}`:                               `field "Nope" has no column`,
		`s: {CommandLine: {a: b}}`:                                      "a text or number is wanted",
		`s: {CommandLine: []}`:                                          "has no value",
		`s: {CommandLine: "a\0b"}`:                                      "no text holds a NUL character",
		`s: {}`:                                                         "a search is empty",
		"s: {User: a}\nUser: {User: b}\nUser: {}":                       `key "User" was given already`,
		"s: {User: a}\ncondition: s | count() > 5":                      "of Sigma 1",
		"s: {User: a}\ntimeframe: 5m":                                   "of Sigma 1",
		"s: {User: a}\ncondition: s and":                                "ends too early",
		"s: {User: a}\ncondition: s s":                                  `unexpected "s"`,
		"s: {User: a}\ncondition: (s":                                   "ends too early",
		"s: {User: a}\ncondition: t":                                    `there is no "t" in the detection`,
		"s: {User: a}\ncondition: 1 of t*":                              `nothing in the detection is called "t*"`,
		"s: {User: a}\ncondition: 2 of s*":                              `"2" of is not`,
		"s: {User: a}\ncondition: " + strings.Repeat("not ", 100) + "s": "nested more than",
		"s: {User: " + strings.Repeat("a", 5000) + "}":                  "more than 4 KiB",
		"s: &a [*a]":                                                    "nested more than",
	} {
		if got, err := made(t, detection); err == nil || !strings.Contains(err.Message, want) {
			t.Errorf("%.100s\n got %v %s\nwant %s", detection, err, got, want)
		}
	}
}

func TestLogsources(t *testing.T) {
	for source, want := range map[string]string{
		"{product: linux, category: process_creation, service: x}": "no table has the log of linux/process_creation/x",
		"{product: linux, service: sshd}":                          "no table has the log of linux/sshd",
		"{product: linux}":                                         "names no category",
		"{product: aws, category: process_creation}":               "no table has the log of aws/process_creation",
		"{product: windows, category: registry_event}":             `no table has events of category "registry_event"`,
		"{product: windows, category: process_creation}":           "FROM process_events",
		"{product: macos, category: file_event}":                   "FROM file_events",
		"{category: file_delete}":                                  "event = 'delete'",
		"{category: process_creation, product: linux}":             "event IN ('seen', 'exec')",
		"{category: dns_query}":                                    "event = 'dns_query'",
		"{category: driver_load}":                                  "event = 'module_load'",
	} {
		docs := Parse("t.yml", []byte("title: t\nlogsource: "+source+"\ndetection: {s: {Image: x}, condition: s}\n"))
		got := ""
		for _, r := range Convert(docs, Config{}) {
			got += r.Text
		}
		if docs[0].Err != nil {
			got = docs[0].Err.Message
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s\nwant %s", source, got, want)
		}
	}
}

// The digest of a program is known a moment after it has begun to run.
func TestDigests(t *testing.T) {
	docs := Parse("t.yml", []byte("title: t\nlogsource: {category: process_creation}\ndetection: {s: {sha256: ab}, condition: s}\n"))
	rules := Convert(docs, Config{})
	if len(rules) != 1 || !strings.HasSuffix(rules[0].Text, "\nWHERE event IN ('seen', 'exec', 'changed')\n  AND executable_hash ILIKE 'ab'\n") {
		t.Errorf("%v %v", rules, docs[0].Err)
	}
}

// A rule about audit records of several kinds makes a rule for each table; what
// one of them can not tell is false there, and what none can is refused.
func TestAuditRecords(t *testing.T) {
	for detection, want := range map[string][]string{
		"{a: {type: EXECVE, a0: x, a1|contains: y}, condition: a}": {"process_events\nWHERE event IN ('seen', 'exec')\n  AND invoked_path ILIKE 'x'\n  AND command_line ~* '\\A(?:[^ ]* ){1}.*y'\n"},
		"{a: {type: EXECVE, a0: x}, b: {type: PATH, name: /etc/x}, condition: a or b}": {
			"process_events\nWHERE event IN ('seen', 'exec')\n  AND invoked_path ILIKE 'x'\n", "file_events\nWHERE (path ILIKE '/etc/x' OR (target_path ILIKE '/etc/x' AND event IN ('rename', 'link')))\n",
		},
		"{a: {type: SYSCALL, SYSCALL: [execve, memfd_create], euid: 33}, condition: a}": {
			"process_events\nWHERE event IN ('seen', 'exec')\n  AND effective_user_id = 33\n", "'chroot')\n  AND system_call IN ('memfd_create')\n  AND effective_user_id = 33\n",
		},
		"{a: {type: SYSCALL, exe|startswith: /tmp/}, condition: a}":  {"process_events\nWHERE event IN ('seen', 'exec')\n  AND (executable_path ILIKE '/tmp/%' OR exec_path ILIKE '/tmp/%')\n"},
		"{a: {type: SYSCALL, SYSCALL: sysinfo}, condition: a}":       {`system call "sysinfo" has no table`},
		"{a: {type: [EXECVE, TTY]}, condition: a}":                   {`audit records of type "TTY" have no table`},
		"{a: {type: SYSCALL, SYSCALL: execve, a0: 4}, condition: a}": {"the numbers that a system call was given have no column"},
		"{a: {type: EXECVE}, b: {a1: x}, condition: a and not b}":    {"can not be told apart in a command line"},
		"{a: {type: EXECVE, key: x}, condition: a}":                  {`field "key" has no column`},
	} {
		docs := Parse("t.yml", []byte("title: t\nlogsource: {product: linux, service: auditd}\ndetection: "+detection+"\n"))
		var got []string
		for _, r := range Convert(docs, Config{}) {
			_, text, _ := strings.Cut(r.Text, "\nFROM ")
			got = append(got, text)
		}
		if docs[0].Err != nil {
			got = []string{docs[0].Err.Message}
		}
		ok := len(got) == len(want)
		for i := range want {
			ok = ok && strings.Contains(got[i], want[i])
		}
		if !ok {
			t.Errorf("%s\n got %q\nwant %q", detection, got, want)
		}
	}
}

// What stands in the header can neither end it nor reach a terminal as it is.
func TestHeader(t *testing.T) {
	const text = `
title: "a\nSELECT 1; --\e[2J\u202e b"
id: 5B4F1F2A-0000-4000-8000-000000000001
description: |
  one

  two
author: "x\r\ny"
date: 2024/02/03
modified: 2024-03-04
status: test
level: informational
tags: [attack.execution, attack.T1059.004, 'no tag, at all', attack.nonsense]
references: ['https://a.example/x,y', 'https://a.example/x,y']
falsepositives: ['one, two']
logsource: {product: linux, category: process_creation}
detection: {s: {User: x}, condition: s}
`
	docs := Parse("t.yml", []byte(text))
	rules := Convert(docs, Config{Tag: func(tag string) bool { return tag != "attack.nonsense" }})
	if docs[0].Err != nil {
		t.Fatal(docs[0].Err)
	}
	header, _, _ := strings.Cut(rules[0].Text, "SELECT time")
	const want = `-- id: 5b4f1f2a-0000-4000-8000-000000000001
-- title: a SELECT 1; -- [2J b
-- description: one two
-- author: x y
-- date: 2024-02-03
-- version: 2024-03-04
-- status: test
-- severity: low
-- tags: attack.execution, attack.t1059.004
-- references: https://a.example/x%2Cy
-- falsepositives: one; two
`
	if header != want {
		t.Errorf("header\n%s\nwant\n%s", header, want)
	}
}

// Files that are not what they should be: each is refused, in bounded memory.
func TestHostileFiles(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	for name, c := range map[string]struct{ text, want string }{
		"bomb":      {bomb, "more than 50000 values"},
		"deep":      {strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "nested more than 32 deep"},
		"large":     {strings.Repeat("x", MaxFileBytes+1), "larger than 1024 KiB"},
		"bytes":     {"title: t\nx: \xff\n", "not UTF-8"},
		"NUL":       {"title: \x00", "NUL byte"},
		"control":   {"title: \x1b", "control characters are not allowed"},
		"empty":     {"", "no document"},
		"comment":   {"# nothing\n", "no document"},
		"list":      {"- a\n", "a Sigma rule is a map"},
		"scalar":    {"x", "a Sigma rule is a map"},
		"no YAML":   {"a: [", "did not find expected"},
		"merge":     {"a: &a {x: y}\ntitle: t\nb: {<<: *a}\n", "a key must be a text"},
		"no title":  {"detection: {}\n", "the rule has no title"},
		"no rule":   {"title: t\n", "has no detection"},
		"action":    {"title: t\naction: global\n", "Sigma 1"},
		"filter":    {"title: t\nfilter: {rules: any}\n", "filters are not read"},
		"documents": {strings.Repeat("---\ntitle: t\n", maxDocuments+1), "more than 1000 documents"},
	} {
		docs := Parse("t.yml", []byte(c.text))
		last := docs[len(docs)-1]
		if last.Err == nil || !strings.Contains(last.Err.Message, c.want) {
			t.Errorf("%s: %v, want %q", name, last.Err, c.want)
		}
	}
}

// Terms that are repeated without end are refused before they fill the memory.
func TestRepeatedSearch(t *testing.T) {
	var values []string
	for i := range 400 {
		values = append(values, fmt.Sprintf("%d%s", i, strings.Repeat("x", 100)))
	}
	detection := "s: {User: [" + strings.Join(values, ", ") + "]}\ncondition: " + strings.Repeat("s or ", 1000) + "s"
	if _, err := made(t, detection); err == nil || !strings.Contains(err.Message, "comparisons") {
		t.Errorf("a search of 400 values 1,000 times: %v, want it refused", err)
	}
}

func TestPipeline(t *testing.T) {
	p, err := ReadPipeline([]byte(`
name: ours
vars: {admins: [ann, 'b*'], one: x}
transformations:
  - type: field_name_mapping
    mapping: {process.name: Image, process.args: [CommandLine, ParentCommandLine]}
  - type: change_logsource
    category: process_creation
    rule_conditions: [{type: logsource, service: endpoint}]
`))
	if err != nil {
		t.Fatal(err)
	}
	docs := Parse("t.yml", []byte(`
title: t
logsource: {service: endpoint}
detection:
  s: {process.args|contains: x, 'User|expand': '%admins%'}
  condition: s
`))
	rules := Convert(docs, Config{Pipeline: p})
	if docs[0].Err != nil {
		t.Fatal(docs[0].Err)
	}
	const want = "WHERE event IN ('seen', 'exec')\n  AND (command_line ILIKE '%x%' OR parent_command_line ILIKE '%x%')\n  AND user_name ILIKE ANY (ARRAY['ann', 'b%'])\n"
	if !strings.HasSuffix(rules[0].Text, want) {
		t.Errorf("got\n%s\nwant\n%s", rules[0].Text, want)
	}
	for text, want := range map[string]string{
		"transformations: [{type: drop_detection_item}]":                                "not known",
		"transformations: [{type: field_name_mapping, rule_conditions: [{type: tag}]}]": "not known",
		"colour: red":       "colour",
		"vars: {a: {b: c}}": "cannot unmarshal",
	} {
		if _, err := ReadPipeline([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
