package hasher

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"daemoneye/platform"
	"daemoneye/platform/procfs"
)

// TestMain lets the test binary be the role.
func TestMain(m *testing.M) {
	if os.Args[0] == "procmond" && len(os.Args) == 3 && os.Args[1] == Name {
		if err := Main(os.Args[2]); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// connect returns a client and a server in this process.
func connect(t testing.TB) (*Client, *server) {
	t.Helper()
	ours, its, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(its)
	served := make(chan error, 1)
	go func() { served <- s.serve() }()
	c := newClient(ours)
	t.Cleanup(func() {
		c.close()
		if err := <-served; err != nil {
			t.Errorf("serve = %v", err)
		}
	})
	return c, s
}

// sleeper starts a process that stays as it is.
func sleeper(t testing.TB, attr *syscall.SysProcAttr, args ...string) int {
	t.Helper()
	cmd := exec.Command("sleep", append([]string{"3600"}, args...)...)
	cmd.Dir, cmd.SysProcAttr = "/usr", attr
	cmd.Env = []string{"LANG=C", "CANARY=yes"}
	if len(args) > 0 { // it is to wait although these are none
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", "read x"}, args...)
		if _, err := cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	// It changes until it waits, in one of these calls.
	waits := []string{
		fmt.Sprintf("%d ", unix.SYS_CLOCK_NANOSLEEP), fmt.Sprintf("%d ", unix.SYS_NANOSLEEP), fmt.Sprintf("%d 0x0 ", unix.SYS_READ),
	}
	for {
		call, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/syscall")
		if err != nil || slices.ContainsFunc(waits, func(w string) bool { return strings.HasPrefix(string(call), w) }) {
			return cmd.Process.Pid
		}
		runtime.Gosched()
	}
}

// What is read through the hasher is what is read from /proc.
func TestScanThroughHasher(t *testing.T) {
	pid := int32(sleeper(t, nil))
	c, _ := connect(t)
	config := procfs.Config{Environment: true, Workers: 2}
	var found [2]procfs.Process
	for i := range found {
		e, err := procfs.NewEnumerator(config)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if i == 1 {
			e.ReadThrough(c)
		}
		snap, err := e.Scan(t.Context())
		if err != nil || snap.Err != nil {
			t.Fatal(err, snap.Err)
		}
		for _, p := range []int32{1, int32(os.Getpid()), pid} {
			if snap.Find(p) == nil {
				t.Fatalf("scan %d has no process %d of %d", i, p, len(snap.Processes))
			}
		}
		found[i] = *snap.Find(pid)
		// Of what the kernel tells without a device, the rest is found out.
		known := &procfs.Process{PID: pid, ExecutableID: procfs.FileID{Inode: found[i].ExecutableID.Inode}}
		other := &procfs.Process{PID: pid, ExecutableID: procfs.FileID{Inode: found[i].ExecutableID.Inode + 1}}
		gone := &procfs.Process{PID: 1 << 30, ExecutableID: procfs.FileID{Inode: 1}}
		if err := e.Identify(t.Context(), []*procfs.Process{gone, known, other}); err != nil {
			t.Fatal(err)
		}
		if none := (procfs.FileID{}); known.ExecutableID != found[i].ExecutableID || other.ExecutableID != none || gone.ExecutableID != none {
			t.Errorf("Identify: %+v, want %+v; %+v, %+v, want none", known.ExecutableID, found[i].ExecutableID, other.ExecutableID, gone.ExecutableID)
		}
		found[i].Collected, found[i].CPUUsage, found[i].Parent = time.Time{}, 0, nil
		found[i].Started = found[i].Started.Truncate(time.Second)
	}
	if found[0] != found[1] {
		t.Errorf("through the hasher:\n%+v\nfrom /proc:\n%+v", found[1], found[0])
	}
	if text, err := c.Passwd(t.Context()); err != nil || procfs.ParsePasswd(text)[0] != "root" {
		t.Errorf("passwd: %q, %v", text, err)
	}
	p := found[1]
	if p.Cmdline != "sleep\x003600" || p.CWD != "/usr" || p.FileExists != procfs.Exists || !p.Accessible || p.Namespaces.Mnt == 0 ||
		p.Environ != "LANG=C\x00CANARY=yes\x00" || !strings.HasPrefix(p.Executable, "/") || p.ExecutableID.Inode == 0 {
		t.Errorf("through the hasher: %+v", p)
	}
}

// A set of processes that does not fit into one answer takes several.
func TestReadInParts(t *testing.T) {
	c, _ := connect(t)
	var pids []int32
	for range 6 {
		pids = append(pids, int32(sleeper(t, nil, strings.Repeat("x", 100<<10))))
	}
	slices.Sort(pids)
	ask := procfs.Ask{PIDs: pids, Files: procfs.Set(procfs.FileStat, procfs.FileCmdline), Cmdline: 90 << 10}
	var to procfs.Answer
	answers := 0
	for ; len(ask.PIDs) > 0; answers++ {
		if err := c.Read(t.Context(), &ask, &to); err != nil {
			t.Fatal(err)
		}
		for i, got := range to.Contents {
			line := got.Files[procfs.FileCmdline]
			if got.PID != ask.PIDs[i] || len(line.Data) != 90<<10 || !line.More || got.Files[procfs.FileEnviron].Err != syscall.ENOENT {
				t.Errorf("process %d: %d bytes of its command line, more: %t, error %v", got.PID, len(line.Data), line.More, line.Err)
			}
			if s, err := procfs.ParseStat(got.Files[procfs.FileStat].Data); err != nil || s.PID != got.PID {
				t.Errorf("stat of %d is of %d, %v", got.PID, s.PID, err)
			}
		}
		ask.PIDs = ask.PIDs[len(to.Contents):]
	}
	if answers != 2 {
		t.Errorf("%d answers, want 2", answers)
	}
	ask.PIDs = []int32{1 << 30} // more than there can be
	if err := c.Read(t.Context(), &ask, &to); err != nil || to.Contents[0].Err != syscall.ENOENT {
		t.Errorf("of a process that does not exist: %v, %v", err, to.Contents)
	}
}

func TestDigest(t *testing.T) {
	c, _ := connect(t)
	pid := int32(sleeper(t, nil))
	e, err := procfs.NewEnumerator(procfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	snap, err := e.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := snap.Find(pid).ExecutableID
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/exe")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	ask := procfs.Executable{PID: pid, ID: id, MaxFile: 1 << 30, Rate: 1 << 30}
	d, n, err := c.Digest(t.Context(), ask)
	if err != nil || n != int64(len(raw)) || d.SHA256 != hex.EncodeToString(sum[:]) || len(d.BLAKE3) != 64 {
		t.Errorf("Digest = %+v, %d bytes, %v", d, n, err)
	}
	for _, tt := range []struct {
		change func(*procfs.Executable)
		want   error
	}{
		{func(e *procfs.Executable) { e.ID.Mtime++ }, procfs.ErrOther},
		{func(e *procfs.Executable) { e.PID = int32(os.Getpid()) }, procfs.ErrOther},
		{func(e *procfs.Executable) { e.MaxFile = 100 }, procfs.ErrTooLarge},
		{func(e *procfs.Executable) { e.PID = 1 << 30 }, errUnreadable},
	} {
		ask := ask
		tt.change(&ask)
		if d, _, err := c.Digest(t.Context(), ask); err != tt.want || d != (procfs.Digest{}) {
			t.Errorf("Digest(%+v) = %+v, %v, want %v", ask, d, err, tt.want)
		}
	}
}

// TestDigestOfLargeFile: while a large file is read, another one is.
func TestDigestOfLargeFile(t *testing.T) {
	c, _ := connect(t)
	path := filepath.Join(t.TempDir(), "large")
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(sleep)
	if err == nil {
		err = errors.Join(os.WriteFile(path, raw, 0o755), os.Truncate(path, 1e9))
	}
	if err != nil {
		t.Fatal(err)
	}
	large := exec.Command(path, "3600")
	if err := large.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = large.Process.Kill()
		_ = large.Wait()
	}()
	e, err := procfs.NewEnumerator(procfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	small := sleeper(t, nil)
	snap, err := e.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(pid int) procfs.Executable {
		return procfs.Executable{PID: int32(pid), ID: snap.Find(int32(pid)).ExecutableID, MaxFile: 1 << 30, Rate: 4 << 20}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, _, err := c.Digest(ctx, ask(large.Process.Pid))
		ended <- err
	}()
	for range 10 {
		if d, _, err := c.Digest(t.Context(), ask(small)); err != nil || len(d.SHA256) != 64 {
			t.Fatalf("Digest of a small file = %+v, %v", d, err)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) { // it takes minutes
		t.Errorf("Digest of a large file = %v, want %v", err, context.Canceled)
	}
}

// script is a connection on which the other side has said all at once.
type script struct {
	*bytes.Reader
	bytes.Buffer // what was answered
}

func newScript(b []byte) *script { return &script{Reader: bytes.NewReader(b)} }

func (s *script) Read(b []byte) (int, error)  { return s.Reader.Read(b) }
func (s *script) Write(b []byte) (int, error) { return s.Buffer.Write(b) }
func (s *script) Len() int                    { return s.Buffer.Len() }
func (s *script) Close() error                { return nil }

// A hasher that is given what is no request ends; it does not answer.
func TestHostileCollector(t *testing.T) {
	ask := &procfs.Ask{PIDs: []int32{1}, Files: procfs.Set(procfs.FileStat)}
	request := func(kind byte, body []byte) []byte { return finish(append(appendHeader(nil, kind, 1), body...)) }
	for name, b := range map[string][]byte{
		"unknown kind":    request(3, nil),
		"no kind":         request(0, appendRead(nil, ask)),
		"too long":        {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, kindRead},
		"short":           request(kindRead, []byte{1}),
		"half a pid":      request(kindRead, append(appendRead(nil, ask), 1, 2)),
		"pid 0":           request(kindRead, appendRead(nil, &procfs.Ask{PIDs: []int32{0}, Files: 1})),
		"negative pid":    request(kindRead, appendRead(nil, &procfs.Ask{PIDs: []int32{-1}, Files: 1})),
		"unknown file":    request(kindRead, appendRead(nil, &procfs.Ask{PIDs: []int32{1}, Files: 1 << 31})),
		"no file":         request(kindRead, appendRead(nil, &procfs.Ask{PIDs: []int32{1}})),
		"long text":       request(kindRead, appendRead(nil, &procfs.Ask{PIDs: []int32{1}, Files: 1, Cmdline: procfs.MaxText + 1})),
		"many processes":  request(kindRead, appendRead(nil, &procfs.Ask{PIDs: make([]int32, procfs.MaxAsk+1), Files: 1})),
		"no file to hash": request(kindHash, appendHash(nil, procfs.Executable{PID: 1, MaxFile: 1, Rate: 1})),
		"no rate":         request(kindHash, appendHash(nil, procfs.Executable{PID: 1, ID: procfs.FileID{Inode: 1}, MaxFile: 1})),
		"cut":             request(kindRead, appendRead(nil, ask))[:12],
	} {
		conn := newScript(b)
		if err := newServer(conn).serve(); err == nil || conn.Len() != 0 {
			t.Errorf("%s: serve = %v, %d bytes of answer", name, err, conn.Len())
		}
	}
}

// More requests than it takes end the hasher, if nobody reads the answers.
func TestTooManyRequests(t *testing.T) {
	ours, its, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	served := make(chan error, 1)
	go func() { served <- newServer(its).serve() }()
	pids := make([]int32, procfs.MaxAsk)
	for i := range pids {
		pids[i] = int32(os.Getpid())
	}
	body := appendRead(nil, &procfs.Ask{PIDs: pids, Files: 1<<procfs.FileEnviron - 1})
	for i := uint32(0); ; i++ {
		if _, err := ours.Write(finish(append(appendHeader(nil, kindRead, i), body...))); err != nil {
			break
		}
	}
	if err := <-served; err == nil || !strings.Contains(err.Error(), "at once") {
		t.Errorf("serve = %v, want that there were too many", err)
	}
}

// answers lets a client ask and gives it b, as a hasher that does what it likes.
func answers(t testing.TB, b []byte) (*Client, error) {
	ours, its, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(ours)
	t.Cleanup(c.close)
	asked := make(chan error, 1)
	go func() {
		var buf [maxRequest]byte
		h, err := readHeader(its)
		if err == nil {
			_, err = io.ReadFull(its, buf[:h.size])
		}
		if err == nil {
			_, err = its.Write(b)
		}
		_ = its.Close()
		asked <- err
	}()
	ask := &procfs.Ask{PIDs: []int32{7, 8}, Files: procfs.Set(procfs.FileStat, procfs.FileCmdline), Cmdline: 10}
	err = c.Read(t.Context(), ask, &procfs.Answer{})
	<-asked
	return c, err
}

// The collector does not believe a hasher that answers anything else.
func TestHostileHasher(t *testing.T) {
	answer := func(kind byte, id uint32, body []byte) []byte {
		return finish(append(appendHeader(nil, kind, id), body...))
	}
	record := func(pid int32, list ...procfs.Content) []byte {
		b := procfs.AppendProcess(nil, pid, 0)
		for _, c := range list {
			b = procfs.AppendContent(b, c)
		}
		return b
	}
	good := record(7, procfs.Content{Data: []byte("stat")}, procfs.Content{Data: []byte("cmdline"), More: true})
	if c, err := answers(t, answer(kindRead, 1, good)); err != nil {
		t.Fatalf("a good answer: %v, %v", err, c.Err())
	}
	for name, b := range map[string][]byte{
		"other id":      answer(kindRead, 2, good),
		"other kind":    answer(kindHash, 1, good),
		"unknown kind":  answer(9, 1, good),
		"empty":         answer(kindRead, 1, nil),
		"other process": answer(kindRead, 1, record(8, procfs.Content{}, procfs.Content{})),
		"one more":      answer(kindRead, 1, slices.Concat(good, procfs.AppendProcess(nil, 8, 3), procfs.AppendProcess(nil, 9, 3))),
		"too long":      answer(kindRead, 1, record(7, procfs.Content{}, procfs.Content{Data: make([]byte, 11)})),
		"cut":           answer(kindRead, 1, good[:len(good)-1]),
		"more than all": {0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0, kindRead},
		"cut header":    {1, 0},
		"nothing":       nil,
	} {
		c, err := answers(t, b)
		if err == nil {
			t.Errorf("%s: is taken for an answer", name)
		}
		select {
		case <-c.Done():
		case <-time.After(time.Minute):
			t.Errorf("%s: the client goes on", name)
		}
	}
}

// A hasher that hangs holds up one request, not those that follow.
func TestLateHasher(t *testing.T) {
	ours, its, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer its.Close()
	c := newClient(ours)
	defer c.close()
	c.readTimeout = 10 * time.Millisecond
	ask := &procfs.Ask{PIDs: []int32{1}, Files: procfs.Set(procfs.FileStat)}
	if err := c.Read(t.Context(), ask, &procfs.Answer{}); !errors.Is(err, ErrLate) {
		t.Fatalf("Read = %v, want %v", err, ErrLate)
	}
	c.readTimeout = time.Hour
	for range 100 {
		if err := c.Read(t.Context(), ask, &procfs.Answer{}); !errors.Is(err, ErrLate) {
			t.Fatalf("Read = %v, want %v", err, ErrLate)
		}
	}
	if s := c.Stats(); s.Late != 1 || s.Refused != 100 {
		t.Errorf("Stats = %+v, want 1 late and 100 refused", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := procfs.Executable{PID: 1, ID: procfs.FileID{Inode: 1}, MaxFile: 1, Rate: 1}
	if _, _, err := c.Digest(ctx, e); !errors.Is(err, context.Canceled) {
		t.Errorf("Digest = %v, want canceled", err)
	}
	if _, _, err := c.Digest(t.Context(), e); !errors.Is(err, procfs.ErrStalled) {
		t.Errorf("Digest = %v while one waits, want %v", err, procfs.ErrStalled)
	}
	// It comes to itself and answers.
	s := newServer(its)
	served := make(chan error, 1)
	go func() { served <- s.serve() }()
	for c.Read(t.Context(), ask, &procfs.Answer{}) != nil {
		if t.Context().Err() != nil {
			t.Fatal("it does not read again")
		}
	}
	c.close()
	if err := <-served; err != nil {
		t.Errorf("serve = %v", err)
	}
}

// As root: the role as it is started has two capabilities and no more, reads
// of others, and ends with its collector.
func TestStart(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: without privileges there is no hasher")
	}
	nobody, err := platform.LookupUser("nobody")
	if err != nil {
		t.Fatal(err)
	}
	pid := int32(sleeper(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}))
	p, err := Start(t.Context(), nobody, "")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s, err := platform.ReadStatus(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"cap_dac_read_search", "cap_sys_ptrace"}
	if s.Seccomp != 2 {
		t.Errorf("its seccomp mode is %d, want 2, a filter", s.Seccomp)
	}
	if s.UID != nobody.UID || !slices.Equal(s.Permitted, want) || !slices.Equal(s.Effective, want) || len(s.Bounding)+len(s.Ambient)+len(s.Inheritable) != 0 || !s.NoNewPrivs {
		t.Errorf("the hasher runs with %+v, want as %v with %v alone", s, nobody, want)
	}
	var to procfs.Answer
	ask := &procfs.Ask{PIDs: []int32{pid}, Files: procfs.Set(procfs.FileExe, procfs.FileCWD, procfs.FileEnviron), Environ: 100}
	if err := p.Read(t.Context(), ask, &to); err != nil {
		t.Fatal(err)
	}
	files := to.Contents[0].Files
	if string(files[procfs.FileCWD].Data) != "/usr" || string(files[procfs.FileEnviron].Data) != "LANG=C\x00CANARY=yes\x00" || len(files[procfs.FileExe].Data) == 0 {
		t.Errorf("of another user's process: %+v", files)
	}
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if got, want := p.Err().Error(), "the hasher has ended by signal 9 (killed)"; got != want {
		t.Errorf("Err = %q, want %q", got, want)
	}
	if err := p.Read(t.Context(), ask, &to); err == nil {
		t.Error("it reads although it was killed")
	}
}

func FuzzServe(f *testing.F) {
	ask := &procfs.Ask{PIDs: []int32{int32(os.Getpid())}, Files: 1<<procfs.FileEnviron - 1, Cmdline: 100}
	f.Add(finish(append(appendHeader(nil, kindRead, 1), appendRead(nil, ask)...)))
	f.Add(finish(append(appendHeader(nil, kindRead, 1), appendRead(nil, &procfs.Ask{Files: wantPIDs})...)))
	f.Add(finish(append(appendHeader(nil, kindRead, 1), appendRead(nil, &procfs.Ask{Files: wantPasswd})...)))
	f.Add(finish(append(appendHeader(nil, kindHash, 1), appendHash(nil, procfs.Executable{PID: 1, ID: procfs.FileID{Inode: 1}, MaxFile: 1, Rate: 1})...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		conn := newScript(b)
		_ = newServer(conn).serve()
		// What was answered are whole messages.
		for r := bytes.NewReader(conn.Bytes()); r.Len() > 0; {
			h, err := readHeader(r)
			if err != nil || int64(h.size) > int64(r.Len()) {
				t.Fatalf("answer of %d bytes, %v", h.size, err)
			}
			_, _ = r.Seek(int64(h.size), io.SeekCurrent)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	record := procfs.AppendContent(procfs.AppendContent(procfs.AppendProcess(nil, 7, 0), procfs.Content{Data: []byte("x")}), procfs.Content{Err: 13})
	f.Add(finish(append(appendHeader(nil, kindRead, 1), record...)))
	f.Add(finish(append(appendHeader(nil, kindRead, 1), procfs.AppendProcess(record, 8, 3)...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := answers(t, b)
		if err != nil && !errors.Is(c.Err(), errGone) && c.Err() == nil {
			t.Fatalf("Read = %v, and the client goes on", err)
		}
	})
}

func FuzzParseDigest(f *testing.F) {
	f.Add(appendDigest(nil, procfs.Digest{}, 7, procfs.ErrOther))
	f.Add(appendDigest(nil, procfs.Digest{SHA256: strings.Repeat("0", 64), BLAKE3: strings.Repeat("f", 64)}, 7, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, n, failed, err := parseDigest(b)
		if err != nil {
			return
		}
		if got := appendDigest(nil, d, n, failed); !bytes.Equal(got, b) {
			t.Errorf("%x is read as %+v, %d, %v, which is %x", b, d, n, failed, got)
		}
	})
}
