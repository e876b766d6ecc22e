package bus

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	benchMessage = 300 // bytes
	benchBatch   = 256 // messages a frame
)

func benchMessages() [][]byte {
	messages := make([][]byte, benchBatch)
	for i := range messages {
		messages[i] = make([]byte, benchMessage)
	}
	return messages
}

// BenchmarkPublish: one publisher and one subscriber, each with a connection
// of its own to the broker, over its Unix socket.
func BenchmarkPublish(b *testing.B) {
	broker, path := startBroker(b, Config{Access: allowAll}, nil)
	publisher, subscriber := dial(b, path), dial(b, path)
	sub, err := subscriber.Subscribe(context.Background(), "bench.#", Wait)
	if err != nil {
		b.Fatal(err)
	}
	messages := benchMessages()
	b.SetBytes(benchMessage)
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		for sent := 0; sent < b.N; sent += benchBatch {
			if err := publisher.Publish(context.Background(), "bench.messages", messages[:min(benchBatch, b.N-sent)]...); err != nil {
				b.Error(err)
				return
			}
		}
	}()
	for got := 0; got < b.N; {
		d, err := sub.Next(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		for m := range d.Messages() {
			if len(m) != benchMessage {
				b.Fatalf("message of %d bytes, want %d", len(m), benchMessage)
			}
			got++
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	if st := broker.Stats(); st.Dropped != 0 {
		b.Errorf("Dropped = %d, want 0", st.Dropped)
	}
}

// BenchmarkRequest: a 300-byte request and reply, one at a time.
func BenchmarkRequest(b *testing.B) {
	_, path := startBroker(b, Config{Access: allowAll}, func(broker *Broker) {
		if err := broker.HandleRequest("echo", func(ctx context.Context, c *Call) error { return c.Finish(ctx, c.Body) }); err != nil {
			b.Fatal(err)
		}
	})
	conn := dial(b, path)
	body := make([]byte, benchMessage)
	measureLatency(b, func() error {
		_, err := conn.Call(context.Background(), "echo", body)
		return err
	})
}

func measureLatency(b *testing.B, call func() error) {
	b.Helper()
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		start := time.Now()
		if err := call(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
}

// startNATS runs a server in this process. It has no Unix sockets: clients
// come over TCP on the loopback interface.
func startNATS(b *testing.B) (publisher, subscriber *nats.Conn) {
	b.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		StoreDir: filepath.Join(b.TempDir(), "nats"),
	})
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	b.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		b.Fatal("the NATS server is not ready")
	}
	conns := make([]*nats.Conn, 2)
	for i := range conns {
		if conns[i], err = nats.Connect(s.ClientURL()); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(conns[i].Close)
	}
	return conns[0], conns[1]
}

// BenchmarkNATSPublish is BenchmarkPublish with NATS, whose client does its
// own batching of single messages.
func BenchmarkNATSPublish(b *testing.B) {
	publisher, subscriber := startNATS(b)
	done := make(chan struct{})
	got := 0
	sub, err := subscriber.Subscribe("bench.>", func(*nats.Msg) {
		if got++; got == b.N {
			close(done)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		b.Fatal(err)
	}
	if err := subscriber.Flush(); err != nil {
		b.Fatal(err)
	}
	message := make([]byte, benchMessage)
	b.SetBytes(benchMessage)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := publisher.Publish("bench.messages", message); err != nil {
			b.Fatal(err)
		}
	}
	if err := publisher.Flush(); err != nil {
		b.Fatal(err)
	}
	<-done
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

// BenchmarkNATSRequest is BenchmarkRequest with NATS.
func BenchmarkNATSRequest(b *testing.B) {
	requester, responder := startNATS(b)
	if _, err := responder.Subscribe("echo", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		b.Fatal(err)
	}
	if err := responder.Flush(); err != nil {
		b.Fatal(err)
	}
	body := make([]byte, benchMessage)
	measureLatency(b, func() error {
		_, err := requester.Request("echo", body, time.Second)
		return err
	})
}
