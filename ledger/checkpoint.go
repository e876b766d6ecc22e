package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// maxNote bounds a checkpoint with its signatures, in bytes.
const maxNote = 64 << 10

// A Checkpoint is the head of a tree, in C2SP tlog-checkpoint form the text of
// a signed note.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   Hash
}

// Text returns what is signed.
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
}

// parseCheckpoint reads what [Checkpoint.Text] makes, and nothing else: the
// extension lines that C2SP allows are refused.
func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] == "" || lines[3] != "" {
		return Checkpoint{}, errors.New("checkpoint: want one, with the lines origin, size, root")
	}
	size, err := parseSize(lines[1])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	root, err := ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	return Checkpoint{lines[0], size, root}, nil
}

// parseSize reads a decimal number below 2^63 without leading zeros.
func parseSize(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > math.MaxInt64 || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("size %.30q: want a decimal number", s)
	}
	return n, nil
}

// OpenCheckpoint reads a signed checkpoint. One of the public keys must have
// signed it, and bear the name of its origin.
func OpenCheckpoint(signed []byte, publicKeys ...string) (Checkpoint, error) {
	c, n, err := readNote(signed, publicKeys)
	if err != nil {
		return c, err
	}
	for _, s := range n.Sigs {
		if s.Name == c.Origin {
			return c, nil
		}
	}
	return c, fmt.Errorf("the checkpoint is of %q, which did not sign it", c.Origin)
}

// readNote opens a signed checkpoint with keys of a log or of witnesses. With
// keys that did not sign it the error is a *note.UnverifiedNoteError, and the
// checkpoint is still returned.
func readNote(signed []byte, publicKeys []string) (Checkpoint, *note.Note, error) {
	if len(signed) > maxNote {
		return Checkpoint{}, nil, fmt.Errorf("checkpoint of %d bytes, the limit is %d", len(signed), maxNote)
	}
	verifiers, err := verifiersOf(publicKeys)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	n, openErr := note.Open(signed, verifiers)
	var none *note.UnverifiedNoteError
	if errors.As(openErr, &none) {
		n = none.Note
	} else if openErr != nil {
		return Checkpoint{}, nil, fmt.Errorf("checkpoint: %w", openErr)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return c, nil, err
	}
	for _, s := range append(n.Sigs, n.UnverifiedSigs...) {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return c, nil, fmt.Errorf("checkpoint: signature by %q: %w", s.Name, err)
		}
	}
	if openErr != nil {
		return c, n, fmt.Errorf("checkpoint: another key has signed it, such as one from before or after a rotation: %w", openErr)
	}
	return c, n, nil
}

func verifiersOf(publicKeys []string) (note.Verifiers, error) {
	list := make([]note.Verifier, 0, len(publicKeys))
	for _, k := range publicKeys {
		v, err := newVerifier(k)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return note.VerifierList(list...), nil
}

// newVerifier reads a public key: "name+hash+base64", as the signed note
// format has it, of type 1 (Ed25519) or 4 (cosignature/v1).
func newVerifier(publicKey string) (note.Verifier, error) {
	if v, err := newWitness(publicKey); err == nil {
		return v, nil
	}
	v, err := note.NewVerifier(publicKey)
	if err != nil {
		return nil, fmt.Errorf("public key %.200q: %w", publicKey, err)
	}
	return v, nil
}

// algCosignature is the type byte of a key for C2SP tlog-cosignature's
// cosignature/v1.
const algCosignature = 4

// A witness is a note.Verifier for cosignature/v1.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newWitness(publicKey string) (*witness, error) {
	parts := strings.SplitN(publicKey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("want name+hash+key")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	if len(raw) != 1+ed25519.PublicKeySize || raw[0] != algCosignature || parts[0] == "" {
		return nil, errors.New("want a key of type 4")
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), raw...))
	w := &witness{parts[0], binary.BigEndian.Uint32(sum[:]), raw[1:]}
	if fmt.Sprintf("%08x", w.hash) != parts[1] {
		return nil, errors.New("the key has another hash")
	}
	return w, nil
}

func (w *witness) Name() string    { return w.name }
func (w *witness) KeyHash() uint32 { return w.hash }

func (w *witness) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	return at <= math.MaxInt64 && ed25519.Verify(w.key, cosigned(at, text), sig[8:])
}

// cosigned is what a witness signs at a time, in Unix seconds.
func cosigned(at uint64, text []byte) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text)
}
