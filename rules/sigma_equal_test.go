package rules

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	sigmago "github.com/bradleyjkemp/sigma-go"
	"github.com/bradleyjkemp/sigma-go/evaluator"
	"go.yaml.in/yaml/v3"

	"daemoneye/bus/event"
)

var (
	sigmaEvents = flag.Int("sigma-events", 60, "events that TestSigmaEqual makes for each rule")
	sigmaSeed   = flag.Uint64("sigma-seed", 1, "of TestSigmaEqual")
)

// plainRule is a Sigma rule as the specification has it, to be evaluated word
// by word: what the matcher finds must be what this finds.
type plainRule struct {
	file      string
	kind      string // of log source
	text      []byte
	searches  map[string]any
	condition []string
	patterns  map[string]*regexp.Regexp
}

// fields of an event; one that is missing is not there.
type fields map[string]string

func readPlain(t *testing.T, file string, data []byte) *plainRule {
	t.Helper()
	var doc struct {
		Logsource map[string]string
		Detection map[string]any
	}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	r := &plainRule{file: file, text: data, searches: doc.Detection, patterns: map[string]*regexp.Regexp{}}
	r.kind = doc.Logsource["category"] + doc.Logsource["service"]
	for _, c := range list(doc.Detection["condition"]) {
		if len(r.condition) > 0 {
			r.condition = append(r.condition, "or")
		}
		text := strings.NewReplacer("(", " ( ", ")", " ) ").Replace(c.(string))
		r.condition = append(append(append(r.condition, "("), strings.Fields(text)...), ")")
	}
	delete(doc.Detection, "condition")
	return r
}

func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

func (r *plainRule) matches(e fields) bool {
	tokens := slices.Clone(r.condition)
	result := r.or(&tokens, e)
	if len(tokens) > 0 {
		panic(fmt.Sprintf("%s: %v is left of the condition", r.file, tokens))
	}
	return result
}

func (r *plainRule) or(tokens *[]string, e fields) bool {
	result := r.and(tokens, e)
	for len(*tokens) > 0 && strings.EqualFold((*tokens)[0], "or") {
		*tokens = (*tokens)[1:]
		result = r.and(tokens, e) || result
	}
	return result
}

func (r *plainRule) and(tokens *[]string, e fields) bool {
	result := r.not(tokens, e)
	for len(*tokens) > 0 && strings.EqualFold((*tokens)[0], "and") {
		*tokens = (*tokens)[1:]
		result = r.not(tokens, e) && result
	}
	return result
}

func (r *plainRule) not(tokens *[]string, e fields) bool {
	word := (*tokens)[0]
	*tokens = (*tokens)[1:]
	switch {
	case strings.EqualFold(word, "not"):
		return !r.not(tokens, e)
	case word == "(":
		result := r.or(tokens, e)
		*tokens = (*tokens)[1:]
		return result
	case len(*tokens) > 1 && (*tokens)[0] == "of":
		pattern := (*tokens)[1]
		*tokens = (*tokens)[2:]
		result := word == "all"
		for name, search := range r.searches {
			ok, _ := path.Match(pattern, name)
			if !ok && pattern != "them" {
				continue
			}
			if found := r.search(search, e); word == "all" {
				result = result && found
			} else {
				result = result || found
			}
		}
		return result
	}
	return r.search(r.searches[word], e)
}

func (r *plainRule) search(s any, e fields) bool {
	switch s := s.(type) {
	case map[string]any:
		for key, values := range s {
			if !r.field(key, list(values), e) {
				return false
			}
		}
		return true
	case []any:
		return slices.ContainsFunc(s, func(one any) bool { return r.search(one, e) })
	}
	return r.field("", []any{s}, e)
}

// field evaluates one line of a search.
func (r *plainRule) field(key string, values []any, e fields) bool {
	modifiers := strings.Split(key, "|")
	has := func(name string) bool { return slices.Contains(modifiers[1:], name) }
	one := func(v any) bool {
		if modifiers[0] != "" {
			text, there := e[modifiers[0]]
			return r.test(v, text, there, key, has, e)
		}
		for _, text := range e { // keywords
			if r.test(v, text, true, key, func(name string) bool { return name == "contains" || has(name) }, e) {
				return true
			}
		}
		return false
	}
	if has("all") {
		return !slices.ContainsFunc(values, func(v any) bool { return !one(v) })
	}
	return slices.ContainsFunc(values, one)
}

