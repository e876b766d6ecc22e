package agent

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"daemoneye/bus"
	"daemoneye/platform"
	"daemoneye/roles/handoff"
)

// tokenFile is the token of an agent without a supervisor, for the collector
// that is started by hand. It is written once the store is locked, so that a
// second agent which is refused leaves the first one's alone.
type tokenFile struct {
	path string
	key  []byte
}

// writeToken makes a new token and writes it. What an agent that was killed
// left there is replaced.
func writeToken(path string) (*tokenFile, error) {
	t := &tokenFile{path: path, key: make([]byte, len(bus.Token{}))}
	_, _ = rand.Read(t.key) // it never fails
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("make %q: %w", filepath.Dir(path), err)
	}
	// A new file, so that the mode is ours and nobody has the old one open.
	if err := platform.ReplaceFile(path, t.text(), 0o600, false); err != nil {
		return nil, fmt.Errorf("write token: %w", err)
	}
	return t, nil
}

func (t *tokenFile) text() []byte { return []byte(hex.EncodeToString(t.key) + "\n") }

// remove removes the file if it still holds this token.
func (t *tokenFile) remove() error {
	if text, err := os.ReadFile(t.path); err != nil || !bytes.Equal(text, t.text()) {
		return nil
	}
	if err := os.Remove(t.path); err != nil {
		return fmt.Errorf("remove token: %w", err)
	}
	return nil
}

// allowFile admits one collector that has the token of the file. The first one
// to come has it until its connection ends; then another one may come.
func (a *agent) allowFile() {
	if a.token != nil {
		a.allow(handoff.Token{Key: a.token.key})
	}
}

func (a *agent) closeToken() {
	if a.token == nil {
		return
	}
	if err := a.token.remove(); err != nil {
		a.log.Warn("token", zap.Error(err))
	}
}
