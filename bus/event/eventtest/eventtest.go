// Package eventtest makes batches of process_events like those of a busy
// host, for benchmarks and tests. The same Config gives the same rows.
package eventtest

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"daemoneye/bus/event"
)

// Config says what rows are made. The zero value is the default.
type Config struct {
	Seed        uint64
	Rows        int           // of all batches together; 0: 10 million
	BatchRows   int           // 0: 1,000
	Executables int           // 0: 2,000, used by a zipf law
	Start       time.Time     // of the first row; zero: 2025-06-01 00:00 UTC
	Span        time.Duration // from the first row to the last; 0: 30 days
}

// Generator makes batches.
//
// The rows are those of scans every 30 seconds, at the time of the scan: first
// the processes that were found (seen), then those that are gone (exit), each
// by start time. Four command lines in ten are those of no other row, the
// others are among a few for each executable; only processes with such a one
// end. A parent starts some processes, twelve on average, before another does;
// it is one of 64 services and shells that live throughout, or, three times
// in ten, a process that was found a short while before; ppid,
// parent_entity_id, the parent's columns and ancestors say so.
type Generator struct {
	cfg      Config
	rng      *rand.Rand
	zipf     *rand.Zipf
	programs []program
	users    []user
	roots    []process
	recent   [1024]process // that may be parents
	running  []process     // that will end, by start time
	b        *event.Builder
	columns  columns
	parent   process // of the present burst
	made     int
	started  int
	pid      int64
	begun    int64 // start time of the newest process, µs
	now      int64 // of the present scan, µs
}

type program struct {
	name, path, dir, hash, blake3 string
	inode                         int64
	lines                         []string // command lines that repeat
	memory                        int64
}

type user struct {
	id     int64
	name   string
	cgroup string
}

type process struct {
	entity    string
	pid       int64
	program   *program
	user      *user
	line      string
	start     int64 // µs
	cpu       int   // ticks
	ancestors []string
	parent    *process // with an own parent of nil: no chain is kept alive
}

// columns are the builders of all columns that are set.
type columns struct {
	time, startTime, collected                       *event.ColumnBuilder
	event, source, entity, name, path, invoked, line *event.ColumnBuilder
	cwd, userName, status, cgroup, hash, algorithm   *event.ColumnBuilder
	blake3, tty                                      *event.ColumnBuilder
	parentEntity, parentName, parentPath, parentLine *event.ColumnBuilder
	pid, ppid, startNS, uid, euid, gid, egid         *event.ColumnBuilder
	memory, virtual, threads, session, group         *event.ColumnBuilder
	inode, device                                    *event.ColumnBuilder
	cpuUsage, cpuTime                                *event.ColumnBuilder
	truncated, kernel, exists, accessible            *event.ColumnBuilder
	capabilities, ancestors, namespaces              *event.ColumnBuilder
}

// New returns a Generator at its first row.
func New(cfg Config) *Generator {
	orDefault := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	orDefault(&cfg.Rows, 10_000_000)
	orDefault(&cfg.BatchRows, 1000)
	orDefault(&cfg.Executables, 2000)
	if cfg.Start.IsZero() {
		cfg.Start = time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)
	}
	if cfg.Span <= 0 {
		cfg.Span = 30 * 24 * time.Hour
	}
	g := &Generator{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x9e3779b97f4a7c15)), pid: 1000, now: cfg.Start.UnixMicro(), begun: cfg.Start.UnixMicro()}
	g.zipf = rand.NewZipf(g.rng, 1.1, 4, uint64(cfg.Executables-1))
	g.makeUsers()
	g.makePrograms()
	g.makeRoots()
	g.b = event.NewBuilder(event.Lookup("process_events"))
	g.columns.bind(g.b)
	return g
}

func (c *columns) bind(b *event.Builder) {
	for name, column := range map[string]**event.ColumnBuilder{
		"time": &c.time, "start_time": &c.startTime, "collection_time": &c.collected, "event": &c.event, "source": &c.source,
		"entity_id": &c.entity, "name": &c.name, "executable_path": &c.path, "invoked_path": &c.invoked, "command_line": &c.line,
		"cwd": &c.cwd, "user_name": &c.userName, "status": &c.status, "cgroup": &c.cgroup, "executable_hash": &c.hash,
		"hash_algorithm": &c.algorithm, "executable_blake3": &c.blake3, "tty": &c.tty,
		"parent_entity_id": &c.parentEntity, "parent_name": &c.parentName, "parent_executable_path": &c.parentPath,
		"parent_command_line": &c.parentLine, "pid": &c.pid, "ppid": &c.ppid, "start_time_ns": &c.startNS, "user_id": &c.uid,
		"effective_user_id": &c.euid, "group_id": &c.gid, "effective_group_id": &c.egid, "memory_usage": &c.memory,
		"virtual_memory": &c.virtual, "threads": &c.threads, "session_id": &c.session, "process_group_id": &c.group,
		"executable_inode": &c.inode, "executable_device": &c.device, "cpu_usage": &c.cpuUsage, "cpu_time": &c.cpuTime,
		"command_line_truncated": &c.truncated, "kernel_thread": &c.kernel, "file_exists": &c.exists, "accessible": &c.accessible,
		"capabilities": &c.capabilities, "ancestors": &c.ancestors, "namespaces": &c.namespaces,
	} {
		*column = b.Column(name)
	}
}

