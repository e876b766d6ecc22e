package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"daemoneye/ledger"
	"daemoneye/roles/api"
	"daemoneye/roles/fact"
	"daemoneye/roles/term"
)

func ledgerCommand() *cli.Command {
	dir := &cli.StringFlag{Name: "dir", Usage: "read the ledger in `DIR`, a copy or an export, instead of this instance's"}
	key := &cli.StringFlag{Name: "public-key", Usage: "`KEY` of the ledger, as it was noted elsewhere"}
	textOrJSON := &cli.StringFlag{Name: "format", Value: "table", Usage: "`FORMAT` of the output: table (text for people), json"}
	return &cli.Command{
		Name:  "ledger",
		Usage: "show, verify and prove what was decided: an append-only log that does not take this host's word",
		Subcommands: []*cli.Command{
			{
				Name:  "verify",
				Usage: "check every entry, hash and signature; exit status 1 on any doubt",
				Description: `   daemoneye ledger verify
   daemoneye ledger verify --checkpoint kept.txt --public-key daemoneye/ledger/1234+…
   daemoneye ledger verify --dir ./handed-over --public-key daemoneye/ledger/1234+…

It needs no agent. That the end was not cut off, and that the whole was not
exchanged, only a checkpoint shows that was kept on another machine.`,
				Flags: []cli.Flag{
					dir, key, textOrJSON, &cli.StringFlag{Name: "checkpoint", Usage: "the ledger must go on from the signed checkpoint in `FILE`"},
					repeatedFlag("witness", "public `KEY` of a witness: all cosignatures must be of such; may be repeated"),
				},
				Action: run(ledgerVerify),
			},
			{
				Name:      "show",
				Usage:     "show an entry, or the last ones",
				ArgsUsage: "[N]",
				Description: `   daemoneye ledger show 0
   daemoneye ledger show --last 20
   daemoneye ledger show --last 1000 --format json | jq 'select(.action == "rules.refused")'
   daemoneye query "SELECT time, action, subject FROM ledger_entries ORDER BY sequence DESC LIMIT 20"`,
				Flags:  []cli.Flag{dir, textOrJSON, &cli.IntFlag{Name: "last", Usage: "the last `K` entries"}},
				Action: run(ledgerShow),
			},
			{
				Name:  "checkpoint",
				Usage: "print a signed checkpoint of all entries, or bring one that witnesses have cosigned",
				Description: `   daemoneye ledger checkpoint > kept.txt
   daemoneye ledger checkpoint | ssh backup 'cat > kept.txt'
   daemoneye ledger checkpoint --add-cosignature cosigned.txt`,
				Flags:  []cli.Flag{dir, &cli.StringFlag{Name: "add-cosignature", Usage: "keep the checkpoint in `FILE`, which a witness of ledger.witnesses has cosigned"}},
				Action: run(ledgerCheckpoint),
			},
			{
				Name:      "prove-inclusion",
				Usage:     "print a proof that an entry is in the ledger",
				ArgsUsage: "N",
				Description: `   daemoneye ledger prove-inclusion 42
   daemoneye ledger prove-inclusion 42 > proof.txt
   daemoneye ledger verify-proof proof.txt --public-key daemoneye/ledger/1234+…`,
				Flags:  []cli.Flag{dir},
				Action: run(ledgerProveInclusion),
			},
			{
				Name:      "prove-consistency",
				Usage:     "print a proof that the ledger goes on from an older state",
				ArgsUsage: "OLD [NEW]",
				Description: `   daemoneye ledger prove-consistency 1000 > proof.txt
   daemoneye ledger prove-consistency kept.txt > proof.txt
   daemoneye ledger prove-consistency kept.txt later.txt > proof.txt

OLD is a number of entries or a file with a signed checkpoint, NEW a file with a
later one; without it the newest counts.`,
				Flags:  []cli.Flag{dir},
				Action: run(ledgerProveConsistency),
			},
			{
				Name:      "verify-proof",
				Usage:     "check a proof with nothing but the ledger's public key",
				ArgsUsage: "FILE",
				Description: `   daemoneye ledger verify-proof proof.txt --public-key daemoneye/ledger/1234+…
   ssh host daemoneye ledger prove-inclusion 42 | daemoneye ledger verify-proof - --public-key daemoneye/ledger/1234+…

It asks nothing of this machine. The proof of what goes on from an older state
names that state: compare it with the checkpoint that you have kept.`,
				Flags:  []cli.Flag{key},
				Action: run(ledgerVerifyProof),
			},
			{
				Name:      "export",
				Usage:     "copy the entries, tiles and checkpoints to hand them over",
				ArgsUsage: "NEW-DIR",
				Description: `   daemoneye ledger export ./handed-over
   daemoneye ledger export ./handed-over --data-dir /srv/daemoneye
   daemoneye ledger verify --dir ./handed-over --public-key daemoneye/ledger/1234+…

The directory is made. The private key stays.`,
				Flags:  []cli.Flag{dir},
				Action: run(ledgerExport),
			},
			{
				Name:  "verify-event",
				Usage: "check that an alert and the row of which it was raised are as the ledger says",
				Description: `   daemoneye ledger verify-event --alert 01890a5d
   daemoneye ledger verify-event --alert 01890a5d --public-key daemoneye/ledger/1234+…

The start of the id is enough when only one alert has it.`,
				Flags:  []cli.Flag{dir, key, &cli.StringFlag{Name: "alert", Usage: "`ID` of the alert"}},
				Action: run(ledgerVerifyEvent),
			},
			{
				Name:  "rotate-key",
				Usage: "make a new key, which the old one signs; the old private key is gone then",
				Description: `   daemoneye ledger rotate-key
   daemoneye ledger rotate-key --data-dir /srv/daemoneye

Note the new public key where the old one is noted.`,
				Action: run(ledgerRotate),
			},
		},
	}
}

