package rules

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"daemoneye/bus/event"
	"daemoneye/rules/archive"
	"daemoneye/rules/pack"
	"daemoneye/rules/sigma"
	"daemoneye/rules/sql"
)

// LoadConfig adjusts Load; its zero value is the default.
type LoadConfig struct {
	SQL      sql.Config // its lists count beside those of the sources
	MaxFiles int        // rule files of one source; 10,000
	MaxDepth int        // nesting of directories below a source's root; 8

	MaxEntries int // directory entries of one source, whatever they are; 100,000

	Packs PackTrust // which packs are loaded

	Disabled   []string // ids of rules that are loaded and not run, whatever their headers say
	Unreadable string   // hint for a file that may not be read

	// Switched are ids of rules that are run or not, whatever their headers
	// say; that of a rule that is not there does not matter.
	Switched map[string]bool

	// Read, if not nil, is called with each file that is read, its path within
	// the source of that name; those within a pack are of a source of their own.
	Read func(source, path string, data []byte)

	Pipeline *sigma.Pipeline // what names in Sigma rules stand for; may be nil

	Now time.Time // what has expired then is not in force; zero: the present
}

// DisabledSetting is the file that a Refusal names for an id in
// LoadConfig.Disabled that no rule has.
const DisabledSetting = "rules.disabled"

const (
	maxDepth   = 8
	maxEntries = 100_000
)

// Set is the outcome of one Load. It is shared and must not be changed.
type Set struct {
	Rules   []*Rule       // in order of their sources, then by file name
	Refused []*Refusal    // files and sources that are not in force, and why
	Packs   []*Pack       // those whose rules were read
	Absent  []string      // names of optional sources that are not there
	Sigma   []SigmaResult // of each document of the Sigma files
	Lists   []*List       // that rules read
	Loaded  time.Time

	cfg  LoadConfig
	now  time.Time // what counted then is in force
	next time.Time // when something of that ends; zero: nothing does
}

// Builtin returns the rules that DaemonEye ships.
func Builtin() Source { return Source{Name: "builtin:", FS: pack.Files()} }

// Dir returns the rule files of a directory tree, or the one rule file, that
// name stands for in the file system.
func Dir(name string) Source {
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		dir, file := filepath.Split(name)
		return Source{Name: dir, FS: DirFS(cmp.Or(dir, ".")), Root: file}
	}
	return Source{Name: strings.TrimRight(filepath.ToSlash(name), "/") + "/", FS: DirFS(name)}
}

// Load reads every *.sql file of the sources, the Sigma rules of every *.yml file,
// and every pack of them. It never fails as a whole: what
// can not be used stands in Refused, everything else in Rules. Links are
// followed; names that begin with a dot are passed over. Of two rules with the
// same id the one that is loaded later is refused.
func Load(cfg LoadConfig, sources ...Source) *Set {
	l := loader{cfg: cfg, set: &Set{Loaded: time.Now().UTC().Truncate(time.Microsecond)}, ids: map[string]string{}}
	if l.cfg.MaxFiles == 0 {
		l.cfg.MaxFiles = 10_000
	}
	if l.cfg.MaxDepth == 0 {
		l.cfg.MaxDepth = maxDepth
	}
	if l.cfg.MaxEntries == 0 {
		l.cfg.MaxEntries = maxEntries
	}
	l.set.now = cmp.Or(l.cfg.Now, time.Now())
	for _, s := range sources {
		l.loadLists(s)
	}
	lists := l.set.SQLLists(l.set.now) // they stand before those of the same name from elsewhere
	for name, list := range l.cfg.SQL.Lists {
		if lists[name] == nil {
			lists[name] = list
		}
	}
	l.cfg.SQL.Lists = lists
	for _, s := range sources {
		l.files, l.entries = 0, 0
		l.walk(s, s.root(), nil)
		l.addSigma()
	}
	for _, s := range sources {
		l.loadExceptions(s)
	}
	for _, r := range l.set.Rules {
		if err := r.except(l.set.now, l.cfg.SQL); err != nil { // each by itself was compiled
			l.refuse(refuse(r.File, "its exceptions: %v", err))
		}
	}
	l.disable()
	l.set.cfg = l.cfg
	l.set.setNext()
	return l.set
}