func (g *Generator) hex(bytes int) string {
	raw := make([]byte, bytes)
	for i := range raw {
		raw[i] = byte(g.rng.Uint32())
	}
	return hex.EncodeToString(raw)
}

func (g *Generator) makeUsers() {
	g.users = []user{{0, "root", "/system.slice/cron.service"}}
	for i := 1; i < 40; i++ {
		u := user{int64(100 + i), fmt.Sprintf("svc%02d", i), fmt.Sprintf("/system.slice/svc%02d.service", i)}
		if i >= 12 {
			u = user{int64(988 + i), fmt.Sprintf("user%02d", i), fmt.Sprintf("/user.slice/user-%d.slice/session-%d.scope", 988+i, i)}
		}
		g.users = append(g.users, u)
	}
}

var words = [...]string{
	"sync", "worker", "report", "index", "build", "fetch", "clean", "rotate", "backup", "verify", "render", "queue", "probe", "watch", "export", "merge",
}

func (g *Generator) makePrograms() {
	first := [...]string{"sh", "bash", "python3", "grep", "sed", "cat", "git", "ls", "awk", "date", "curl", "node", "sleep", "ps", "systemctl", "java", "ssh", "find", "make", "gcc"}
	dirs := [...]string{"/usr/bin", "/usr/bin", "/usr/sbin", "/usr/lib/systemd", "/opt/app/bin", "/usr/local/bin"}
	for i := range g.cfg.Executables {
		p := program{
			name: fmt.Sprintf("%s-%s%d", words[i%len(words)], words[i/len(words)%len(words)], i), dir: dirs[i%len(dirs)],
			hash: g.hex(32), blake3: g.hex(32), inode: 131072 + g.rng.Int64N(1<<20), memory: (1 + g.rng.Int64N(1<<14)) * 4096,
		}
		if i < len(first) {
			p.name, p.dir = first[i], "/usr/bin"
		}
		p.path = p.dir + "/" + p.name
		for j := range 3 + g.rng.IntN(6) {
			p.lines = append(p.lines, fmt.Sprintf("%s --config /etc/%s/%s.conf --%s --level %d", p.path, p.name, words[(i+j)%len(words)], words[(i*j)%len(words)], j))
		}
		g.programs = append(g.programs, p)
	}
}

func (g *Generator) makeRoots() {
	init := program{name: "systemd", path: "/usr/lib/systemd/systemd", hash: g.hex(32), blake3: g.hex(32), inode: 4711, memory: 12 << 20}
	boot := g.now - time.Hour.Microseconds()
	first := process{entity: g.hex(16), pid: 1, program: &init, user: &g.users[0], line: "/sbin/init", start: boot}
	for i := range 64 {
		p := &g.programs[g.rng.IntN(len(g.programs))]
		g.roots = append(g.roots, process{
			entity: g.hex(16), pid: int64(300 + 7*i), program: p, user: &g.users[i%len(g.users)], line: p.lines[0],
			start: boot + int64(i)*10_000, ancestors: []string{init.path}, parent: &first,
		})
	}
	for i := range g.recent {
		g.recent[i] = g.roots[i%len(g.roots)]
	}
}

// Next returns the next batch, nil after the last one.
func (g *Generator) Next() *event.Batch {
	if g.made == g.cfg.Rows {
		return nil
	}
	for g.b.Rows() < g.cfg.BatchRows && g.made < g.cfg.Rows {
		g.row()
		g.made++
	}
	return g.b.Batch()
}

const (
	scanEvery = 30_000_000 // µs
	tick      = 10_000     // µs: the unit of start times
)

