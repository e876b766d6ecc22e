package procfs

import (
	"bytes"
	"fmt"
	"os"
	"time"
)

const (
	passwdPath  = "/etc/passwd"
	passwdLimit = 4 << 20
)

// ParsePasswd returns the names by user id of a passwd(5) file; the first name
// of an id wins, as it does for getpwuid(3).
func ParsePasswd(b []byte) map[uint32]string {
	names := make(map[uint32]string)
	for line := range bytes.Lines(b) {
		f := bytes.SplitN(bytes.TrimSpace(line), []byte(":"), 4)
		if len(f) < 4 || len(f[0]) == 0 || f[0][0] == '#' {
			continue
		}
		id, ok := parseUint(f[2])
		if !ok || id > 1<<32-1 {
			continue
		}
		if _, dup := names[uint32(id)]; !dup {
			names[uint32(id)] = string(f[0])
		}
	}
	return names
}

// ReadPasswd returns /etc/passwd, unless it is too large.
func ReadPasswd() ([]byte, error) {
	info, err := os.Stat(passwdPath)
	if err != nil {
		return nil, err
	}
	if info.Size() > passwdLimit {
		return nil, fmt.Errorf("%q has %d bytes", passwdPath, info.Size())
	}
	return os.ReadFile(passwdPath)
}

// userNames keeps /etc/passwd's names and reads the file again when it has
// changed. Names from a directory service are not known: asking for one may
// need the network, which the collector does not use.
type userNames struct {
	names    map[uint32]string
	modified time.Time
	size     int64
	text     []byte // that somebody else has read
}

func (u *userNames) refresh() {
	info, err := os.Stat(passwdPath)
	if err != nil || info.ModTime().Equal(u.modified) && info.Size() == u.size {
		return
	}
	raw, err := ReadPasswd()
	if err != nil {
		return
	}
	u.names, u.modified, u.size = ParsePasswd(raw), info.ModTime(), info.Size()
}

// take takes up what somebody else has read.
func (u *userNames) take(text []byte) {
	if len(text) > 0 && !bytes.Equal(text, u.text) {
		u.names, u.text = ParsePasswd(text), text
	}
}