// ledgerDir is where the ledger is.
func (c *call) ledgerDir() (string, error) {
	if dir := c.String("dir"); dir != "" {
		return dir, nil
	}
	cfg, err := c.config()
	if err != nil {
		return "", err
	}
	return cfg.Paths.Ledger, nil
}

func (c *call) ledger() (*ledger.Reader, error) {
	dir, err := c.ledgerDir()
	if err != nil {
		return nil, err
	}
	r, err := ledger.OpenReader(dir)
	if err != nil {
		return nil, ledgerError(dir, err)
	}
	return r, nil
}

// ledgerError is an error of reading a ledger for people.
func ledgerError(dir string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &Error{Err: fmt.Errorf("read the ledger in %s: permission denied", dir), Hint: "run this as root, as the collector's user or as a member of the agent's group"}
	case errors.Is(err, fs.ErrNotExist):
		return &Error{Err: fmt.Errorf("there is no ledger in %s", dir), Hint: `the collector makes it when "daemoneye run" starts it; another one is named with --data-dir or --dir`}
	}
	return err
}

// maxLedgerFile bounds a proof or checkpoint file.
const maxLedgerFile = 1 << 20

func (c *call) ledgerFile(name string) ([]byte, error) {
	r := c.input()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		r = f
	}
	text, err := io.ReadAll(io.LimitReader(r, maxLedgerFile+1))
	if err == nil && len(text) > maxLedgerFile {
		err = fmt.Errorf("%s has more than %d bytes: it is no checkpoint or proof", name, maxLedgerFile)
	}
	return text, err
}

// entryNumber reads the number of an entry, or of entries.
func entryNumber(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, usage("entries are numbered from 0", "%q is no number of an entry", s)
	}
	return n, nil
}

