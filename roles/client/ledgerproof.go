package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"daemoneye/bus/event"
	"daemoneye/ledger"
	"daemoneye/roles/api"
	"daemoneye/roles/fact"
	"daemoneye/roles/history"
	"daemoneye/roles/term"
)

func ledgerVerify(c *call) error {
	asJSON, err := c.wantJSON()
	if err != nil {
		return err
	}
	dir, err := c.ledgerDir()
	if err != nil {
		return err
	}
	o := ledger.VerifyOptions{PublicKey: c.String("public-key"), Witnesses: c.repeated("witness")}
	if name := c.String("checkpoint"); name != "" {
		if o.Checkpoint, err = c.ledgerFile(name); err != nil {
			return err
		}
	}
	if r, err := ledger.OpenReader(dir); err != nil {
		return ledgerError(dir, err)
	} else if _, err := r.Size(); errors.Is(err, fs.ErrPermission) {
		return ledgerError(dir, err)
	}
	progress, told := term.StartProgress(c.err, "verifying the ledger", "entries", 0), uint64(0)
	o.Progress = func(read, _ uint64) {
		progress.Add(int64(read - told))
		told = read
	}
	report, err := ledger.Verify(dir, o)
	progress.Stop()
	if asJSON {
		if err := writeVerified(c.out, &report, err); err != nil {
			return err
		}
	} else if err := showVerified(c.out, dir, &o, &report, err); err != nil {
		return err
	}
	if err != nil {
		return ErrNo
	}
	return nil
}

func writeVerified(out *term.Output, r *ledger.Report, failed error) error {
	v := struct {
		Whole    bool     `json:"whole"`
		Problem  string   `json:"problem,omitempty"`
		File     string   `json:"file,omitempty"`
		Entry    *uint64  `json:"entry,omitempty"`
		Origin   string   `json:"origin"`
		Size     uint64   `json:"size"`
		Root     string   `json:"root"`
		Entries  uint64   `json:"entries"`
		Unsigned uint64   `json:"unsigned"`
		Tiles    int      `json:"tiles"`
		Keys     []string `json:"keys"`
		Live     bool     `json:"live"`
	}{
		Whole: failed == nil, Origin: r.Checkpoint.Origin, Size: r.Checkpoint.Size, Root: r.Checkpoint.Root.String(), Entries: r.Entries,
		Unsigned: r.Unsigned, Tiles: r.Tiles, Keys: []string{}, Live: r.Live,
	}
	for _, k := range r.Keys {
		v.Keys = append(v.Keys, k.Public)
	}
	var p *ledger.Problem
	if errors.As(failed, &p) {
		v.File, v.Entry = p.File, &p.Entry
	}
	if failed != nil {
		v.Problem = failed.Error()
	}
	return writeJSONLine(out, &v)
}

// showVerified says what was checked, and what could not be.
func showVerified(out *term.Output, dir string, o *ledger.VerifyOptions, r *ledger.Report, failed error) error {
	s := newSheet(out)
	if failed == nil {
		s.b.WriteString(out.Paint(term.Green, "whole") + "\n\n")
	} else {
		s.b.WriteString(out.Paint(term.BoldRed, "not whole") + "\n")
		s.item("%v", failed)
		s.b.WriteString("\n")
	}
	s.line("ledger", "%s", dir)
	s.line("checked", "%s, %s, %s in %s", term.Plural(int64(r.Entries), "entry", "entries"), term.Plural(int64(r.Tiles), "tile", "tiles"), term.Bytes(r.Bytes), term.Duration(r.Duration))
	if r.Entries > 0 {
		s.line("", "from %s to %s", r.First.UTC().Format("2006-01-02 15:04:05Z"), r.Last.UTC().Format("2006-01-02 15:04:05Z"))
	}
	if r.Checkpoint.Size > 0 {
		s.line("checkpoint", "%s, %s, root %s", r.Checkpoint.Origin, term.Plural(int64(r.Checkpoint.Size), "entry", "entries"), r.Checkpoint.Root)
	}
	switch {
	case r.Live:
		s.line("", "the collector is writing: what follows the checkpoint was not judged")
	case r.Unsigned > 0:
		s.line("", "%s after it, which no signature covers yet", term.Plural(int64(r.Unsigned), "entry", "entries"))
	}
	for i, k := range r.Keys {
		label := ""
		if i == 0 {
			label = "keys"
		}
		s.line(label, "%s, since entry %d", k.Public, k.Since)
	}
	if r.Cosigned > 0 {
		s.line("cosigned", "%s, %d by known witnesses, %d by others", term.Plural(int64(r.Cosigned), "checkpoint", "checkpoints"), r.Cosigners, r.Unknown)
	}
	if failed == nil {
		switch {
		case r.Kept != nil:
			s.line("kept checkpoint", "%s: the ledger goes on from it", term.Plural(int64(r.Kept.Size), "entry", "entries"))
		default:
			s.line("not checked", "whether entries at the end, or all, were exchanged: --checkpoint FILE, kept elsewhere, tells")
		}
		if o.PublicKey == "" {
			s.line("not checked", "whether the key is the ledger's own: --public-key KEY, noted elsewhere, tells")
		}
	}
	return s.flush()
}

