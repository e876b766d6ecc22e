package ruleset

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/platform"
	"daemoneye/roles/api"
	"daemoneye/rules"
)

// Sets that were in force are files NUMBER.set in a directory beside the store,
// each Zstandard of two msgpack values: a Set, then the []Source with its files.

// Limits of what is kept.
const (
	MaxSets     = 10
	MaxSetBytes = 32 << 20 // of the files of one set
	maxBytes    = 64 << 20 // of all files of sets, compressed
	maxUnpacked = 2 * MaxSetBytes
	maxChanges  = 50 // that are named of one kind
)

// ErrNotExist is the error for a set that is not kept.
var ErrNotExist = errors.New("there is no such set")

// Set is what is known of the rules that were put in force, without those that
// come with the program.
type Set struct {
	Number  uint64
	Time    time.Time // when they were put in force
	By      string    // what did that, for people
	Digest  string    // of all files
	Rules   []Rule
	Others  []Rule          // files of lists and exceptions: ID is the file
	Refused []string        // files that were not put in force
	Changes api.RuleChanges // against the set before
	Error   string          `msgpack:"-"` // why nothing but the number is known
}

// Rule is a rule and the hash of its text.
type Rule struct {
	ID   string
	Hash string // SHA-256, in hex
}

// Reply is what is told of it.
func (s *Set) Reply() api.RuleSet {
	return api.RuleSet{Number: s.Number, Time: s.Time, By: s.By, Rules: len(s.Rules), Changes: s.Changes, Error: s.Error}
}

// Against returns what distinguishes s from an earlier set, nil: an empty one.
func (s *Set) Against(old *Set) (c api.RuleChanges) {
	if old == nil {
		old = &Set{}
	}
	for _, kind := range []*api.RuleChange{&c.Added, &c.Removed, &c.Changed, &c.Files} {
		kind.First = []api.EditedRule{}
	}
	add := func(c *api.RuleChange, e api.EditedRule) {
		if c.Count++; len(c.First) < maxChanges {
			c.First = append(c.First, e)
		}
	}
	for _, e := range edited(old.Rules, s.Rules) {
		switch {
		case e.Was == "":
			add(&c.Added, e)
		case e.Hash == "":
			add(&c.Removed, e)
		default:
			add(&c.Changed, e)
		}
	}
	for _, e := range edited(old.Others, s.Others) {
		add(&c.Files, e)
	}
	return c
}

// edited returns what differs between two lists, by ID.
func edited(old, now []Rule) []api.EditedRule {
	differs := map[string]api.EditedRule{}
	for _, r := range old {
		differs[r.ID] = api.EditedRule{ID: r.ID, Was: r.Hash}
	}
	for _, r := range now {
		differs[r.ID] = api.EditedRule{ID: r.ID, Was: differs[r.ID].Was, Hash: r.Hash}
	}
	maps.DeleteFunc(differs, func(_ string, e api.EditedRule) bool { return e.Was == e.Hash })
	return slices.SortedFunc(maps.Values(differs), func(a, b api.EditedRule) int { return strings.Compare(a.ID, b.ID) })
}

// Describe returns what is known of a set of rules whose files were recorded.
func Describe(set *rules.Set, files *Recorder, by string) *Set {
	s := &Set{Time: set.Loaded, By: by, Digest: files.digest()}
	ours := rules.Builtin().Name
	for _, r := range set.Rules {
		if !strings.HasPrefix(r.File, ours) {
			s.Rules = append(s.Rules, Rule{r.ID, r.Hash})
		}
	}
	for _, source := range files.sources {
		for _, f := range source.Files {
			if strings.HasSuffix(f.Path, ".yaml") {
				sum := sha256.Sum256(f.Data)
				s.Others = append(s.Others, Rule{source.Name + f.Path, hex.EncodeToString(sum[:])})
			}
		}
	}
	for _, r := range set.Refused {
		s.Refused = append(s.Refused, r.File)
	}
	return s
}

func setsDir(dir string) string { return filepath.Join(dir, "rulesets") }

const setSuffix = ".set"

func setFile(dir string, number uint64) string {
	return filepath.Join(setsDir(dir), fmt.Sprintf("%08d%s", number, setSuffix))
}

