// Package ledger is an append-only Merkle log of what DaemonEye decided, which
// a third party can check without trusting the host.
//
// The tree is RFC 6962's with BLAKE3-256, its tiles are those of C2SP
// tlog-tiles (height 8), its checkpoints those of C2SP tlog-checkpoint, signed
// with Ed25519. docs/ledger.md gives every format exactly.
//
// One process writes: [Open], [Log.Append]. An append is acknowledged when its
// entries are on disk; those who wait at the same time share one fsync. Hash
// tiles follow behind and become durable with the next checkpoint, before it;
// after a crash the entries after the newest checkpoint are read again.
//
// Others read ([OpenReader]), prove ([Reader.ProveInclusion]) and verify
// ([Verify], [ParseProof]) with nothing but the files.
package ledger