// printProof writes a proof file.
func (c *call) printProof(p ledger.Proof) error {
	text, err := p.MarshalText()
	if err != nil {
		return err
	}
	return c.plainText(text)
}

func ledgerProveInclusion(c *call) error {
	if err := c.exactly(1, "the number of an entry"); err != nil {
		return err
	}
	n, err := entryNumber(c.Args().First())
	if err != nil {
		return err
	}
	r, err := c.ledger()
	if err != nil {
		return err
	}
	p, err := c.proveInclusion(r, n)
	if err != nil {
		return err
	}
	return c.printProof(p)
}

// proveInclusion has a checkpoint signed first when none covers the entry, if an
// agent runs.
func (c *call) proveInclusion(r *ledger.Reader, n uint64) (*ledger.InclusionProof, error) {
	_, at, err := r.Checkpoint()
	if err != nil {
		return nil, err
	}
	if n >= at.Size && c.String("dir") == "" {
		var none *noAgentError
		if _, err := askAgent[api.LedgerAnswer](c, api.LedgerCheckpoint, nil); err != nil && !errors.As(err, &none) {
			return nil, err
		}
	}
	return r.ProveInclusion(n)
}

func ledgerProveConsistency(c *call) error {
	if c.NArg() != 1 && c.NArg() != 2 {
		return c.exactly(1, "OLD and perhaps NEW")
	}
	r, err := c.ledger()
	if err != nil {
		return err
	}
	signed, newest, err := r.Checkpoint()
	if err != nil {
		return err
	}
	if c.NArg() == 2 {
		if signed, newest, err = c.readCheckpoint(c.Args().Get(1)); err != nil {
			return err
		}
	}
	old, err := entryNumber(c.Args().First())
	var kept *ledger.Checkpoint
	if err != nil {
		_, k, err := c.readCheckpoint(c.Args().First())
		if err != nil {
			return err
		}
		old, kept = k.Size, &k
	}
	p, err := r.ProveConsistencyTo(old, signed, newest)
	if err != nil {
		return err
	}
	if kept != nil && p.OldRoot != kept.Root {
		return fmt.Errorf("the ledger does not go on from that checkpoint: with %d entries it had the root %s, not %s", old, p.OldRoot, kept.Root)
	}
	return c.printProof(p)
}

// readCheckpoint reads a signed checkpoint from a file; its signature is checked by who
// verifies the proof.
func (c *call) readCheckpoint(name string) ([]byte, ledger.Checkpoint, error) {
	text, err := c.ledgerFile(name)
	if err != nil {
		return nil, ledger.Checkpoint{}, err
	}
	lines := strings.SplitN(string(text), "\n", 4)
	if len(lines) < 4 {
		return nil, ledger.Checkpoint{}, fmt.Errorf("%s is no checkpoint", name)
	}
	size, sizeErr := strconv.ParseUint(lines[1], 10, 63)
	root, rootErr := ledger.ParseHash(lines[2])
	if err := errors.Join(sizeErr, rootErr); err != nil {
		return nil, ledger.Checkpoint{}, fmt.Errorf("%s is no checkpoint: %w", name, err)
	}
	return text, ledger.Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}

func ledgerVerifyProof(c *call) error {
	if err := c.exactly(1, "a proof file"); err != nil {
		return err
	}
	key := c.String("public-key")
	if key == "" {
		return usage("it was printed when the ledger was made, and is its entry 0; take it from elsewhere than this proof", "verify-proof needs --public-key")
	}
	text, err := c.ledgerFile(c.Args().First())
	if err != nil {
		return err
	}
	p, err := ledger.ParseProof(text)
	var at ledger.Checkpoint
	if err == nil {
		at, err = p.Verify(key)
	}
	if err != nil {
		return fmt.Errorf("the proof does not hold: %w", err)
	}
	s := newSheet(c.out)
	s.b.WriteString(c.out.Paint(term.Green, "the proof holds") + "\n\n")
	s.line("checkpoint", "%s, %s, root %s", at.Origin, term.Plural(int64(at.Size), "entry", "entries"), at.Root)
	switch p := p.(type) {
	case *ledger.ConsistencyProof:
		s.line("begins with", "%s, root %s: compare it with the checkpoint that you have kept", term.Plural(int64(p.OldSize), "entry", "entries"), p.OldRoot)
	case *ledger.InclusionProof:
		s.b.WriteString("\n")
		if err := s.flush(); err != nil {
			return err
		}
		e := entryOf(&p.Entry)
		return showEntry(c.out, &e)
	}
	return s.flush()
}

func ledgerExport(c *call) error {
	if err := c.exactly(1, "a directory to make"); err != nil {
		return err
	}
	dir, err := c.ledgerDir()
	if err != nil {
		return err
	}
	to := c.Args().First()
	at, err := ledger.Export(dir, to)
	if err != nil {
		return ledgerError(dir, err)
	}
	c.note("%s, as the newest checkpoint signs them, in %s", term.Plural(int64(at.Size), "entry", "entries"), to)
	return nil
}