// disable switches off the rules that LoadConfig.Disabled names. An id that no
// rule has is told like a file that can not be used: whoever wrote it believes
// that something is off.
func (l *loader) disable() {
	for _, r := range l.set.Rules {
		if enabled, ok := l.cfg.Switched[r.ID]; ok {
			r.Enabled = enabled
		}
	}
	for _, id := range l.cfg.Disabled {
		refused := slices.ContainsFunc(l.set.Refused, func(r *Refusal) bool { return r.Header.ID == id })
		switch r := l.set.Rule(id); {
		case r != nil:
			r.Enabled = false
		case !refused:
			p := &Problem{File: DisabledSetting, Message: fmt.Sprintf("there is no rule %q", id), Hint: l.set.meant(id)}
			l.refuse(&Refusal{File: p.File, Problems: []*Problem{p}})
		}
	}
}

// Switch returns a Set in which the rule with that id is run, or not.
func (s *Set) Switch(id string, enabled bool) *Set {
	other := *s
	other.Rules = slices.Clone(s.Rules)
	for i, r := range other.Rules {
		if r.ID == id {
			switched := *r
			switched.Enabled = enabled
			other.Rules[i] = &switched
		}
	}
	return &other
}

// Rule returns the rule with that id, or nil.
func (s *Set) Rule(id string) *Rule {
	i := slices.IndexFunc(s.Rules, func(r *Rule) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return s.Rules[i]
}

// meant asks for the rule that is the likeliest meant by an id that none has.
func (s *Set) meant(id string) string {
	ids := make([]string, len(s.Rules))
	for i, r := range s.Rules {
		ids[i] = r.ID
	}
	return meant(id, ids)
}

type loader struct {
	cfg     LoadConfig
	set     *Set
	ids     map[string]string // id → file
	builtin *Set              // when it was needed

	files int // rule files of the present source so far

	entries int // directory entries of the present source so far

	sigma []sigmaFile // of the present source, to be converted together: a rule can speak of others
}

func (l *loader) refuse(r *Refusal) { l.set.Refused = append(l.set.Refused, r) }

// unreadable refuses what can not be read, and says who could not.
func (l *loader) unreadable(file string, err error) {
	r := refuse(file, "%v", reason(err))
	if errors.Is(err, fs.ErrPermission) {
		r.Problems[0].Hint = l.cfg.Unreadable
	}
	l.refuse(r)
}

// walk loads what name stands for, below the directories above, outermost
// first. fs.WalkDir does not follow links to directories, so this does; but it
// does not enter a directory from within itself.
func (l *loader) walk(s Source, name string, above []fs.FileInfo) {
	info, err := fs.Stat(s.FS, name)
	switch {
	case s.Optional && name == s.root() && errors.Is(err, fs.ErrNotExist):
		l.set.Absent = append(l.set.Absent, s.display("."))
	case err != nil:
		l.unreadable(s.display(name), err)
	case !info.IsDir():
		l.load(s, name, info)
	case slices.ContainsFunc(above, func(dir fs.FileInfo) bool { return os.SameFile(dir, info) }):
		l.refuse(refuse(s.display(name), "links back to a directory that it is in"))
	case len(above) > l.cfg.MaxDepth:
		l.refuse(refuse(s.display(name), "directories are nested more than %d deep", l.cfg.MaxDepth))
	default:
		l.walkDir(s, name, append(slices.Clip(above), info))
	}
}

// walkDir loads what is in dir, the last one of within.
func (l *loader) walkDir(s Source, dir string, within []fs.FileInfo) {
	if l.entries > l.cfg.MaxEntries {
		return
	}
	entries, err := readDir(s.FS, dir, l.cfg.MaxEntries-l.entries+1)
	if err != nil {
		l.unreadable(s.display(dir), err)
		return
	}
	l.entries += len(entries)
	if l.entries > l.cfg.MaxEntries {
		l.refuse(refuse(s.display(dir), "more than %d directory entries up to here; this directory and those after it are not loaded", l.cfg.MaxEntries))
		return
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		isDir := e.IsDir()
		if e.Type()&fs.ModeSymlink != 0 {
			info, err := fs.Stat(s.FS, name)
			isDir = err == nil && info.IsDir()
		}
		switch {
		case isDir:
			l.walk(s, name, within)
		case !s.holds(e.Name()):
		case l.files == l.cfg.MaxFiles:
			l.refuse(refuse(s.display(name), "more than %d rule files; this one and those after it are not loaded", l.cfg.MaxFiles))
			l.files++
			return
		case l.files > l.cfg.MaxFiles:
			return
		default:
			l.files++
			l.walk(s, name, within)
		}
	}
}

// readDir returns at most limit entries of a directory, by name.
func readDir(fsys fs.FS, dir string, limit int) ([]fs.DirEntry, error) {
	f, err := fsys.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, errors.New("not a directory")
	}
	entries, err := d.ReadDir(limit)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// reason takes the path out of an error that is shown behind the path.
func reason(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	return err
}

func (l *loader) load(s Source, name string, info fs.FileInfo) {
	file := s.display(name)
	if !info.Mode().IsRegular() {
		l.refuse(refuse(file, "not a regular file (%s)", info.Mode().Type()))
		return
	}
	if strings.HasSuffix(name, archive.Suffix) {
		l.loadPack(s, name)
		return
	}
	if s.SigmaOnly || isSigma(name) || name == s.Root && strings.HasSuffix(name, ".yaml") {
		l.loadSigma(s, name)
		return
	}
	data, err := l.read(s, name, maxRule(l.cfg.SQL))
	if err != nil {
		l.unreadable(file, err)
		return
	}
	rule, refusal := parseRule(file, data, l.cfg.SQL)
	if refusal != nil {
		l.refuse(refusal)
		return
	}
	rule.source, rule.path = s, name
	rule.fixture = strings.TrimSuffix(name, ".sql") + fixtureSuffix
	l.add(rule)
}

// add puts a rule into the set, unless its id is taken.
func (l *loader) add(rule *Rule) *Refusal {
	if first, ok := l.ids[rule.ID]; ok {
		refusal := refuse(rule.File, "id %q is taken by %s", rule.ID, first)
		refusal.Header = rule.Header
		l.refuse(refusal)
		return refusal
	}
	l.ids[rule.ID] = rule.File
	l.set.Rules = append(l.set.Rules, rule)
	return nil
}

// read reads a file of a source.
func (l *loader) read(s Source, name string, limit int64) ([]byte, error) {
	data, err := readFile(s.FS, name, limit)
	if err == nil && l.cfg.Read != nil {
		l.cfg.Read(s.Name, name, data)
	}
	return data, err
}

// readFile reads a regular file of at most limit bytes.
func readFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file (%s)", info.Mode().Type())
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("larger than %d KiB", limit>>10)
	}
	return data, nil
}

