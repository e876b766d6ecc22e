// Package rulestest makes rules as converted Sigma rules are, and exec events
// for them, for benchmarks and tests. They are the same each time.
package rulestest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"daemoneye/bus/event"
)

type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 7))} }

func pickOne[T any](r random, list []T) T { return list[r.IntN(len(list))] }

// word is one of n made-up words, pronounceable and 4 to 9 letters long.
func word(i int) string {
	const consonants, vowels = "bcdfgklmnprstvz", "aeiou"
	var b strings.Builder
	for i = i*7919 + 104729; i > 0; i /= 75 {
		b.WriteByte(consonants[i%15])
		b.WriteByte(vowels[i/15%5])
	}
	return b.String()
}

var (
	tools   = strings.Fields("bash sh dash curl wget python3 perl ruby nc ncat socat ssh scp rsync tar gzip base64 xxd openssl systemctl crontab at chmod chown useradd usermod passwd sudo su iptables nft tcpdump nmap dd cp mv rm cat grep sed awk find xargs kill pkill insmod modprobe mount docker kubectl git make gcc node java php")
	options = strings.Fields("-c -e -i -o -O -x -p --output --exec --config --force -rf +x 4444 http:// https:// /tmp/ /dev/shm/ /dev/tcp/ /etc/passwd /etc/shadow .ssh/authorized_keys base64 chmod nohup bash sh")
	parents = []string{"/usr/sbin/sshd", "/usr/sbin/nginx", "/usr/sbin/apache2", "/usr/bin/bash", "/usr/bin/dash", "/usr/lib/systemd/systemd", "/usr/sbin/cron", "/usr/bin/make", "/usr/bin/python3.11", "/usr/lib/postgresql/15/bin/postgres"}
)

// Rule is a rule as Sigma has them: all of its fields that are not empty must
// match, and Filter must not.
type Rule struct {
	ID     string
	Paths  []string // of which the path ends with one
	All    []string // that are all in the command line, in either case
	Any    []string // of which one is
	Parent string   // path of the parent
	Filter []string // of which the parent's path ends with one
}

// Rules makes n rules.
func Rules(n int) []Rule {
	r := newRandom(1)
	list := func(k int, one func() string) (list []string) {
		for range k {
			list = append(list, one())
		}
		return list
	}
	tool := func() string {
		if r.IntN(3) == 0 {
			return "/" + pickOne(r, tools)
		}
		return "/" + word(r.IntN(3000))
	}
	part := func() string {
		if r.IntN(3) == 0 {
			return pickOne(r, options)
		}
		return pickOne(r, []string{"", " ", "--", "/"}) + word(r.IntN(4000))
	}
	rules := make([]Rule, n)
	for i := range rules {
		rule := Rule{ID: fmt.Sprintf("rule-%04d", i)}
		switch i % 4 {
		case 0, 1:
			rule.Paths = list(1+r.IntN(4), tool)
			rule.All = list(1+r.IntN(3), part)
		case 2:
			rule.All = list(2, part)
			rule.Any = list(2+r.IntN(4), part)
		default:
			rule.Parent = pickOne(r, parents)
			rule.Paths, rule.All = list(1, tool), list(1, part)
		}
		if r.IntN(2) == 0 {
			rule.Filter = list(1+r.IntN(3), tool)
		}
		rules[i] = rule
	}
	return rules
}

