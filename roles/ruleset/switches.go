// Package ruleset keeps, in files beside the store, what operators have decided
// about rules and what outlasts a restart.
package ruleset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"daemoneye/platform"
)

// Switches are the rules that operators have switched on and off, by id.
type Switches map[string]Switch

// Switch is what became of one rule.
type Switch struct {
	Enabled bool      `json:"enabled"`
	Time    time.Time `json:"time"`
	UID     int       `json:"uid"` // of who did it
}

// MaxSwitches bounds Switches.
const MaxSwitches = 10_000

func switchFile(dir string) string { return filepath.Join(dir, "rules.json") }

// ReadSwitches reads the switches beside the store in dir. A file that is not
// there is empty, as is the answer with an error.
func ReadSwitches(dir string) (Switches, error) {
	path := switchFile(dir)
	data, err := platform.ReadRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Switches{}, nil
	}
	s := Switches{}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return Switches{}, fmt.Errorf("read %s: %w", path, err)
	}
	if s == nil { // the file has null
		s = Switches{}
	}
	return s, nil
}

// Write replaces the file, which after a crash is the old or the new one.
func (s Switches) Write(dir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return platform.ReplaceFile(switchFile(dir), append(data, '\n'), 0o640, true)
}

// Enabled is what rules.LoadConfig wants to know.
func (s Switches) Enabled() map[string]bool {
	list := make(map[string]bool, len(s))
	for id, state := range s {
		list[id] = state.Enabled
	}
	return list
}
