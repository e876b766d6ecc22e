package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/roles/api"
)

// lowThreads counts the threads of this process that have a lower priority.
func lowThreads(t *testing.T) int {
	t.Helper()
	list, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range list {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// Field 19, proc(5); the name before may hold anything.
		if f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:])); f[16] == "15" {
			n++
		}
	}
	return n
}

// A query runs on threads of lower priority than ingest, which end with it.
func TestQueryRunsInBackground(t *testing.T) {
	r := newRunning(t)
	body, err := msgpack.Marshal(api.QueryRequest{SQL: "SELECT count(*) FROM generate_series(1, 1000000000)"})
	if err != nil {
		t.Fatal(err)
	}
	await := func(what string, done func(n int) bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !done(lowThreads(t)); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d threads have a lower priority, want %s", lowThreads(t), what)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	replies, err := r.dial().Request(ctx, api.Query, body)
	if err != nil {
		t.Fatal(err)
	}
	defer replies.Close()
	await("one, of the query", func(n int) bool { return n > 0 })
	cancel()
	replies.Close()
	await("none, since the query was cancelled", func(n int) bool { return n == 0 })
}
