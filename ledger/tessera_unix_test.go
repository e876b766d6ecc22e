//go:build unix

package ledger

import (
	"context"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

// What BenchmarkAppend64 does, by Tessera.
func BenchmarkAppend64Tessera(b *testing.B) {
	for _, age := range []time.Duration{time.Millisecond, 10 * time.Millisecond} {
		b.Run("tessera-"+age.String(), func(b *testing.B) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			private, _, err := note.GenerateKey(rand.Reader, "example.com/log")
			if err != nil {
				b.Fatal(err)
			}
			signer, err := note.NewSigner(private)
			if err != nil {
				b.Fatal(err)
			}
			driver, err := posix.New(ctx, posix.Config{Path: benchTemp(b)})
			if err != nil {
				b.Fatal(err)
			}
			// A batch is full with an entry of each writer.
			o := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithBatching(writers, age).WithCheckpointInterval(time.Second)
			log, shutdown, _, err := tessera.NewAppender(ctx, driver, o)
			if err != nil {
				b.Fatal(err)
			}
			parallel(b, writers, func(i int) error {
				e := benchFact(i)
				_, err := log.Add(ctx, tessera.NewEntry(e.appendHeader(slices.Clone(e.Payload))))()
				return err
			})
			if err := shutdown(ctx); err != nil {
				b.Fatal(err)
			}
		})
	}
}