// row adds a row.
func (g *Generator) row() {
	begin, span := g.cfg.Start.UnixMicro(), g.cfg.Span.Microseconds()
	// Where the row would be if rows came at an even rate, and how far that is
	// from one scan to the next.
	even := int64(float64(span) * float64(g.made) / float64(g.cfg.Rows))
	g.now = begin + (even/scanEvery+1)*scanEvery
	part := float64(even%scanEvery) / scanEvery
	if part >= 0.72 && len(g.running) > 0 {
		p := g.running[0]
		g.running = g.running[1:]
		g.add(&p, "exit")
		return
	}
	between := float64(span) / float64(g.cfg.Rows) / 0.72
	g.begun = min(max(g.begun+int64(g.rng.ExpFloat64()*between), g.now-scanEvery), g.now)
	p := g.start()
	g.add(&p, "seen")
	if g.rng.IntN(4) == 0 {
		g.recent[g.rng.IntN(len(g.recent))] = p
	}
}

// start makes a new process.
func (g *Generator) start() process {
	g.started++
	g.pid++
	if g.pid == 32_768 { // kernel.pid_max
		g.pid = 1000
	}
	if g.rng.IntN(12) == 0 || g.parent.program == nil {
		g.parent = g.roots[g.rng.IntN(len(g.roots))]
		if g.rng.IntN(10) < 3 {
			g.parent = g.recent[g.rng.IntN(len(g.recent))]
		}
		g.parent.parent = nil // so that no chain is kept alive
	}
	parent := &g.parent
	program := &g.programs[g.zipf.Uint64()]
	p := process{entity: g.hex(16), pid: g.pid, program: program, user: parent.user, start: g.begun / tick * tick, cpu: int(g.rng.ExpFloat64() * 8)}
	if g.rng.IntN(100) == 0 {
		p.user = &g.users[g.rng.IntN(len(g.users))]
	}
	p.ancestors = append(make([]string, 0, 8), parent.program.path)
	p.ancestors = append(p.ancestors, parent.ancestors[:min(7, len(parent.ancestors))]...)
	up := *parent
	p.parent = &up
	// Exits repeat lines too, so more than four starts in ten are unique.
	if g.rng.IntN(1000) < 556 {
		p.line = program.path + " --job " + strconv.Itoa(g.started) + " --output /var/tmp/" + program.name + "/result-" +
			strconv.FormatUint(g.rng.Uint64N(1<<31), 36) + ".json"
		return p
	}
	p.line = program.lines[g.rng.IntN(len(program.lines))]
	g.running = append(g.running, p)
	if len(g.running) > 4096 {
		g.running = append(g.running[:0], g.running[2048:]...)
	}
	return p
}

func (g *Generator) add(p *process, kind string) {
	c := &g.columns
	program, parent := p.program, p.parent
	c.time.Micro(g.now)
	c.collected.Micro(g.now)
	c.event.Text(kind)
	c.source.Text("procfs")
	c.entity.Text(p.entity)
	c.pid.Int(p.pid)
	c.ppid.Int(parent.pid)
	c.name.Text(program.name[:min(15, len(program.name))])
	c.path.Text(program.path)
	c.invoked.Text(program.name)
	c.line.Text(p.line)
	c.truncated.Bool(false)
	c.cwd.Text(program.dir)
	c.startTime.Micro(p.start)
	c.startNS.Int(p.start * 1000)
	c.uid.Int(p.user.id)
	c.euid.Int(p.user.id)
	c.gid.Int(p.user.id)
	c.egid.Int(p.user.id)
	c.userName.Text(p.user.name)
	c.status.Text("sleeping")
	c.cpuTime.Float(float64(p.cpu) / 100)
	c.cpuUsage.Float(float64(p.cpu%10) * 10)
	c.memory.Int(program.memory + p.pid%4*4096)
	c.virtual.Int(program.memory * 10)
	c.threads.Int(1 + p.pid%3)
	c.session.Int(parent.pid)
	c.group.Int(p.pid)
	if p.user.id >= 1000 {
		c.tty.Text("pts/" + strconv.FormatInt(p.user.id%8, 10))
	}
	c.cgroup.Text(p.user.cgroup)
	c.namespaces.JSON([]byte(`{"mnt": 4026531841, "net": 4026531840, "pid": 4026531836}`))
	c.capabilities.Texts([]string{})
	c.kernel.Bool(false)
	c.hash.Text(program.hash)
	c.algorithm.Text("sha256")
	c.blake3.Text(program.blake3)
	c.inode.Int(program.inode)
	c.device.Int(2049)
	c.exists.Bool(true)
	c.accessible.Bool(true)
	c.parentEntity.Text(parent.entity)
	c.parentName.Text(parent.program.name[:min(15, len(parent.program.name))])
	c.parentPath.Text(parent.program.path)
	c.parentLine.Text(parent.line)
	c.ancestors.Texts(p.ancestors)
	g.b.EndRow()
}