// Parse makes one rule of the text of a rule file; file is its name in
// messages.
func Parse(file string, data []byte, cfg sql.Config) (*Rule, error) {
	r, refusal := parseRule(file, data, cfg)
	if refusal != nil {
		return nil, refusal
	}
	return r, nil
}

// maxRule is how many bytes a rule file may have.
func maxRule(cfg sql.Config) int64 {
	text := min(cfg.Limits.Text, sql.MaxLimits().Text)
	return int64(MaxRuleBytes + max(0, text-sql.DefaultLimits().Text))
}

func parseRule(file string, data []byte, cfg sql.Config) (*Rule, *Refusal) {
	if limit := maxRule(cfg); int64(len(data)) > limit {
		return nil, refuse(file, "larger than %d KiB", limit>>10)
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	if p := oddByte(file, text); p != nil {
		return nil, &Refusal{File: file, Problems: []*Problem{p}}
	}
	header, body, skipped, problems := parseHeader(file, text)
	if strings.TrimSpace(body) == "" {
		problems = append(problems, &Problem{File: file, Line: skipped + 1, Message: "no SELECT below the header"})
		return nil, &Refusal{File: file, Header: header, Problems: problems}
	}
	query, err := sql.Compile(body, cfg)
	if err != nil {
		problems = append(problems, sqlProblem(file, text, skipped, err))
	}
	if len(problems) > 0 {
		return nil, &Refusal{File: file, Header: header, Problems: problems}
	}
	sum := sha256.Sum256(data)
	rule := &Rule{
		Header: header, File: file, SQL: strings.TrimSpace(body), Hash: hex.EncodeToString(sum[:]),
		Tables: query.Tables(), query: query,
	}
	if p := rule.complete(file, text); p != nil {
		return nil, &Refusal{File: file, Header: header, Problems: []*Problem{p}}
	}
	return rule, nil
}

// oddByte refuses what neither PostgreSQL's text nor a terminal can take.
func oddByte(file, text string) *Problem {
	at, what := strings.IndexByte(text, 0), "a NUL byte"
	if at < 0 && !utf8.ValidString(text) {
		what = "bytes that are not UTF-8"
		for i, c := range text {
			if c == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd") {
				at = i
				break
			}
		}
	}
	if at < 0 {
		return nil
	}
	before := text[:at]
	p := &Problem{
		File: file, Line: 1 + strings.Count(before, "\n"),
		Column:  1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]),
		Message: "the file has " + what,
	}
	p.caret = caret(text, p.Line, p.Column)
	return p
}