// raised is the payload of fact.AlertRaised.
type raised struct {
	Table      string `json:"table"`
	MatchedRow string `json:"matched_row"` // hash
	Source     *struct {
		Table string `json:"table"`
		Time  string `json:"time"`
		Hash  string `json:"hash"`
	} `json:"source"`
}

func ledgerVerifyEvent(c *call) error {
	id := c.String("alert")
	if id == "" {
		return usage("daemoneye alerts list has the ids", "verify-event needs --alert")
	}
	r, err := c.ledger()
	if err != nil {
		return err
	}
	e, err := raisedEntry(r, id)
	if err != nil {
		return err
	}
	var says raised
	payload, err := fact.JSON(e.Payload)
	if err == nil {
		err = json.Unmarshal(payload, &says)
	}
	if err != nil {
		return fmt.Errorf("entry %d: %w", e.Sequence, err)
	}
	s := newSheet(c.out)
	s.line("alert", "%s of rule %s, entry %d of %s", e.Correlation, e.Subject, e.Sequence, e.Time.UTC().Format("2006-01-02 15:04:05Z"))
	good := c.included(s, r, e.Sequence)
	engine, err := c.engine()
	if err != nil {
		return err
	}
	defer c.closing(engine)
	alert, err := c.rowsLike(engine, "SELECT matched_row FROM alerts WHERE alert_id = :'id'", map[string]string{"id": e.Correlation}, func(row []byte) bool {
		var alert struct {
			Row json.RawMessage `json:"matched_row"`
		}
		return json.Unmarshal(row, &alert) == nil && history.HashRow(alert.Row) == says.MatchedRow
	})
	if err != nil {
		return err
	}
	good = s.verdict("matched row", alert) && good
	if src := says.Source; src != nil && src.Time != "" {
		if t := eventTable(src.Table); t == "" {
			return fmt.Errorf("entry %d: there is no table %q", e.Sequence, src.Table)
		}
		found, err := c.rowsLike(engine, "SELECT * FROM "+src.Table+" WHERE "+eventTable(src.Table)+" = :'at'", map[string]string{"at": src.Time}, func(row []byte) bool {
			return history.HashRow(row) == src.Hash
		})
		if err != nil {
			return err
		}
		good = s.verdict("row of "+src.Table, found) && good
	} else {
		s.line("source row", "none alone: the rule reads several rows, or the present state")
	}
	if err := s.flush(); err != nil {
		return err
	}
	if !good {
		return ErrNo
	}
	return nil
}

// raisedEntry finds the entry of an alert, the newest first.
func raisedEntry(r *ledger.Reader, id string) (*ledger.Entry, error) {
	size, err := r.Size()
	if err != nil {
		return nil, err
	}
	var found *ledger.Entry
	for e, err := range r.Range(0, size) {
		if err != nil {
			return nil, err
		}
		if e.Action != fact.AlertRaised || !strings.HasPrefix(e.Correlation, id) {
			continue
		}
		if found != nil && found.Correlation != e.Correlation {
			return nil, fmt.Errorf("more than one alert begins with %q", id)
		}
		found = &e
	}
	if found == nil {
		return nil, &Error{Err: fmt.Errorf("the ledger has no alert %q", id), Hint: "alerts from before the ledger was made are not in it"}
	}
	return found, nil
}

// included says whether the entry is under a signed checkpoint.
func (c *call) included(s *sheet, r *ledger.Reader, sequence uint64) bool {
	p, err := c.proveInclusion(r, sequence)
	key := c.String("public-key")
	switch {
	case err != nil:
		s.line("entry", "%v", err)
		return false
	case key == "":
		s.line("entry", "is under the newest checkpoint; --public-key KEY checks the signature")
		return true
	}
	if _, err := p.Verify(key); err != nil {
		s.line("entry", "%v", err)
		return false
	}
	s.line("entry", "is under a checkpoint that the key has signed")
	return true
}

// matching is how many rows there were, and whether one was as the ledger says.
type matching struct {
	rows int
	same bool
}

// rowsLike looks for a row that is as the ledger says.
func (c *call) rowsLike(e engine, text string, params map[string]string, same func([]byte) bool) (m matching, err error) {
	rows, done, err := fetch[json.RawMessage](c.ctx, e, text, params)
	if err != nil {
		return m, err
	}
	c.incomplete(done)
	m.rows = len(rows)
	for _, row := range rows {
		m.same = m.same || same(row)
	}
	return m, nil
}

// eventTable returns the time column of an event table, "" when there is none.
func eventTable(name string) string {
	if t := event.Lookup(name); t != nil {
		return t.Time
	}
	return ""
}

func (s *sheet) verdict(what string, m matching) bool {
	switch {
	case m.same:
		s.line(what, "as the ledger says")
	case m.rows == 0:
		s.line(what, "not there any more")
	default:
		s.line(what, "CHANGED: no row there has the hash that the ledger says")
	}
	return m.same
}