// SQL writes the rule as a rule file.
func (r *Rule) SQL() string {
	like := func(column, operator, before, after string, texts []string) string {
		quoted := make([]string, len(texts))
		for i, text := range texts {
			quoted[i] = "'" + before + text + after + "'"
		}
		return column + " " + operator + " (ARRAY[" + strings.Join(quoted, ", ") + "])"
	}
	where := []string{"event = 'exec'"}
	if r.Parent != "" {
		where = append(where, "parent_executable_path = '"+r.Parent+"'")
	}
	if r.Paths != nil {
		where = append(where, like("executable_path", "LIKE ANY", "%", "", r.Paths))
	}
	where = append(where, like("command_line", "ILIKE ALL", "%", "%", r.All))
	if r.Any != nil {
		where = append(where, like("command_line", "ILIKE ANY", "%", "%", r.Any))
	}
	if r.Filter != nil {
		where = append(where, "NOT coalesce("+like("parent_executable_path", "LIKE ANY", "%", "", r.Filter)+", false)")
	}
	return "-- id: " + r.ID + "\n-- title: T\n-- severity: low\n" +
		"SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path\nFROM process_events\nWHERE " +
		strings.Join(where, "\n  AND ") + "\n"
}

// Sigma writes the rule as a Sigma rule.
func (r *Rule) Sigma() string {
	var b strings.Builder
	field := func(name string, texts []string) {
		if texts == nil {
			return
		}
		fmt.Fprintf(&b, "    %s:\n", name)
		for _, text := range texts {
			fmt.Fprintf(&b, "      - %q\n", text)
		}
	}
	fmt.Fprintf(&b, "title: %s\nlogsource:\n  category: process_creation\n  product: linux\ndetection:\n  selection:\n", r.ID)
	field("Image|endswith", r.Paths)
	field("CommandLine|contains|all", r.All)
	field("CommandLine|contains", r.Any)
	if r.Parent != "" {
		field("ParentImage", []string{r.Parent})
	}
	condition := "selection"
	if r.Filter != nil {
		b.WriteString("  filter:\n")
		field("ParentImage|endswith", r.Filter)
		condition += " and not filter"
	}
	fmt.Fprintf(&b, "  condition: %s\n", condition)
	return b.String()
}

// Events makes batches of exec events of a busy machine, the first one at from
// and one each millisecond: 400 executables, the first ones most often, with
// command lines of which three in four have been there before.
func Events(from time.Time, batches, rows int) []*event.Batch {
	r := newRandom(2)
	var lines [][2]string
	b := event.NewBuilder(event.Lookup("process_events"))
	out := make([]*event.Batch, batches)
	for k := range out {
		for i := range rows {
			n := k*rows + i
			var exe, line string
			if len(lines) > 100 && r.IntN(4) > 0 {
				old := lines[int(float64(len(lines))*r.Float64()*r.Float64())]
				exe, line = old[0], old[1]
			} else {
				name := word(r.IntN(350))
				if r.IntN(2) == 0 {
					name = pickOne(r, tools)
				}
				exe = "/usr/bin/" + name
				args := []string{name}
				for range 1 + r.IntN(6) {
					args = append(args, pickOne(r, []string{"-" + string(rune('a'+r.IntN(26))), "--" + word(4000+r.IntN(2000)), "/srv/" + word(5000+r.IntN(500)) + "/" + word(r.IntN(9000)), fmt.Sprint(n)}))
				}
				line = strings.Join(args, " ")
				if len(lines) < 5000 {
					lines = append(lines, [2]string{exe, line})
				}
			}
			at := from.Add(time.Duration(n) * time.Millisecond)
			b.Column("time").Time(at)
			b.Column("event").Text("exec")
			b.Column("source").Text("ebpf")
			b.Column("entity_id").Text(fmt.Sprintf("%032x", n))
			b.Column("pid").Int(int64(n % 4_000_000))
			b.Column("user_name").Text(pickOne(r, []string{"root", "www-data", "build", "alice"}))
			b.Column("name").Text(exe[strings.LastIndexByte(exe, '/')+1:])
			b.Column("executable_path").Text(exe)
			b.Column("command_line").Text(line)
			b.Column("parent_executable_path").Text(pickOne(r, parents))
			b.Column("kernel_thread").Bool(false)
			b.Column("accessible").Bool(true)
			b.Column("collection_time").Time(at)
			b.EndRow()
		}
		out[k] = b.Batch()
	}
	return out
}
