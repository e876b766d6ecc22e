package handoff

import (
	"bytes"
	"context"
	"os"
	"reflect"
	"testing"
)

func pair(t *testing.T) (*Parent, *os.File) {
	t.Helper()
	p, f, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(); _ = f.Close() })
	return p, f
}

func TestStartTokensEnd(t *testing.T) {
	p, f := pair(t)
	want := Start{Config: []byte("{}"), Token: Token{Key: bytes.Repeat([]byte{7}, 32), PID: 9}, Dirs: map[string]int{"/x": 4}, Print: true}
	if err := p.Start(want); err != nil {
		t.Fatal(err)
	}
	c, got, err := receive(f)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("start = %+v, want %+v", got, want)
	}
	if err := p.Token(Token{Key: []byte{1}, PID: 10}); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	var tokens []int
	if err := c.Follow(context.Background(), func(t Token) { tokens = append(tokens, t.PID) }); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(tokens, []int{10}) {
		t.Errorf("tokens of pids %v, want [10]", tokens)
	}
}

func TestFollowEndsWithContext(t *testing.T) {
	p, f := pair(t)
	if err := p.Start(Start{}); err != nil {
		t.Fatal(err)
	}
	c, _, err := receive(f)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Follow(ctx, nil); err != nil {
		t.Errorf("Follow = %v, want nil", err)
	}
}

func TestBadFirstMessage(t *testing.T) {
	for _, in := range []string{"", "{}\n", "{\"token\":{}}\n", "nonsense\n", "{\"start\":"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteString(in); err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		if _, _, err := receive(r); err == nil {
			t.Errorf("%q was accepted", in)
		}
		_ = r.Close()
	}
}
