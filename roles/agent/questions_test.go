package agent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
)

// connectionsOf is a batch of network_connections with a row for each port.
func connectionsOf(ports ...int64) []byte {
	b := event.NewBuilder(event.Lookup("network_connections"))
	for _, p := range ports {
		b.Column("collection_time").Time(time.Unix(1, 0))
		for _, name := range []string{"source", "protocol", "address_family", "state"} {
			b.Column(name).Text("x")
		}
		b.Column("local_port").Int(p)
		b.Column("open").Bool(true)
		b.EndRow()
	}
	return event.Encode(nil, b.Batch())
}

// A query asks the collector once and reads what it answers; what goes wrong
// there is its error.
func TestQuestions(t *testing.T) {
	r := newRunning(t)
	r.dial()
	conn, err := bus.Dial(t.Context(), r.config.Paths.Socket, bus.DialConfig{Token: &r.token})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	questions, err := conn.Request(t.Context(), api.CollectorQuestions, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := func(part api.Answer) error {
		t.Helper()
		body, err := msgpack.Marshal(&part)
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Call(t.Context(), api.CollectorAnswer, body)
		return err
	}
	asked := func() uint64 {
		t.Helper()
		body, err := questions.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var q api.Question
		if err := msgpack.Unmarshal(body, &q); err != nil {
			t.Fatal(err)
		}
		return q.ID
	}
	type result struct {
		cells, incomplete []string
		err               error
	}
	query := func() <-chan result {
		out := make(chan result, 1)
		go func() {
			cells, incomplete, err := r.query("SELECT a.local_port FROM network_connections a JOIN network_connections b USING (local_port)")
			out <- result{cells, incomplete, err}
		}()
		return out
	}

	q := query()
	id := asked()
	if err := answer(api.Answer{ID: id + 1, Done: true}); err == nil {
		t.Error("an answer to no question is taken")
	}
	for _, part := range []api.Answer{{ID: id, Batch: connectionsOf(1, 2)}, {ID: id, Batch: connectionsOf(3)}, {ID: id, Done: true, Left: 7}} {
		if err := answer(part); err != nil {
			t.Fatal(err)
		}
	}
	got := <-q
	if got.err != nil || len(got.cells) != 3 || len(got.incomplete) != 1 || !strings.Contains(got.incomplete[0], "7 were left out") {
		t.Errorf("%+v, want 3 rows and that 7 are missing", got)
	}

	for name, wrong := range map[string]api.Answer{
		"no eBPF": {Done: true, Error: "no eBPF"},
		"decode":  {Batch: []byte("x"), Done: true},
		"table":   {Batch: event.Encode(nil, gapRow("a", "b", "bus", "c", time.Unix(1, 0), time.Unix(2, 0), 1)), Done: true},
	} {
		q := query()
		wrong.ID = asked()
		if err := answer(wrong); err != nil {
			t.Fatal(err)
		}
		if got := <-q; got.err == nil || !strings.Contains(got.err.Error(), name) {
			t.Errorf("%s: %+v", name, got)
		}
	}

	q = query()
	asked()
	_ = conn.Close()
	if got := <-q; got.err == nil || !strings.Contains(got.err.Error(), "the collector went away") {
		t.Errorf("%+v, want that the collector went away", got)
	}
}

// An answer is bounded, in time and in bytes.
func TestQuestionsBounds(t *testing.T) {
	q := newQuestions()
	q.timeout = time.Millisecond
	if _, err := q.connections(t.Context()); err == nil || !strings.Contains(err.Error(), "the collector does not answer") {
		t.Errorf("error %v, want that nobody answers", err)
	}
	q = newQuestions()
	gathered := make(chan error, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		_, err := q.connections(ctx)
		gathered <- err
	}()
	id := (<-q.asked).ID
	if err := q.add(&api.Answer{ID: id, Batch: make([]byte, api.MaxConnectionBytes)}); err != nil {
		t.Fatal(err)
	}
	if err := q.add(&api.Answer{ID: id, Batch: make([]byte, 1)}); err == nil {
		t.Error("a larger answer is taken")
	}
	given := errors.New("given up")
	cancel(given)
	if err := <-gathered; !errors.Is(err, given) {
		t.Errorf("error %v, want %v", err, given)
	}
}