// Keep writes a set with the next number, and removes the oldest ones beyond
// what is kept. After a crash the file is whole or not there.
func Keep(dir string, s *Set, files *Recorder) error {
	if files.tooLarge() {
		return fmt.Errorf("the files of the rules have more than %d MiB, so that this set can not be rolled back to", MaxSetBytes>>20)
	}
	if err := os.MkdirAll(setsDir(dir), 0o750); err != nil {
		return err
	}
	numbers, err := kept(dir)
	if err != nil {
		return err
	}
	s.Number = 1
	if n := len(numbers); n > 0 {
		s.Number = numbers[n-1] + 1
	}
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	e := msgpack.NewEncoder(z)
	if err := errors.Join(e.Encode(s), e.Encode(files.sources), z.Close()); err != nil {
		return fmt.Errorf("encode the set of rules: %w", err)
	}
	if err := platform.ReplaceFile(setFile(dir, s.Number), b.Bytes(), 0o640, true); err != nil {
		return err
	}
	return prune(dir, append(numbers, s.Number))
}

// prune removes the oldest files of sets, but not the newest.
func prune(dir string, numbers []uint64) error {
	count, size := 0, int64(0)
	for i, number := range slices.Backward(numbers) {
		info, err := os.Stat(setFile(dir, number))
		if err != nil {
			return err
		}
		size += info.Size()
		if count++; count <= MaxSets && size <= maxBytes || i == len(numbers)-1 {
			continue
		}
		if err := os.Remove(setFile(dir, number)); err != nil {
			return err
		}
	}
	return nil
}

// kept returns the numbers of the sets, ascending.
func kept(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(setsDir(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		var number uint64
		if _, err := fmt.Sscanf(e.Name(), "%d"+setSuffix, &number); err == nil && number > 0 && filepath.Base(setFile(dir, number)) == e.Name() {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// List returns the sets that are kept, oldest first. One that can not be read
// has an Error.
func List(dir string) ([]Set, error) {
	numbers, err := kept(dir)
	if err != nil {
		return nil, err
	}
	list := make([]Set, len(numbers))
	for i, number := range numbers {
		s, _, err := read(dir, number, false)
		if err != nil {
			s = &Set{Number: number, Error: err.Error()}
		}
		list[i] = *s
	}
	return list, nil
}

// Read returns a set and its files, as rules.Load wants them. They are those
// that were written, or there is an error.
func Read(dir string, number uint64) (*Set, []rules.Source, error) {
	s, files, err := read(dir, number, true)
	if err != nil {
		return nil, nil, err
	}
	var sources []rules.Source
	for i := range files {
		sources = append(sources, files[i].rules(s.Time))
	}
	return s, sources, nil
}

// read decodes a set, and if wanted its files.
func read(dir string, number uint64, whole bool) (*Set, []Source, error) {
	f, err := platform.OpenRegular(setFile(dir, number))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("set %d: %w", number, ErrNotExist)
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	fail := func(err error) (*Set, []Source, error) {
		return nil, nil, fmt.Errorf("set %d is damaged: %w", number, err)
	}
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxUnpacked))
	if err != nil {
		return fail(err)
	}
	defer z.Close()
	limited := &io.LimitedReader{R: z, N: maxUnpacked}
	d := msgpack.NewDecoder(limited)
	s := &Set{}
	if err := d.Decode(s); err != nil {
		return fail(err)
	}
	if s.Number != number {
		return fail(fmt.Errorf("it says that it is %d", s.Number))
	}
	if !whole {
		return s, nil, nil
	}
	var sources []Source
	if err := d.Decode(&sources); err != nil {
		return fail(err)
	}
	if n, err := io.Copy(io.Discard, limited); err != nil || n > 0 { // with it the checksum is compared
		return fail(cmp.Or(err, errors.New("more follows")))
	}
	if digest(sources) != s.Digest {
		return fail(errors.New("its files are not those that were written"))
	}
	return s, sources, nil
}

// digest is a hash of the files of sources, their names and their places.
func digest(sources []Source) string {
	h := sha256.New()
	write := func(data []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(data)))
		h.Write(n[:])
		h.Write(data)
	}
	for _, s := range sources {
		write([]byte(s.Name))
		write([]byte(s.Root))
		for _, f := range s.Files {
			write([]byte(f.Path))
			write(f.Data)
		}
		write(nil)
	}
	return hex.EncodeToString(h.Sum(nil))
}