// complete derives what follows from the header and the query together.
func (r *Rule) complete(file, text string) *Problem {
	if len(r.Tables) == 0 {
		return &Problem{File: file, Message: "the rule reads no event table", Hint: "name one after FROM, such as process_events"}
	}
	r.Mode = History
	for _, name := range r.Tables {
		if event.Lookup(name).Kind == event.State {
			r.Mode = Scan
		}
	}
	if r.Mode == History && r.query.Streams() {
		r.Mode = Stream
	}
	if r.Mode == Stream && r.Every > 0 {
		return &Problem{File: file, Code: "header", Message: "every: the rule runs on every row as it arrives, so there is no time between two runs", Hint: "leave it out"}
	}
	taken := map[string]bool{}
	for _, c := range r.query.Columns() {
		name := c.Name
		for n := 2; taken[name]; n++ {
			name = fmt.Sprintf("%s_%d", c.Name, n)
		}
		taken[name] = true
		r.output = append(r.output, name)
	}
	keys, missing := r.keyParts()
	if missing == "" {
		r.keys = keys
		return nil
	}
	p := &Problem{File: file, Message: fmt.Sprintf("dedup: column %q is not in the result", missing)}
	known := slices.Clone(r.output)
	if r.query.Streams() {
		p.Message = fmt.Sprintf("dedup: column %q is neither in the result nor in %s", missing, r.Table())
		for _, c := range event.Lookup(r.Table()).Columns {
			known = append(known, c.Name)
		}
	}
	p.Hint = meant(missing, known)
	p.Line, p.Column = find(text, missing)
	p.caret = caret(text, p.Line, p.Column)
	return p
}

// find returns where the word stands in the header's dedup key.
func find(text, word string) (line, column int) {
	from := strings.Index(text, "dedup:")
	if from < 0 {
		return 0, 0
	}
	at := strings.Index(text[from:], word)
	if at < 0 {
		return 0, 0
	}
	before := text[:from+at]
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}

// keyPart is where one part of a dedup key comes from.
type keyPart struct {
	name   string
	output int // column of the result, or -1
	column int // else column of the event table
}

// keyParts resolves the dedup columns, of the result first; with none in the
// header it takes entity_id if there is one, else nothing.
func (r *Rule) keyParts() (parts []keyPart, missing string) {
	columns := r.Dedup
	if len(columns) == 0 {
		columns = []string{"entity_id"}
	}
	for _, name := range columns {
		p := keyPart{name: name, output: slices.Index(r.output, name), column: -1}
		if p.output < 0 && r.query.Streams() {
			p.column = event.Lookup(r.Table()).Index(name)
		}
		if p.output < 0 && p.column < 0 {
			if len(r.Dedup) == 0 {
				return nil, ""
			}
			return nil, name
		}
		parts = append(parts, p)
	}
	return parts, ""
}