// pattern is plainPattern, remembered.
func (r *plainRule) pattern(value, key string, has func(string) bool) *regexp.Regexp {
	p := r.patterns[key+" "+value]
	if p == nil {
		p = plainPattern(value, has)
		r.patterns[key+" "+value] = p
	}
	return p
}

func (r *plainRule) test(v any, text string, there bool, modifiers string, has func(string) bool, e fields) bool {
	if v == nil {
		return !there
	}
	want := fmt.Sprint(v)
	if has("exists") {
		return there == (want == "true")
	}
	if !there {
		return false
	}
	switch {
	case has("re"):
		flags := ""
		for _, f := range []string{"i", "m", "s"} {
			if has(f) {
				flags += f
			}
		}
		if flags != "" {
			want = "(?" + flags + ")" + want
		}
		p := r.patterns[want]
		if p == nil {
			p = regexp.MustCompile(want)
			r.patterns[want] = p
		}
		return p.MatchString(text)
	case has("cidr"):
		addr, err := netip.ParseAddr(text)
		return err == nil && netip.MustParsePrefix(want).Contains(addr)
	case has("lt"), has("lte"), has("gt"), has("gte"):
		a, _ := strconv.ParseFloat(text, 64)
		b, _ := strconv.ParseFloat(want, 64)
		return has("lt") && a < b || has("lte") && a <= b || has("gt") && a > b || has("gte") && a >= b
	case has("fieldref"):
		other, ok := e[want]
		return ok && plainPlace(strings.ToLower(text), strings.ToLower(other), has)
	}
	data := plainBytes(want, has)
	switch {
	case has("base64"):
		return plainPlace(strings.ToLower(text), strings.ToLower(base64.StdEncoding.EncodeToString(data)), has)
	case has("base64offset"):
		return slices.ContainsFunc(stable(data), func(s string) bool { return plainPlace(strings.ToLower(text), strings.ToLower(s), has) })
	}
	return r.pattern(want, modifiers, has).MatchString(text)
}

func plainBytes(text string, has func(string) bool) []byte {
	if !has("wide") && !has("utf16be") {
		return []byte(text)
	}
	var data []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		if has("utf16be") {
			data = append(data, byte(unit>>8), byte(unit))
		} else {
			data = append(data, byte(unit), byte(unit>>8))
		}
	}
	return data
}

func plainPlace(text, part string, has func(string) bool) bool {
	switch {
	case has("contains"):
		return strings.Contains(text, part)
	case has("startswith"):
		return strings.HasPrefix(text, part)
	case has("endswith"):
		return strings.HasSuffix(text, part)
	}
	return text == part
}

// stable returns, for each place in a group of three bytes, what all Base64
// texts have in common that hold data there.
func stable(data []byte) (out []string) {
	for before := range 3 {
		after := (3 - (before+len(data))%3) % 3
		encode := func(b byte) string {
			return base64.StdEncoding.EncodeToString(slices.Concat(bytes.Repeat([]byte{b}, before), data, bytes.Repeat([]byte{b}, after)))
		}
		a, b := encode(0), encode(0xff)
		from, to := 0, len(a)
		for i := range a {
			if a[i] == b[i] {
				continue
			}
			if i < len(a)/2 {
				from = i + 1
			} else {
				to = min(to, i)
			}
		}
		out = append(out, a[from:to])
	}
	return out
}