// plainText writes text of ours, line by line, as a terminal may receive it.
func (c *call) plainText(text []byte) error {
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Fprintln(c.out, c.out.Text(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}

// ledgerEntry is an entry as JSON.
type ledgerEntry struct {
	Sequence    uint64          `json:"sequence"`
	Time        time.Time       `json:"time"`
	ActorRole   string          `json:"actor_role"`
	ActorPID    uint32          `json:"actor_pid"`
	ActorUID    uint32          `json:"actor_user_id"`
	Action      string          `json:"action"`
	Subject     string          `json:"subject"`
	Correlation string          `json:"correlation,omitempty"`
	PayloadHash string          `json:"payload_hash"`
	Payload     json.RawMessage `json:"payload"`
}

func entryOf(e *ledger.Entry) ledgerEntry {
	payload, err := fact.JSON(e.Payload)
	if err != nil { // as the ledger's own, which are text
		payload, _ = json.Marshal(string(e.Payload))
	}
	return ledgerEntry{
		Sequence: e.Sequence, Time: e.Time, ActorRole: e.Actor.Role, ActorPID: e.Actor.PID, ActorUID: e.Actor.UID, Action: e.Action,
		Subject: e.Subject, Correlation: e.Correlation, PayloadHash: fact.Hex(e.PayloadHash), Payload: payload,
	}
}

func ledgerShow(c *call) error {
	asJSON, err := c.wantJSON()
	if err != nil {
		return err
	}
	last := c.Int("last")
	if last < 0 || c.NArg() > 1 || (c.NArg() == 1) == (last > 0) {
		return usage("daemoneye ledger show 42, or --last 20", "name one entry, or how many of the last")
	}
	r, err := c.ledger()
	if err != nil {
		return err
	}
	var from, to uint64
	if last > 0 {
		size, err := r.Size()
		if err != nil {
			return err
		}
		from, to = size-min(size, uint64(last)), size
	} else {
		if from, err = entryNumber(c.Args().First()); err != nil {
			return err
		}
		to = from + 1
	}
	shown := 0
	for e, err := range r.Range(from, to) {
		if err != nil {
			return err
		}
		shown++
		entry := entryOf(&e)
		switch {
		case asJSON:
			err = writeJSONLine(c.out, &entry)
		case last > 0:
			_, err = fmt.Fprintf(c.out, "%s\n", c.out.Fit(c.out.Text(fmt.Sprintf("%d  %s  %s  %s  %s  %s", e.Sequence, e.Time.UTC().Format("2006-01-02 15:04:05.000Z"),
				e.Actor.Role, e.Action, orNone(e.Subject), entry.Payload)), c.out.Width))
		default:
			err = showEntry(c.out, &entry)
		}
		if err != nil {
			return err
		}
	}
	if shown == 0 && last == 0 {
		return fmt.Errorf("there is no entry %d", from)
	}
	return nil
}

func writeJSONLine(out *term.Output, value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", out.JSON(line))
	return err
}

func showEntry(out *term.Output, e *ledgerEntry) error {
	s := newSheet(out)
	s.line("entry", "%d", e.Sequence)
	s.line("time", "%s", e.Time.UTC().Format("2006-01-02 15:04:05.000Z"))
	s.line("by", "%s, pid %d, user id %d", e.ActorRole, e.ActorPID, e.ActorUID)
	s.line("action", "%s", e.Action)
	s.line("subject", "%s", orNone(e.Subject))
	if e.Correlation != "" {
		s.line("correlation", "%s", e.Correlation)
	}
	s.line("payload", "BLAKE3 %s", e.PayloadHash)
	var object map[string]json.RawMessage
	if json.Unmarshal(e.Payload, &object) != nil {
		var text string
		if json.Unmarshal(e.Payload, &text) == nil {
			s.block(text)
		}
		return s.flush()
	}
	for _, f := range term.Fields(e.Payload) {
		s.line("  "+f.Column, "%s", f.Value)
	}
	return s.flush()
}

func ledgerCheckpoint(c *call) error {
	if name := c.String("add-cosignature"); name != "" {
		signed, err := c.ledgerFile(name)
		if err != nil {
			return err
		}
		if _, err := askAgent[api.LedgerAnswer](c, api.LedgerCosign, signed); err != nil {
			return err
		}
		c.note("kept")
		return nil
	}
	if c.String("dir") == "" {
		answer, err := askAgent[api.LedgerAnswer](c, api.LedgerCheckpoint, nil)
		if err == nil {
			return c.plainText(answer.Signed)
		}
		var none *noAgentError
		if !errors.As(err, &none) {
			return err
		}
	}
	r, err := c.ledger()
	if err != nil {
		return err
	}
	signed, _, err := r.Checkpoint()
	if err != nil {
		return err
	}
	return c.plainText(signed)
}

func ledgerRotate(c *call) error {
	answer, err := askAgent[api.LedgerAnswer](c, api.LedgerRotate, nil)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, c.out.Text(answer.PublicKey))
	return err
}
