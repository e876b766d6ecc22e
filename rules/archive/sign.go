package archive

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Reasons not to trust a pack.
var (
	ErrUnsigned  = errors.New("the pack is not signed")
	ErrUntrusted = errors.New("the pack is signed by none of the trusted keys")
)

var keyNameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@/-]{0,63}$`)

// GenerateKey makes a key pair for somebody of that name. The private key
// begins with PRIVATE+KEY.
func GenerateKey(name string) (private, public string, err error) {
	if !keyNameForm.MatchString(name) {
		return "", "", fmt.Errorf("%q is no name of a key: at most 64 of letters, digits, '.', '_', '@', '/' and '-', and a letter or digit first", name)
	}
	return note.GenerateKey(rand.Reader, name)
}

// CheckKey returns an error when text is not a public key.
func CheckKey(text string) error {
	_, err := verifier(text)
	return err
}

func verifier(key string) (note.Verifier, error) {
	v, err := note.NewVerifier(strings.TrimSpace(key))
	if err != nil {
		return nil, errors.New("not a public key, which is written NAME+HASH+BASE64")
	}
	return v, nil
}

// Sign adds a signature by a private key. A signature by the same key, which
// would be the same, is not added again.
func (p *Pack) Sign(private string) error {
	signer, err := note.NewSigner(strings.TrimSpace(private))
	if err != nil {
		return errors.New("not a private key, which begins with PRIVATE+KEY")
	}
	signed, err := note.Sign(&note.Note{Text: string(p.text)}, signer)
	if err != nil {
		return err
	}
	line := signed[len(p.text)+1:]
	if bytes.Contains(p.signatures, line) {
		return nil
	}
	if len(p.signatures)+len(line) > maxSignatures {
		return errors.New("the pack has too many signatures")
	}
	p.signatures = append(slices.Clone(p.signatures), line...)
	return nil
}

// Verify returns the name of the first of the public keys that has signed the
// pack. A signature that claims to be by one of them and is not is an error,
// whatever others there are.
func (p *Pack) Verify(keys []string) (signer string, err error) {
	if len(p.signatures) == 0 {
		return "", ErrUnsigned
	}
	var known []note.Verifier
	for _, key := range keys {
		v, err := verifier(key)
		if err != nil {
			return "", fmt.Errorf("key %q: %w", key, err)
		}
		if !slices.ContainsFunc(known, func(k note.Verifier) bool { return k.Name() == v.Name() && k.KeyHash() == v.KeyHash() }) {
			known = append(known, v)
		}
	}
	n, err := note.Open(slices.Concat(p.text, []byte("\n"), p.signatures), note.VerifierList(known...))
	var unknown *note.UnverifiedNoteError
	switch {
	case errors.As(err, &unknown):
		return "", ErrUntrusted
	case err != nil:
		return "", fmt.Errorf("the signature is not good: %w", err)
	case n.Text != string(p.text):
		return "", errors.New("the signature is not good: it is of another text")
	}
	return n.Sigs[0].Name, nil
}
