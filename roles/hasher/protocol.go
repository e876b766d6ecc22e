// Package hasher is the role "procmond hasher": the only process that keeps a
// privilege once the monitor runs. It reads and hashes for the collector, whose
// child it is, what only a privileged process may read, and nothing else.
//
// The two share a socket pair. There are two requests: hash the executable of a
// process, and read files of /proc of some processes. A process is named by its
// number and a file by a number, see procfs.File: no path is ever said. What is
// not such a request, or too large, or one too many, ends the hasher; an answer
// that is not what was asked for ends the collector.
//
// A message is the length of its body (4 bytes), its id (4) and its kind (1),
// then the body; numbers are little endian. An answer has id and kind of its
// request.
//
//	hash  pid (4), device, inode, size, mtime, ctime, most bytes, bytes per second (8 each)
//	      → result (1), bytes read (8), SHA-256 (32) and BLAKE3 (32) if the result is 0
//	read  files (4), most bytes of a command line (4) and of an environment (4), pids (4 each)
//	      → records, see procfs.Reader
//	read  0, 0, 0
//	      → the pids of all processes (4 each)
//	read  1, 0, 0
//	      → /etc/passwd, which everybody may read but who has no file system
package hasher

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"daemoneye/platform/procfs"
)

// Name is the role's name after procmond's, and how it appears in ps.
const Name = "hasher"

const (
	kindHash = 1
	kindRead = 2

	headerSize  = 9
	hashSize    = 4 + 7*8
	answerSize  = 1 + 8 + 2*32
	readSize    = 12
	maxRequest  = readSize + 4*procfs.MaxAsk
	maxRequests = 8       // that wait for their answers
	maxPIDs     = 1 << 20 // of all processes
	maxPasswd   = 4 << 20 // bytes

	// What is asked for in place of files of processes.
	wantPIDs   procfs.FileSet = 0
	wantPasswd procfs.FileSet = 1

	// enough is how many bytes of records are sent, and those of one process more.
	enough = 256 << 10
)

type header struct {
	size, id uint32
	kind     byte
}

// readHeader returns io.EOF if nothing more comes.
func readHeader(r io.Reader) (h header, err error) {
	var b [headerSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return h, err
	}
	return header{binary.LittleEndian.Uint32(b[:]), binary.LittleEndian.Uint32(b[4:]), b[8]}, nil
}

// appendHeader begins a message; finish sets its length.
func appendHeader(dst []byte, kind byte, id uint32) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, id)
	return append(dst, kind)
}

func finish(message []byte) []byte {
	binary.LittleEndian.PutUint32(message, uint32(len(message)-headerSize))
	return message
}

func appendHash(dst []byte, e procfs.Executable) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(e.PID))
	for _, n := range [...]uint64{
		e.ID.Device, e.ID.Inode, uint64(e.ID.Size), uint64(e.ID.Mtime), uint64(e.ID.Ctime), uint64(e.MaxFile), uint64(e.Rate),
	} {
		dst = binary.LittleEndian.AppendUint64(dst, n)
	}
	return dst
}

func parseHash(b []byte) (e procfs.Executable, err error) {
	if len(b) != hashSize {
		return e, fmt.Errorf("hash request of %d bytes", len(b))
	}
	n := func(i int) uint64 { return binary.LittleEndian.Uint64(b[4+8*i:]) }
	e = procfs.Executable{
		PID: int32(binary.LittleEndian.Uint32(b)),
		ID: procfs.FileID{
			Device: n(0), Inode: n(1), Size: int64(n(2)), Mtime: int64(n(3)), Ctime: int64(n(4)),
		},
		MaxFile: int64(n(5)), Rate: int64(n(6)),
	}
	if e.PID <= 0 || e.ID.Inode == 0 || e.MaxFile <= 0 || e.Rate <= 0 {
		return e, fmt.Errorf("hash request of process %d, inode %d, most bytes %d, rate %d", e.PID, e.ID.Inode, e.MaxFile, e.Rate)
	}
	return e, nil
}

// results are what an answer to a hash request says.
func results() [6]error {
	return [...]error{nil, procfs.ErrNotRegular, procfs.ErrTooLarge, procfs.ErrOther, procfs.ErrStalled, errUnreadable}
}

var errUnreadable = errors.New("the hasher can not read it")

func appendDigest(dst []byte, d procfs.Digest, bytes int64, err error) []byte {
	list := results()
	result := len(list) - 1
	for i, r := range list {
		if errors.Is(err, r) {
			result = i
			break
		}
	}
	dst = append(dst, byte(result))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(bytes))
	if err != nil {
		return dst
	}
	sha, err1 := hex.DecodeString(d.SHA256)
	blake, err2 := hex.DecodeString(d.BLAKE3)
	if err1 != nil || err2 != nil || len(sha) != 32 || len(blake) != 32 {
		panic(fmt.Sprintf("digest %+v", d))
	}
	return append(append(dst, sha...), blake...)
}

var errAnswer = errors.New("malformed answer of the hasher")

// parseDigest returns the error of the hashing in failed.
func parseDigest(b []byte) (d procfs.Digest, bytes int64, failed, err error) {
	list := results()
	if len(b) < 9 || int(b[0]) >= len(list) || b[0] == 0 && len(b) != answerSize || b[0] != 0 && len(b) != 9 {
		return d, 0, nil, errAnswer
	}
	bytes = int64(binary.LittleEndian.Uint64(b[1:]))
	if bytes < 0 {
		return d, 0, nil, errAnswer
	}
	if b[0] == 0 {
		d = procfs.Digest{SHA256: hex.EncodeToString(b[9:41]), BLAKE3: hex.EncodeToString(b[41:])}
	}
	return d, bytes, list[b[0]], nil
}

func appendRead(dst []byte, ask *procfs.Ask) []byte {
	for _, n := range [...]uint32{uint32(ask.Files), uint32(ask.Cmdline), uint32(ask.Environ)} {
		dst = binary.LittleEndian.AppendUint32(dst, n)
	}
	return appendPIDs(dst, ask.PIDs)
}

// parseRead returns an Ask of no process for wantPIDs and wantPasswd.
func parseRead(b []byte) (*procfs.Ask, error) {
	if len(b) < readSize {
		return nil, fmt.Errorf("read request of %d bytes", len(b))
	}
	n := func(i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
	ask := &procfs.Ask{Files: procfs.FileSet(n(0)), Cmdline: int(n(1)), Environ: int(n(2))}
	if len(b) == readSize && n(1)|n(2) == 0 && (ask.Files == wantPIDs || ask.Files == wantPasswd) {
		return ask, nil
	}
	var err error
	if ask.PIDs, err = parsePIDs(nil, b[readSize:]); err != nil {
		return nil, err
	}
	if err := ask.Check(); err != nil {
		return nil, fmt.Errorf("read request of %w", err)
	}
	return ask, nil
}

func appendPIDs(dst []byte, list []int32) []byte {
	for _, pid := range list {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(pid))
	}
	return dst
}

func parsePIDs(list []int32, b []byte) ([]int32, error) {
	if len(b)%4 != 0 {
		return nil, fmt.Errorf("%d bytes of pids", len(b))
	}
	for ; len(b) > 0; b = b[4:] {
		pid := int32(binary.LittleEndian.Uint32(b))
		if pid <= 0 {
			return nil, fmt.Errorf("pid %d", pid)
		}
		list = append(list, pid)
	}
	return list, nil
}
