package bpf

import (
	"slices"
	"testing"
	"time"
)

// callRecord is a call as system.bpf.c writes it: one of raw tracepoints.
func callRecord() []byte {
	b := make([]byte, callSize)
	put(b, 0, 8, 7)
	put(b, 24, 4, 4242)
	b[30] = byte(System)
	put(b, 44, 4, BPF)
	copy(b[48:64], "loader")
	put(b, 64, 8, 17) // first argument
	put(b, 112, 8, 1<<64-1)
	put(b, 120, 8, uint64(time.Second))
	put(b, 128, 4, 99)
	put(b, 132, 4, 1000)
	copy(b[136:152], "target")
	texts := "\x01\x02\x03" + "sys_enter\x00" + "mem\x00proc\x00"
	put(b, 154, 2, 10) // second text
	put(b, 164, 2, 9)  // path
	put(b, 166, 2, 3)  // bytes
	b[170] = 1
	b[171] = byte(1 + slices.IndexFunc(callForms, func(f namedForm) bool { return f.call == "bpf" }))
	return append(b, texts...)
}

func TestDecodeCall(t *testing.T) {
	e, err := Decode(callRecord())
	if err != nil {
		t.Fatal(err)
	}
	c := e.System
	if e.PID != 4242 || e.Name != "loader" || e.What != BPF || c.Name != "bpf" || !c.Compat || c.Args != [6]uint64{17} || c.Result != -1 ||
		c.Target != (Target{PID: 99, Start: time.Second, UID: 1000, Name: "target"}) ||
		c.Texts[1] != "sys_enter" || c.Path != "/proc/mem" || string(c.Bytes) != "\x01\x02\x03" {
		t.Errorf("event %+v, call %+v", e, *c)
	}
}

func TestDecodeCallRefuses(t *testing.T) {
	whole := callRecord()
	for n := range whole {
		if _, err := Decode(whole[:n]); err == nil {
			t.Errorf("the first %d bytes of %d are a record", n, len(whole))
		}
	}
	for name, change := range map[string]func(b []byte){
		"form":   func(b []byte) { b[171] = maxForms },
		"what":   func(b []byte) { put(b, 44, 4, actionsEnd) },
		"target": func(b []byte) { put(b, 128, 4, 1<<31) },
	} {
		b := callRecord()
		change(b)
		if e, err := Decode(b); err == nil {
			t.Errorf("%s: decoded as %+v", name, e)
		}
	}
}

// TestForms: the numbers of forms fit into what the programs have for them.
func TestForms(t *testing.T) {
	if len(callForms) >= maxForms {
		t.Errorf("%d forms, want less than %d", len(callForms), maxForms)
	}
	table := callTable()
	for _, f := range callForms {
		if _, ok := table[f.call]; !ok || f.What >= actionsEnd || f.What == 0 && f.Changed == 0 {
			t.Errorf("form of %s: %+v", f.call, f.form)
		}
	}
}
