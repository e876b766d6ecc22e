package procfs

import (
	"bytes"
	"slices"
	"syscall"
	"testing"
)

func TestRecords(t *testing.T) {
	ask := Ask{PIDs: []int32{7, 8, 9}, Files: Set(FileStat, FileCmdline, FileEnviron), Cmdline: 4}
	b := AppendProcess(nil, 7, 0)
	b = AppendContent(b, Content{Data: []byte("stat")})
	b = AppendContent(b, Content{Data: []byte("line"), More: true})
	b = AppendContent(b, Content{Err: syscall.EACCES})
	one := len(b)
	b = AppendProcess(b, 8, syscall.ENOENT)
	got := Answer{Buf: b}
	if err := ask.Parse(&got); err != nil || len(got.Contents) != 2 {
		t.Fatalf("Parse = %d records, %v", len(got.Contents), err)
	}
	if c := got.Contents[0]; c.PID != 7 || c.Err != 0 || string(c.Files[FileStat].Data) != "stat" || string(c.Files[FileCmdline].Data) != "line" ||
		!c.Files[FileCmdline].More || c.Files[FileEnviron].Err != syscall.EACCES || c.Files[FileCWD].Err != syscall.ENOENT {
		t.Errorf("the first is %+v", c)
	}
	if c := got.Contents[1]; c.PID != 8 || c.Err != syscall.ENOENT {
		t.Errorf("the second is %+v", c)
	}
	other := slices.Clone(b)
	other[0] = 9
	for name, bad := range map[string][]byte{
		"none": nil, "cut": b[:one-1], "cut head": b[:len(b)-1], "other process": other,
		"one too many": slices.Concat(b, AppendProcess(AppendProcess(nil, 9, 1), 10, 1)),
	} {
		if err := ask.Parse(&Answer{Buf: bad}); err == nil {
			t.Errorf("%s: is taken", name)
		}
	}
	for name, a := range map[string]Ask{
		"no process": {Files: 1}, "many": {PIDs: make([]int32, MaxAsk+1), Files: 1}, "pid 0": {PIDs: []int32{0}, Files: 1}, "no file": {PIDs: []int32{1}},
		"unknown file": {PIDs: []int32{1}, Files: 1 << files}, "long": {PIDs: []int32{1}, Files: 1, Cmdline: MaxText + 1}, "negative": {PIDs: []int32{1}, Files: 1, Environ: -1},
	} {
		if a.Check() == nil {
			t.Errorf("%s: Check has nothing against it", name)
		}
	}
	if err := ask.Check(); err != nil {
		t.Error(err)
	}
}

func FuzzRecords(f *testing.F) {
	f.Add(AppendContent(AppendContent(AppendProcess(nil, 7, 0), Content{Data: []byte("x")}), Content{Err: syscall.EACCES}))
	f.Add(AppendProcess(nil, 7, syscall.ESRCH))
	ask := Ask{PIDs: []int32{7, 8}, Files: Set(FileStat, FileCmdline), Cmdline: 10}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := Answer{Buf: b}
		if ask.Parse(&got) != nil {
			return
		}
		var again []byte
		for _, c := range got.Contents {
			again = AppendProcess(again, c.PID, c.Err)
			for file := range ask.Files.All() {
				if c.Err == 0 {
					again = AppendContent(again, c.Files[file])
				}
			}
			if len(c.Files[FileStat].Data) > smallFile || len(c.Files[FileCmdline].Data) > ask.Cmdline {
				t.Errorf("too much: %+v", c)
			}
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x is read as %+v, which is %x", b, got.Contents, again)
		}
	})
}
