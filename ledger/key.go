package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/zeebo/blake3"
	"golang.org/x/mod/sumdb/note"
)

// The actions that only the ledger itself records. The subject is the public
// key; the payload of a rotation is a note that the old and new key signed.
const (
	ActionKeyCreated = "ledger.key.created" // entry 0
	ActionKeyRotated = "ledger.key.rotated"
)

const (
	reservedActions = "ledger.key."
	rotationHeader  = "daemoneye-ledger-key-rotation/v1"
	// maxKeyPayload bounds the payload of these actions, in bytes.
	maxKeyPayload = 4096
)

// A key signs checkpoints. Its file holds it as signed notes have it:
// "PRIVATE+KEY+origin+hash+base64".
type key struct {
	note.Signer
	private string
	public  string
}

// newKey makes a key for the origin, or one whose origin names the key.
func newKey(origin string) (*key, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	if origin == "" {
		sum := blake3.Sum256(public)
		origin = "daemoneye/ledger/" + hex.EncodeToString(sum[:8])
	}
	return keyOf(origin, private)
}

func keyOf(origin string, private ed25519.PrivateKey) (*key, error) {
	if err := checkOrigin(origin); err != nil {
		return nil, err
	}
	public, err := note.NewEd25519VerifierKey(origin, private.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	id := public[:len(origin)+len("+01234567")]
	text := "PRIVATE+KEY+" + id + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, private.Seed()...))
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, err
	}
	return &key{signer, text, public}, nil
}

func checkOrigin(origin string) error {
	if origin == "" || len(origin) > 255 || strings.ContainsFunc(origin, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == '+' || r == unicode.ReplacementChar
	}) || origin == rotationHeader {
		return fmt.Errorf("origin %.300q: want up to 255 characters without spaces and \"+\"", origin)
	}
	return nil
}

// parseKey reads a key's file, and nothing that differs from it.
func parseKey(text []byte) (*key, error) {
	s := strings.TrimSuffix(string(text), "\n")
	signer, err := note.NewSigner(s)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	seed, err := base64.StdEncoding.DecodeString(s[len("PRIVATE+KEY+"+signer.Name()+"+01234567+"):])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return nil, errors.New("private key: malformed")
	}
	k, err := keyOf(signer.Name(), ed25519.NewKeyFromSeed(seed[1:]))
	if err != nil {
		return nil, err
	}
	if k.private+"\n" != string(text) {
		return nil, errors.New("private key: not as it was written")
	}
	return k, nil
}

func readKey(name string) (*key, error) {
	text, err := readFile(name, nil, maxNote)
	if err != nil {
		return nil, err
	}
	k, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}

func (k *key) write(name string) error {
	return replace(name, []byte(k.private+"\n"), keyMode)
}

// sign returns the signed checkpoint.
func (k *key) sign(c Checkpoint) ([]byte, error) {
	return note.Sign(&note.Note{Text: c.Text()}, k)
}

func rotationText(origin string, sequence uint64, publicKey string) string {
	return fmt.Sprintf("%s\n%s\n%d\n%s\n", rotationHeader, origin, sequence, publicKey)
}

// rotation returns the entry that puts next in the place of k.
func (k *key) rotation(actor Actor, sequence uint64, next *key) (Entry, error) {
	text, err := note.Sign(&note.Note{Text: rotationText(k.Name(), sequence, next.public)}, k, next)
	if err != nil {
		return Entry{}, err
	}
	payload, err := msgpack.Marshal(string(text))
	if err != nil {
		return Entry{}, err
	}
	return Entry{Actor: actor, Action: ActionKeyRotated, Subject: next.public, Payload: payload}, nil
}

// A Key is a public key and when it came into force.
type Key struct {
	Public string // "origin+hash+base64", as signed notes have it
	Since  uint64 // sequence of the entry that records it; it signs larger trees
}

// nextKey checks that e records a key in a log whose keys so far are known.
func nextKey(known []Key, e *Entry) (Key, error) {
	next := Key{e.Subject, e.Sequence}
	v, err := note.NewVerifier(e.Subject)
	if err != nil {
		return next, fmt.Errorf("public key %.200q: %w", e.Subject, err)
	}
	if e.Action == ActionKeyCreated {
		if e.Sequence != 0 {
			return next, errors.New("a second first key")
		}
		return next, nil
	}
	if len(known) == 0 {
		return next, errors.New("a key rotated before the first one")
	}
	old, err := note.NewVerifier(known[len(known)-1].Public)
	if err != nil {
		return next, err
	}
	if v.Name() != old.Name() {
		return next, fmt.Errorf("the new key is of %q, the old one of %q", v.Name(), old.Name())
	}
	var text string
	if err := msgpack.Unmarshal(e.Payload, &text); err != nil {
		return next, fmt.Errorf("rotation: %w", err)
	}
	n, err := note.Open([]byte(text), note.VerifierList(old, v))
	if err != nil {
		return next, fmt.Errorf("rotation: %w", err)
	}
	if len(n.Sigs) != 2 || n.Text != rotationText(old.Name(), e.Sequence, e.Subject) {
		return next, errors.New("rotation: the old and new key must have signed this change")
	}
	return next, nil
}

// inForce returns the key that signs a tree of the size.
func inForce(keys []Key, size uint64) (Key, bool) {
	for i := len(keys) - 1; i >= 0; i-- {
		if keys[i].Since < size {
			return keys[i], true
		}
	}
	return Key{}, false
}

func removeIfThere(name string) error {
	if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
