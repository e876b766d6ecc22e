package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"

	"daemoneye/bus/event"
)

const (
	formatFile    = "FORMAT"
	formatName    = "daemoneye store"
	formatVersion = 2 // 1 had no segments
	dbDir         = "db"
)

// checkFormat compares FORMAT with this build, and writes it in a new store;
// old says that it names a version before this build's.
func checkFormat(dir string, readOnly bool) (old bool, err error) {
	path := filepath.Join(dir, formatFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && !readOnly {
		if _, err := os.Stat(filepath.Join(dir, dbDir)); err == nil {
			return false, fmt.Errorf("%w: %s is missing beside %s; %s", ErrCorrupt, path, dbDir, whatToDo)
		}
		return false, writeFormat(path)
	}
	if err != nil {
		return false, err
	}
	number, ok := strings.CutPrefix(strings.TrimSpace(string(text)), formatName+" ")
	version, err := strconv.Atoi(number)
	switch {
	case !ok || err != nil || version < 1:
		return false, fmt.Errorf("%w: %s is not a format line of a store; %s", ErrCorrupt, path, whatToDo)
	case version > formatVersion:
		return false, fmt.Errorf("%w: format %d, this build reads up to %d; use the build that wrote it or a later one", ErrVersion, version, formatVersion)
	}
	return version < formatVersion, nil
}

func writeFormat(path string) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %d\n", formatName, formatVersion)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// checkFiles looks at Badger's files before Badger does. It removes or shields
// what a crash can leave behind and Badger trips over (a reader may not: its
// error is errUnclean), and refuses what Badger would "repair" by deleting data.
func checkFiles(path string, readOnly bool) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) && readOnly {
		return ErrNotExist
	}
	if err != nil {
		return err
	}
	var logs []string
	hasManifest, hasData := false, false
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		name := filepath.Join(path, e.Name())
		switch ext := filepath.Ext(e.Name()); {
		case e.Name() == badger.ManifestFilename:
			hasManifest = true
		case ext == ".vlog":
			logs = append(logs, name)
			hasData = hasData || info.Size() > valueLogHeader
		case ext == ".sst":
			hasData = true
		// A write-ahead log that was not set up yet holds nothing.
		case ext == ".mem" && info.Size() < valueLogHeader:
			err = removeLeftover(name, readOnly)
		// DISCARD is only a hint; Badger indexes into it without looking at its size.
		case e.Name() == "DISCARD" && (info.Size() < 1<<20 || info.Size()%16 != 0):
			err = removeLeftover(name, readOnly)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case hasManifest:
		if err := checkTables(path); err != nil {
			return err
		}
	case hasData:
		return damaged(filepath.Join(path, badger.ManifestFilename), errors.New("it is missing"))
	case readOnly:
		return ErrNotExist
	}
	return checkLogs(logs, readOnly)
}

// removeLeftover removes a file that a crash left half made.
func removeLeftover(name string, readOnly bool) error {
	if readOnly {
		return fmt.Errorf("%w: %s is half made", errUnclean, name)
	}
	return os.Remove(name)
}

// damaged says in one line what is wrong with a file: Badger's errors may have
// many, and repeat themselves.
func damaged(file string, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return err
	}
	text, _, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
	return fmt.Errorf("%w: %s: %s; %s", ErrCorrupt, file, strings.TrimRight(event.CutText(text, 200), " :"), whatToDo)
}

// checkTables reads MANIFEST and verifies every table that it lists. Badger
// goes on without a table whose checksum is wrong.
func checkTables(path string) (err error) {
	name := filepath.Join(path, badger.ManifestFilename)
	defer func() {
		if r := recover(); r != nil {
			err = damaged(name, fmt.Errorf("%v", r))
		}
	}()
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := checkManifestSize(path, info); err != nil {
		return err
	}
	manifest, _, err := badger.ReplayManifestFile(f, 0, badger.Options{Logger: &badgerLog{log: nopLog()}})
	if err != nil {
		return damaged(name, err)
	}
	for id := range manifest.Tables {
		name = table.NewFilename(id, path)
		if err := checkTable(name); err != nil {
			return damaged(name, err)
		}
	}
	return nil
}

// checkLogs looks at the value log files. Only the newest can be half written.
func checkLogs(logs []string, readOnly bool) error {
	slices.Sort(logs)
	for i, name := range logs {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		last := i == len(logs)-1
		switch {
		case info.Size() >= valueLogHeader && (!last || readOnly):
		case info.Size() >= valueLogHeader:
			if err := shieldLog(name); err != nil {
				return err
			}
		case !last:
			return damaged(name, fmt.Errorf("%d bytes long, too short for a value log file", info.Size()))
		default: // created, and nothing written yet
			if err := removeLeftover(name, readOnly); err != nil {
				return err
			}
		}
	}
	return nil
}

// valueLogHeader is the length of a value log file's header: key id, IV.
const valueLogHeader = 20

// shieldLog keeps Badger from cutting the newest value log file off at the
// first damaged entry when there is more behind it: Badger only does so to the
// newest, so an empty one is put after it.
func shieldLog(name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	rest := data[valueLogHeader:]
	for {
		n := entryLen(rest)
		if n == 0 {
			break
		}
		rest = rest[n:]
	}
	if len(bytes.TrimLeft(rest, "\x00")) == 0 {
		return nil
	}
	number, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(name), ".vlog"), 10, 32)
	if err != nil {
		return damaged(name, errors.New("its name is not a number"))
	}
	next := filepath.Join(filepath.Dir(name), fmt.Sprintf("%06d.vlog", number+1))
	return os.WriteFile(next, make([]byte, valueLogHeader), 0o640)
}

// entryLen returns the length of the value log entry at the start of b, or 0
// when there is no valid one: two meta bytes, uvarints of the lengths of key
// and value and of the expiry, key, value, CRC-32C.
func entryLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	at := 2
	var fields [3]uint64
	for i := range fields {
		n, size := binary.Uvarint(b[at:])
		if size <= 0 {
			return 0
		}
		fields[i] = n
		at += size
	}
	if fields[0] == 0 || fields[0] > uint64(len(b)) || fields[1] > uint64(len(b)) {
		return 0
	}
	end := at + int(fields[0]) + int(fields[1])
	if end+crc32.Size > len(b) {
		return 0
	}
	if crc32.Checksum(b[:end], crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(b[end:]) {
		return 0
	}
	return end + crc32.Size
}

// checkTable verifies all of a table's checksums.
func checkTable(name string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if len(data) < 16 {
		return fmt.Errorf("%d bytes long", len(data))
	}
	t, err := table.OpenInMemoryTable(data, 0, &table.Options{ReadOnly: true, ChkMode: options.OnTableAndBlockRead})
	if err != nil {
		return err
	}
	return t.VerifyChecksum()
}