// plainPattern is a value as a regular expression.
func plainPattern(value string, has func(string) bool) *regexp.Regexp {
	var b strings.Builder
	for chars := []rune(value); len(chars) > 0; {
		c := chars[0]
		chars = chars[1:]
		if c == '\\' && len(chars) > 0 && strings.ContainsRune(`*?\`, chars[0]) {
			b.WriteString(regexp.QuoteMeta(string(chars[0])))
			chars = chars[1:]
			continue
		}
		switch c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteByte('.')
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	text := b.String()
	if has("windash") {
		text = regexp.MustCompile(`\B(-|/)\b`).ReplaceAllString(text, "[-/–—―]")
	}
	begin, end := "^", "$"
	if has("contains") || has("endswith") {
		begin = "^.*"
	}
	if has("contains") || has("startswith") {
		end = ".*$"
	}
	mode := "(?is)"
	if has("cased") {
		mode = "(?s)"
	}
	return regexp.MustCompile(mode + begin + text + end)
}

// eventMaker makes events that a rule matches, or nearly.
type eventMaker struct{ *rand.Rand }

// examples makes, for each field of the rule, texts that one of its values asks for.
func (g eventMaker) examples(r *plainRule) map[string][][]string {
	out := map[string][][]string{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				values := v[key]
				name, modifiers, _ := strings.Cut(key, "|")
				if strings.Contains(modifiers, "fieldref") {
					out[name] = append(out[name], []string{"42"})
					out[values.(string)] = append(out[values.(string)], []string{"42", "4"})
					continue
				}
				var texts []string
				for _, one := range list(values) {
					if _, nested := one.(map[string]any); !nested && one != nil {
						texts = append(texts, g.text(fmt.Sprint(one), modifiers))
					}
				}
				if len(texts) == 0 {
					texts = []string{""}
				}
				if strings.Contains(modifiers, "all") {
					texts = []string{strings.Join(texts, " ")}
				}
				out[name] = append(out[name], texts)
			}
		case []any:
			for _, one := range v {
				walk(one)
			}
		default:
			out[""] = append(out[""], []string{g.text(fmt.Sprint(v), "contains")})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.searches)) {
		walk(r.searches[name])
	}
	return out
}

// text is one that the value matches.
func (g eventMaker) text(value, modifiers string) string {
	has := func(name string) bool { return slices.Contains(strings.Split(modifiers, "|"), name) }
	switch {
	case has("re"):
		tree, err := syntax.Parse(value, syntax.Perl)
		if err != nil {
			return value
		}
		return g.regexp(tree)
	case has("cidr"):
		p, err := netip.ParsePrefix(value)
		if err != nil {
			return value
		}
		addr := p.Addr()
		for range g.IntN(4) {
			addr = addr.Next()
		}
		return addr.String()
	case has("base64"):
		return base64.StdEncoding.EncodeToString(plainBytes(value, has))
	case has("base64offset"):
		return base64.StdEncoding.EncodeToString(slices.Concat([]byte("xyz"[:g.IntN(3)]), plainBytes(value, has), []byte("abc"[:g.IntN(3)])))
	case has("windash"):
		value = strings.Replace(value, "-", string([]rune("-/–—―x")[g.IntN(6)]), 1)
	}
	value = strings.NewReplacer(`\*`, "*", `\?`, "?", `\\`, `\`, "*", strings.Repeat("w", g.IntN(3)), "?", "q").Replace(value)
	if has("contains") || has("endswith") {
		value = []string{"", "", "/usr/bin", "x "}[g.IntN(4)] + value
	}
	if has("contains") || has("startswith") {
		value += []string{"", "", "/y", " z"}[g.IntN(4)]
	}
	return value
}

// regexp is a text that the expression matches.
func (g eventMaker) regexp(tree *syntax.Regexp) string {
	repeat := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(g.regexp(tree.Sub[0]))
		}
		return b.String()
	}
	switch tree.Op {
	case syntax.OpLiteral:
		return string(tree.Rune)
	case syntax.OpCharClass:
		i := 2 * g.IntN(len(tree.Rune)/2)
		return string(max(tree.Rune[i], ' '))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "k"
	case syntax.OpStar:
		return repeat(g.IntN(3))
	case syntax.OpPlus:
		return repeat(1 + g.IntN(2))
	case syntax.OpQuest:
		return repeat(g.IntN(2))
	case syntax.OpRepeat:
		return repeat(tree.Min)
	case syntax.OpCapture:
		return g.regexp(tree.Sub[0])
	case syntax.OpAlternate:
		return g.regexp(tree.Sub[g.IntN(len(tree.Sub))])
	case syntax.OpConcat:
		var b strings.Builder
		for _, sub := range tree.Sub {
			b.WriteString(g.regexp(sub))
		}
		return b.String()
	}
	return ""
}

// event makes one: of each field nothing, or one or more of the texts asked
// for, in half of the events with changes.
func (g eventMaker) event(r *plainRule) fields {
	e := fields{}
	examples, changed := g.examples(r), g.IntN(2) == 0
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		var text string
		if one := examples[name]; name != "CommandLine" && name != "" {
			texts := one[g.IntN(len(one))]
			text = texts[g.IntN(len(texts))]
		} else {
			for _, texts := range one {
				if text == "" || g.IntN(3) > 0 {
					text = strings.TrimPrefix(text+" "+texts[g.IntN(len(texts))], " ")
				}
			}
		}
		switch change := g.IntN(6); {
		case change == 0 && (changed || len(examples) < 3):
			continue
		case change == 1 && changed:
			text = strings.ToUpper(text)
		case change == 2 && changed:
			if chars := []rune(text); len(chars) > 0 {
				i := g.IntN(len(chars))
				text = string(chars[:i]) + []string{"", "_", "é"}[g.IntN(3)] + string(chars[i+1:])
			}
		}
		e[name] = text
	}
	if text, ok := e[""]; ok { // keywords
		delete(e, "")
		name := "CommandLine"
		for i := 0; r.kind == "auditd"; i++ {
			name = "a" + strconv.Itoa(i)
			if _, ok := e[name]; !ok {
				break
			}
		}
		e[name] += text
	}
	return e
}

// row is the event as the table has it; nil when it can not be in the table.
func (e fields) row(kind string) (table string, row map[string]any) {
	row = map[string]any{}
	columns := map[string][]string{
		"Image": {"executable_path", "exec_path", "invoked_path"}, "CommandLine": {"command_line"}, "ParentImage": {"parent_executable_path"},
		"ParentCommandLine": {"parent_command_line"}, "User": {"user_name"}, "CurrentDirectory": {"cwd"}, "ProcessId": {"pid"}, "ParentProcessId": {"ppid"}, "LogonId": {"user_id"},
	}
	table = "process_events"
	if _, ok := e["ProcessId"]; !ok && kind == "process_creation" {
		e["ProcessId"] = "1000" // it is never NULL
	}
	if !strings.HasPrefix(e["Image"], "/") {
		columns["Image"] = columns["Image"][:2] // a name in argv[0] stands for a path
	}
	switch kind {
	case "file_event":
		table = "file_events"
		columns["Image"] = []string{"executable_path"}
		row["event"], columns["TargetFilename"] = "create", []string{"path"}
		if len(e["TargetFilename"])%2 == 1 {
			row["event"], columns["TargetFilename"] = "rename", []string{"target_path"}
			row["path"] = "/tmp/before"
		}
	case "network_connection":
		table = "network_events"
		columns["Image"] = []string{"executable_path"}
		row["event"] = "connect"
		if e["Initiated"] != "false" || e["DestinationHostname"] != "" {
			e["Initiated"] = "true"
		}
		if address, ok := e["DestinationIp"]; ok {
			if _, err := netip.ParseAddr(address); err != nil {
				return "", nil
			}
		}
		switch _, named := e["DestinationHostname"]; {
		case named:
			row["event"], columns["DestinationHostname"] = "dns_query", []string{"dns_name"}
		case e["Initiated"] == "false":
			row["event"] = "accept"
			columns["DestinationIp"], columns["DestinationPort"] = []string{"local_address"}, []string{"local_port"}
		default:
			columns["DestinationIp"], columns["DestinationPort"] = []string{"remote_address"}, []string{"remote_port"}
		}
		columns["Initiated"] = nil
	case "auditd":
		return e.auditRow()
	}
	t := event.Lookup(table)
	for name, text := range e {
		for _, column := range columns[name] {
			row[column] = text
			if kind := t.Columns[t.Index(column)].Type; kind == event.Int4 || kind == event.Int8 {
				n, err := strconv.ParseInt(text, 10, 31)
				if err != nil {
					return "", nil
				}
				row[column] = n
			}
		}
		if _, ok := columns[name]; !ok {
			return "", nil
		}
	}
	return table, row
}

func (e fields) auditRow() (table string, row map[string]any) {
	row = map[string]any{}
	columns := map[string]string{"exe": "executable_path", "comm": "name", "cwd": "cwd"}
	table = "process_events"
	switch strings.ToUpper(e["type"]) {
	case "EXECVE":
		var line []string
		for i := range 10 {
			word, ok := e["a"+strconv.Itoa(i)]
			if ok && i > len(line) {
				return "", nil // no command line has a2 without a1
			}
			if ok {
				line = append(line, word)
			}
		}
		if len(line) == 0 {
			return "", nil
		}
		row["invoked_path"], row["command_line"] = line[0], strings.Join(line, " ")
	case "PATH":
		table = "file_events"
		columns["name"] = "path"
		row["event"] = "write"
		if e["nametype"] == "CREATE" {
			row["event"] = "create"
		}
	case "SYSCALL":
		e["SYSCALL"] = "execve"
		if n, err := strconv.Atoi(e["euid"]); err == nil {
			row["effective_user_id"] = n
		}
	default:
		return "", nil
	}
	for name, column := range columns {
		if text, ok := e[name]; ok {
			row[column] = text
		}
	}
	return table, row
}

// TestSigmaEqual makes events of the values of each rule: the matcher finds in
// them what the specification says, and what sigma-go's evaluator finds as far
// as it knows the specification.
//
//	go test ./rules -run TestSigmaEqual -sigma-events N -sigma-seed S
func TestSigmaEqual(t *testing.T) {
	t.Run("modifiers", func(t *testing.T) {
		set := Load(LoadConfig{}, sigmaSource(sigmaModifiers()))
		if len(set.Refused) > 0 {
			t.Fatal(set.Refused[0])
		}
		var rules []*plainRule
		for name, text := range sigmaModifiers() {
			rules = append(rules, readPlain(t, "r/"+name, []byte(text)))
		}
		slices.SortFunc(rules, func(a, b *plainRule) int { return strings.Compare(a.file, b.file) })
		compareSigma(t, set, rules, 20*(*sigmaEvents))
	})
	t.Run("corpus", func(t *testing.T) {
		set := loadCorpus(t)
		var rules []*plainRule
		for _, r := range set.Sigma {
			if r.Refusal == nil {
				data, err := os.ReadFile(filepath.FromSlash(r.File))
				if err != nil {
					t.Fatal(err)
				}
				rules = append(rules, readPlain(t, r.File, data))
			}
		}
		compareSigma(t, set, rules, *sigmaEvents)
	})
}

// sigmaModifiers are rules with what SigmaHQ's for Linux do not have.
func sigmaModifiers() map[string]string {
	files := map[string]string{}
	for i, detection := range []string{
		"{s: {CommandLine: 'a*b?c'}, condition: s}",
		`{s: {CommandLine: ['a\*b\?c', 'a\\*b\c\\d', '100%_']}, condition: s}`,
		"{s: {CommandLine|contains: ['Straße', 'ÉCOLE', 'ы']}, condition: s}",
		"{s: {CommandLine|contains|cased: ['Xy', 'é']}, condition: s}",
		"{s: {CommandLine|windash|contains: [' -enc', '/f -g']}, condition: s}",
		"{s: {CommandLine|base64|contains: 'sh -i'}, condition: s}",
		"{s: {CommandLine|base64offset|contains: ['/bin/sh', 'http://']}, condition: s}",
		"{s: {CommandLine|wide|base64offset|contains: 'IEX'}, condition: s}",
		"{s: {CommandLine|utf16be|base64|endswith: 'ab'}, condition: s}",
		`{s: {CommandLine|re: '^a\b.(b|[c-e\]]){2,3}\s\$$'}, condition: s}`,
		`{s: {CommandLine|re|i: 'wget\s+[^a-f]+é'}, condition: s}`,
		`{s: {CommandLine|re|m|s: '^x.y$'}, condition: s}`,
		`{s: {CommandLine|re: '(?i:ab)C|(d?|e)f\.\d'}, condition: s}`,
		"{s: {CommandLine|exists: true, User|exists: false}, condition: s}",
		"{s: {User: null}, f: {CommandLine: [null, '', x]}, condition: s and not f}",
		"{s: {User: [null, root]}, condition: not s}",
		"{s: {ProcessId|gte: 10, ParentProcessId|lt: 12}, f: {ProcessId: [10, 11]}, condition: s and not f}",
		"{s: {ProcessId|fieldref: ParentProcessId}, condition: s}",
		"{s: {CommandLine|fieldref|contains: User}, condition: s}",
		"{s: {CommandLine|contains|all: [a, b, c]}, f: {CommandLine|startswith: a}, condition: s and not f}",
		"{s: [{User: a, CommandLine: b}, {User: b}], f: [{CommandLine: c}], condition: not (s or not f)}",
		"{a_1: {User: a}, a_2: {CommandLine|contains: b}, b: {ParentImage|endswith: /c}, condition: all of a_* and not b or 1 of b*}",
		"{k: ['foo', 'b*r'], f: {User: x}, condition: k and not f}",
		"{k: {'|all': ['foo', 'bar']}, condition: k}",
		"{s: {Image|endswith: [/sh, /bash]}, f: {Image|startswith: /opt/, ParentImage|endswith: /sshd}, condition: s and not f}",
		"{s: {Image: null}, condition: s or s}",
		"{s: {User|neq: root}, condition: s}",
	} {
		if strings.Contains(detection, "neq") {
			continue // the word-by-word evaluation has it not
		}
		files[fmt.Sprintf("m%02d.yml", i)] = fmt.Sprintf("title: m%d\nlogsource: {category: process_creation}\ndetection: %s\n", i, detection)
	}
	return files
}

func compareSigma(t *testing.T, set *Set, rules []*plainRule, count int) {
	g := eventMaker{rand.New(rand.NewPCG(*sigmaSeed, 2))}
	type sample struct {
		fields
		rule *plainRule
	}
	samples := map[time.Time]sample{}
	builders := map[string]*rowFiller{}
	at := fixtureStart
	matched := map[string]int{} // by file: events of its own that it matches
	for _, r := range rules {
		for range count {
			e := g.event(r)
			table, row := e.row(r.kind)
			if row == nil {
				continue
			}
			at = at.Add(time.Millisecond)
			row["time"] = at
			f := builders[table]
			if f == nil {
				f = newRowFiller(table, []string{table})
				builders[table] = f
			}
			f.rows = 0
			if err := f.add(row); err != nil {
				t.Fatalf("%s: %v", r.file, err)
			}
			samples[at] = sample{e, r}
			if r.matches(e) {
				matched[r.file]++
			}
		}
	}
	m := NewMatcher(set, MatcherConfig{Share: -1})
	found := map[string]map[time.Time]bool{}
	for _, f := range builders {
		for _, b := range f.finish() {
			for _, match := range m.Match(b, testStart) {
				if found[match.Rule.File] == nil {
					found[match.Rule.File] = map[time.Time]bool{}
				}
				found[match.Rule.File][match.Time] = true
			}
		}
	}
	for _, s := range m.Stats() {
		if s.Failed > 0 {
			t.Errorf("a rule fails on %d rows", s.Failed)
		}
	}
	verdicts, positive, wider, other := 0, 0, 0, 0
	never := 0
	for _, r := range rules {
		if matched[r.file] == 0 {
			never++
			t.Logf("%s matches none of its events", r.file)
		}
		theirs := r.sigmaGo()
		arguments := r.kind == "auditd" && regexp.MustCompile(`\ba[1-9][|:]`).Match(r.text)
		wrong := 0
		for when, s := range samples {
			if s.rule.kind != r.kind || s.rule != r && when.UnixMilli()%7 != 0 { // of the others' events a part
				continue
			}
			want, got := r.matches(s.fields), found[r.file][when]
			verdicts++
			if want {
				positive++
			}
			switch {
			case got == want:
			case got && arguments: // of an argument the place is not known to the letter
				wider++
			default:
				if wrong++; wrong <= 3 {
					t.Errorf("%s: %q: the matcher says %v, the specification %v", r.file, s.fields, got, want)
				}
			}
			if theirs == nil {
				continue
			}
			other++
			if result, err := theirs.Matches(t.Context(), map[string]string(s.fields)); err != nil || result.Match != want {
				t.Errorf("%s: %q: sigma-go says %v, %v, the specification %v", r.file, s.fields, result.Match, err, want)
			}
		}
	}
	t.Logf("seed %d: %d rules, %d events, %d verdicts, of which %d match and sigma-go gave %d; %d matches more for arguments", *sigmaSeed, len(rules), len(samples), verdicts, positive, other, wider)
	if positive < len(rules)*count/10 || never > len(rules)/20 {
		t.Errorf("%d matches, %d rules without one: these are not the events to compare", positive, never)
	}
}

// sigmaGo returns sigma-go's evaluator of the rule, nil where it is known not
// to do what the specification says: wildcards, null, keywords and all
// modifiers but these.
func (r *plainRule) sigmaGo() *evaluator.RuleEvaluator {
	plain := true
	var walk func(v any, key string)
	walk = func(v any, key string) {
		switch v := v.(type) {
		case map[string]any:
			for key, one := range v {
				for i, m := range strings.Split(key, "|") {
					plain = plain && (i == 0 && m != "" || slices.Contains([]string{"contains", "startswith", "endswith", "all", "re", "cidr"}, m))
				}
				walk(one, key)
			}
		case []any:
			plain = plain && len(v) > 0
			for _, one := range v {
				if _, ok := one.(map[string]any); !ok && key == "" {
					plain = false
				}
				walk(one, key)
			}
		case nil:
			plain = false
		case string:
			plain = plain && key != "" && v != "" && (strings.Contains(key, "|re") || !strings.ContainsAny(v, `*?\`)) && !strings.ContainsFunc(v, func(c rune) bool { return c > 126 })
		}
	}
	for _, s := range r.searches {
		walk(s, "")
	}
	if !plain || slices.Contains(r.condition, "them") {
		return nil
	}
	rule, err := sigmago.ParseRule(r.text)
	if err != nil {
		return nil
	}
	return evaluator.ForRule(rule)
}
