package ruleset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"daemoneye/platform"
)

// Rollback says that an earlier set is in force, whatever the directories of
// rules hold, until it is ended.
type Rollback struct {
	Set  uint64    `json:"set"`
	Time time.Time `json:"time"` // since when
	UID  int       `json:"uid"`  // of who did it
}

func rollbackFile(dir string) string { return filepath.Join(dir, "rollback.json") }

// ReadRollback reads what is in force beside the store in dir; nil: nothing was
// rolled back.
func ReadRollback(dir string) (*Rollback, error) {
	path := rollbackFile(dir)
	data, err := platform.ReadRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	r := &Rollback{}
	if err == nil {
		err = json.Unmarshal(data, r)
	}
	if err == nil && r.Set == 0 {
		err = errors.New("it names no set")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return r, nil
}

// Write replaces the file, which after a crash is the old or the new one.
func (r *Rollback) Write(dir string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return platform.ReplaceFile(rollbackFile(dir), append(data, '\n'), 0o640, true)
}

// EndRollback removes what Write wrote.
func EndRollback(dir string) error {
	err := os.Remove(rollbackFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
