package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func TestRequestErrors(t *testing.T) {
	_, path := startBroker(t, Config{Access: allowAll}, func(b *Broker) {
		_ = b.HandleRequest("own", func(context.Context, *Call) error {
			return fmt.Errorf("wrapped: %w", &Error{Code: "42703", Message: "no such column", Detail: []byte("^")})
		})
		_ = b.HandleRequest("plain", func(context.Context, *Call) error { return errors.New("disk full") })
		_ = b.HandleRequest("late", func(ctx context.Context, c *Call) error {
			if err := c.Reply(ctx, []byte("one")); err != nil {
				return err
			}
			return &Error{Code: "late", Message: "too late"}
		})
		_ = b.HandleRequest("nothing", func(context.Context, *Call) error { return nil })
		_ = b.HandleRequest("empty", func(ctx context.Context, c *Call) error { return c.Reply(ctx, nil) })
		_ = b.HandleRequest("twice", func(ctx context.Context, c *Call) error {
			if err := c.Finish(ctx, []byte("last")); err != nil {
				return err
			}
			if err := c.Reply(ctx, []byte("more")); err == nil {
				return errors.New("a reply after the last was accepted")
			}
			return nil
		})
	})
	ctx := testContext(t)
	conn := dial(t, path)
	for name, want := range map[string]Error{
		"own":   {Code: "42703", Message: "no such column", Detail: []byte("^")},
		"plain": {Code: CodeFailed, Message: "disk full"},
		"gone":  {Code: CodeNotServed, Message: `this agent does not serve "gone"`},
	} {
		_, err := conn.Call(ctx, name, nil)
		var got *Error
		if !errors.As(err, &got) || got.Code != want.Code || got.Message != want.Message || string(got.Detail) != string(want.Detail) {
			t.Errorf("Call(%q) = %#v, want %#v", name, got, want)
		}
	}
	for name, want := range map[string][]string{"late": {"one"}, "nothing": nil, "empty": {""}, "twice": {"last"}} {
		r, err := conn.Request(ctx, name, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		var body []byte
		for {
			if body, err = r.Next(ctx); err != nil {
				break
			}
			got = append(got, string(body))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || len(got) != len(want) || name == "late" && code(err) != "late" || name != "late" && err != io.EOF {
			t.Errorf("Request(%q) gave %q, then %v, want %q", name, got, err, want)
		}
	}
	if _, err := conn.Call(ctx, "No Name", nil); err == nil {
		t.Error("Call of an invalid name is accepted")
	}
}

// TestRequestCredits: a handler is never further ahead than the window.
func TestRequestCredits(t *testing.T) {
	const window, size, total = 4096, 500, 400
	var sent atomic.Int64
	_, path := startBroker(t, Config{Access: allowAll}, func(b *Broker) {
		_ = b.HandleRequest("stream", func(ctx context.Context, c *Call) error {
			for i := range total {
				if err := c.Reply(ctx, numbered(i, size-8)); err != nil {
					return err
				}
				sent.Add(1)
			}
			return nil
		})
	})
	ctx := testContext(t)
	r, err := dialAs(t, path, DialConfig{Window: window}).Request(ctx, "stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	for want := range total {
		body, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if number(body) != want {
			t.Fatalf("reply %d, want %d", number(body), want)
		}
		if ahead := int(sent.Load()) - want; ahead > window/size+2 {
			t.Fatalf("the handler is %d replies ahead, want at most %d", ahead, window/size+2)
		}
	}
	if _, err := r.Next(ctx); err != io.EOF {
		t.Errorf("Next at the end = %v, want io.EOF", err)
	}
}

// TestRequestCancel: the handler's context ends however the requester leaves.
func TestRequestCancel(t *testing.T) {
	ended := make(chan struct{})
	_, path := startBroker(t, Config{Access: allowAll}, func(b *Broker) {
		_ = b.HandleRequest("endless", func(ctx context.Context, c *Call) error {
			if err := c.Reply(ctx, []byte("started")); err != nil {
				return err
			}
			<-ctx.Done()
			ended <- struct{}{}
			return ctx.Err()
		})
		_ = b.HandleRequest("flood", func(ctx context.Context, c *Call) error {
			var err error
			for err == nil { // held back by the window until it is canceled
				err = c.Reply(ctx, make([]byte, 10_000))
			}
			ended <- struct{}{}
			return err
		})
	})
	ctx := testContext(t)
	for _, name := range []string{"endless", "flood"} {
		for _, how := range []string{"Close", "context", "connection"} {
			conn := dialAs(t, path, DialConfig{Window: 20_000})
			requestCtx, cancel := context.WithCancel(ctx)
			r, err := conn.Request(requestCtx, name, nil)
			if err == nil {
				_, err = r.Next(ctx)
			}
			if err != nil {
				t.Fatal(err)
			}
			switch how {
			case "Close":
				r.Close()
			case "context":
				cancel()
			case "connection":
				_ = conn.Close()
			}
			select {
			case <-ended:
			case <-ctx.Done():
				t.Fatalf("%s: the handler goes on after the requester's %s ended", name, how)
			}
			for err == nil {
				_, err = r.Next(ctx)
			}
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				t.Errorf("%s: Next after the requester's %s ended = %v, want an error that is not the end", name, how, err)
			}
			cancel()
		}
	}
}

// TestRequestCanceledAtOnce: a context that ends while the request is sent
// leaves nothing behind, on either side.
func TestRequestCanceledAtOnce(t *testing.T) {
	var running atomic.Int64
	_, path := startBroker(t, Config{Access: allowAll, MaxRequests: 500}, func(b *Broker) {
		_ = b.HandleRequest("endless", func(ctx context.Context, _ *Call) error {
			running.Add(1)
			defer running.Add(-1)
			<-ctx.Done()
			return ctx.Err()
		})
	})
	ctx := testContext(t)
	conn := dial(t, path)
	for range 500 {
		requestCtx, cancel := context.WithCancel(ctx)
		go cancel()
		r, err := conn.Request(requestCtx, "endless", nil)
		if err == nil {
			_, err = r.Next(ctx)
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("a request whose context ended = %v, want %v", err, context.Canceled)
		}
	}
	conn.mu.Lock()
	left := len(conn.requests)
	conn.mu.Unlock()
	if left > 0 {
		t.Errorf("%d canceled requests are still waited for", left)
	}
	for running.Load() > 0 {
		if ctx.Err() != nil {
			t.Fatalf("%d handlers go on", running.Load())
		}
		runtime.Gosched()
	}
}

// TestMultiplex has many requests and messages on one connection at once.
func TestMultiplex(t *testing.T) {
	_, path := startBroker(t, Config{Access: allowAll, MaxRequests: 64}, echo)
	ctx := testContext(t)
	conn := dial(t, path)
	sub, err := conn.Subscribe(ctx, "a", Wait)
	if err != nil {
		t.Fatal(err)
	}
	const workers, each = 8, 200
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				body := fmt.Append(nil, w, "/", i)
				got, err := conn.Call(ctx, "echo", body)
				if err != nil || string(got) != string(body) {
					t.Errorf("echo of %q = %q, %v", body, got, err)
					return
				}
				if err := conn.Publish(ctx, "a", body); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := 0; n < workers*each; n++ {
		if _, err := sub.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}
