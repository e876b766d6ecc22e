package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"daemoneye/roles/api"
	"daemoneye/roles/config"
	"daemoneye/roles/term"
	"daemoneye/rules"
	"daemoneye/rules/archive"
)

func rulesPackCommand() *cli.Command {
	force := &cli.BoolFlag{Name: "force", Usage: "overwrite the file of --output"}
	return &cli.Command{
		Name:  "pack",
		Usage: "build, sign, verify, install and list packs of rules",
		Subcommands: []*cli.Command{
			{
				Name:      "build",
				Usage:     "make a pack of a directory of rules",
				ArgsUsage: "DIR",
				Description: `   daemoneye rules pack build ./team -o team.pack
   daemoneye rules pack build ./team -o team.pack --force

DIR/pack.yaml has the pack's name, version and created (a date), and may have author and minimum_version. All files
that do not begin with a dot are packed. The same directory gives the same bytes, wherever and whenever it is packed.`,
				Flags:  []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the pack to `FILE`"}, force},
				Action: run(packBuild),
			},
			{
				Name:  "keygen",
				Usage: "make a key to sign packs with, and print its public key",
				Description: `   daemoneye rules pack keygen --name ann@example.org -o ann.key
   daemoneye rules pack keygen --name build-server -o /root/build-server.key

FILE gets the private key, FILE.pub the public one, which belongs into rules.trusted_keys where the packs are installed.`,
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "name", Usage: "`NAME` of the key, by which verify and list call it"},
					&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the private key to `FILE`"},
				},
				Action: run(packKeygen),
			},
			{
				Name:      "sign",
				Usage:     "add a signature to a pack",
				ArgsUsage: "FILE",
				Description: `   daemoneye rules pack sign team.pack --key ann.key
   daemoneye rules pack sign team.pack --key /root/build-server.key

The signature is added to FILE itself, beside those it has.`,
				Flags:  []cli.Flag{&cli.StringFlag{Name: "key", Usage: "sign with the private key in `FILE`"}},
				Action: run(packSign),
			},
			{
				Name:      "verify",
				Usage:     "check a pack and its signature; exit status 1 when it is not good",
				ArgsUsage: "FILE",
				Description: `   daemoneye rules pack verify team.pack --public-key ann.key.pub
   daemoneye rules pack verify team.pack`,
				Flags:  []cli.Flag{repeatedFlag("public-key", "take signatures by `KEY`, the text of a public key or a file with it, instead of those of rules.trusted_keys; may be repeated")},
				Action: run(packVerify),
			},
			{
				Name:      "install",
				Usage:     "check a pack and put it in force",
				ArgsUsage: "FILE",
				Description: `   daemoneye rules pack install team.pack
   daemoneye rules pack install team.pack --rules /etc/daemoneye/rules

The pack must be signed by one of rules.trusted_keys, every rule be valid, its id be free and its fixtures pass. Then it
becomes NAME.pack in the first directory of rules, in one step in place of the version before, and a running agent
reads it. To remove a pack, remove that file.`,
				Flags: []cli.Flag{
					repeatedFlag("rules", "install into `DIR` instead of the first configured directory of rules"),
					&cli.BoolFlag{Name: "no-test", Usage: "do not run the fixtures"},
					&cli.BoolFlag{Name: "downgrade", Usage: "take a version before the one that is installed"},
				},
				Action: run(packInstall),
			},
			{
				Name:  "list",
				Usage: "list the packs that are installed, and those refused",
				Description: `   daemoneye rules pack list
   daemoneye rules pack list --format json`,
				Flags:  []cli.Flag{formatFlag(), repeatedFlag("rules", "list the packs of `DIR`; may be repeated")},
				Action: run(packList),
			},
		},
	}
}

// packTrust is what the configuration says of packs.
func packTrust(cfg *config.Config) rules.PackTrust {
	return rules.PackTrust{Keys: cfg.Rules.TrustedKeys, Unsigned: cfg.Rules.AllowUnsigned}
}

// anyPack is for packs that are looked at and not put in force.
var anyPack = rules.PackTrust{Unsigned: true}

func packTitle(p *archive.Pack) string {
	m := &p.Manifest
	return fmt.Sprintf("%s %s, %s", m.Name, m.Version, term.Plural(int64(len(m.Files)), "file", "files"))
}

// readLimited reads a file of at most limit bytes.
func readLimited(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s is not a regular file of at most %d bytes", name, limit)
	}
	return os.ReadFile(name)
}

func readPack(name string) ([]byte, *archive.Pack, error) {
	data, err := readLimited(name, archive.MaxBytes)
	if err != nil {
		return nil, nil, err
	}
	p, err := archive.Decode(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, p, nil
}

func writePack(name string, p *archive.Pack, force bool) error {
	data, err := p.Encode()
	if err != nil {
		return err
	}
	return writeFile(name, data, 0o644, force)
}

// required refuses a call without one of the flags.
func (c *call) required(flags ...string) error {
	for _, name := range flags {
		if c.String(name) == "" {
			return usage(fmt.Sprintf("see %q", c.Command.HelpName+" --help"), "%s wants --%s", c.Command.Name, name)
		}
	}
	return nil
}

func packBuild(c *call) error {
	if err := c.exactly(1, "one directory"); err != nil {
		return err
	}
	if err := c.required("output"); err != nil {
		return err
	}
	dir := c.Args().First()
	p, err := archive.Build(os.DirFS(dir))
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if err := writePack(c.String("output"), p, c.Bool("force")); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s: not signed yet\n", packTitle(p))
	return err
}

const maxKey = 4096 // bytes of a file with a key

func packKeygen(c *call) error {
	if err := c.exactly(0, ""); err != nil {
		return err
	}
	if err := c.required("name", "output"); err != nil {
		return err
	}
	private, public, err := archive.GenerateKey(c.String("name"))
	if err != nil {
		return usage("", "%v", err)
	}
	name := c.String("output")
	if err := writeFile(name, []byte(private+"\n"), 0o600, false); err != nil {
		return err
	}
	if err := writeFile(name+".pub", []byte(public+"\n"), 0o644, false); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, public)
	return err
}

func packSign(c *call) error {
	if err := c.exactly(1, "one pack"); err != nil {
		return err
	}
	if err := c.required("key"); err != nil {
		return err
	}
	key, err := readLimited(c.String("key"), maxKey)
	if err != nil {
		return err
	}
	name := c.Args().First()
	_, p, err := readPack(name)
	if err != nil {
		return err
	}
	if err := p.Sign(string(key)); err != nil {
		return fmt.Errorf("%s: %w", c.String("key"), err)
	}
	if err := writePack(name, p, true); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s: signed\n", packTitle(p))
	return err
}

// publicKeys returns those of --public-key, else the configuration's.
func (c *call) publicKeys() ([]string, error) {
	given := c.repeated("public-key")
	if len(given) == 0 {
		cfg, err := c.config()
		if err != nil {
			return nil, err
		}
		return cfg.Rules.TrustedKeys, nil
	}
	keys := make([]string, len(given))
	for i, text := range given {
		keys[i] = text
		if data, err := readLimited(text, maxKey); err == nil {
			keys[i] = strings.TrimSpace(string(data))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := archive.CheckKey(keys[i]); err != nil {
			return nil, usage("", "--public-key %s is neither a file nor a public key, which is written NAME+HASH+BASE64", text)
		}
	}
	return keys, nil
}

func packVerify(c *call) error {
	if err := c.exactly(1, "one pack"); err != nil {
		return err
	}
	keys, err := c.publicKeys()
	if err != nil {
		return err
	}
	name := c.Args().First()
	_, p, err := readPack(name)
	if err != nil {
		return err
	}
	signer, err := p.Verify(keys)
	if err != nil {
		return untrusted(name, err)
	}
	_, err = fmt.Fprintf(c.out, "%s: signed by %s\n", packTitle(p), c.out.Text(signer))
	return err
}

func untrusted(name string, err error) error {
	err = fmt.Errorf("%s: %w", name, err)
	switch {
	case errors.Is(err, archive.ErrUnsigned):
		return &Error{Err: err, Hint: `"daemoneye rules pack sign" signs it; rules.allow_unsigned_packs: true takes every pack`}
	case errors.Is(err, archive.ErrUntrusted):
		return &Error{Err: err, Hint: "rules.trusted_keys names those whose packs are taken; rules.allow_unsigned_packs: true takes every pack"}
	}
	return err
}

func packInstall(c *call) error {
	if err := c.exactly(1, "one pack"); err != nil {
		return err
	}
	cfg, err := c.config()
	if err != nil {
		return err
	}
	if len(cfg.Paths.RulesDirs) == 0 {
		return &Error{Err: errors.New("no directory of rules is known"), Hint: "name one with --rules"}
	}
	name := c.Args().First()
	data, err := readLimited(name, archive.MaxBytes)
	if err != nil {
		return err
	}
	trust := packTrust(cfg)
	trust.Version = c.App.Version
	p, signer, err := trust.ReadPack(data)
	if err != nil {
		return untrusted(name, err)
	}
	dir := cfg.Paths.RulesDirs[0]
	if cfg.Paths.RulesDefault {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	target := filepath.Join(dir, p.Manifest.Name+archive.Suffix)
	set, err := c.installable(cfg, p, name, target)
	if err != nil {
		return err
	}
	before, err := os.ReadFile(target)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	was := err == nil
	if err := writeFile(target, data, 0o644, true); err != nil {
		return err
	}
	by := "not signed by a trusted key"
	if signer != "" {
		by = "signed by " + c.out.Text(signer)
	}
	if _, err := fmt.Fprintf(c.out, "%s, %s, %s: installed as %s\n", packTitle(p), term.Plural(int64(len(set.Rules)), "rule", "rules"), by, c.out.Text(target)); err != nil {
		return err
	}
	err = c.reloadIfRunning(cfg)
	if !errors.Is(err, errKept) {
		return err
	}
	if was {
		err = writeFile(target, before, 0o644, true)
	} else {
		err = os.Remove(target)
	}
	if err != nil {
		return err
	}
	return &Error{
		Err:  fmt.Errorf("%s is taken back: a file is refused by the agent, which keeps the rules from before", name),
		Hint: `"daemoneye health" says which; of a pack, rules.trusted_keys of the agent's configuration decide, not of yours`,
	}
}

// errKept is of an agent that goes on with the rules from before.
var errKept = errors.New("the agent keeps the rules from before, as a file is refused")

// installable returns the rules of a pack that may be installed as target.
func (c *call) installable(cfg *config.Config, p *archive.Pack, name, target string) (*rules.Set, error) {
	present := loadRules(cfg)
	for _, old := range present.Packs {
		if filepath.Clean(old.File) == target && archive.Compare(p.Manifest.Version, old.Version) < 0 && !c.Bool("downgrade") {
			return nil, &Error{Err: fmt.Errorf("%s is version %s, and %s is installed", name, p.Manifest.Version, old.Version), Hint: "--downgrade takes it nevertheless"}
		}
	}
	set := rules.Load(rules.LoadConfig{SQL: sqlConfig(cfg)}, rules.PackSource(name, p))
	var b strings.Builder
	for _, r := range refusals(set) {
		writeRefusal(&b, r)
	}
	for _, r := range set.Rules {
		if other := present.Rule(r.ID); other != nil && !strings.HasPrefix(filepath.Clean(other.File), target+":") {
			fmt.Fprintf(&b, "%s\n", term.Escape(fmt.Sprintf("%s: id %q is taken by %s", r.File, r.ID, other.File)))
		}
	}
	if b.Len() == 0 && !c.Bool("no-test") {
		results := rules.Test(c.ctx, set)
		if err := c.ctx.Err(); err != nil {
			return nil, err
		}
		var failed []testReport
		for i := range results {
			if !results[i].Passed() && !results[i].Untested {
				failed = append(failed, reportOf(&results[i]))
			}
		}
		if len(failed) > 0 {
			return nil, errors.Join(showTests(c.err, failed, set), fmt.Errorf("%s is not installed: %s failed its fixtures", name, term.Plural(int64(len(failed)), "rule", "rules")))
		}
	}
	if b.Len() > 0 {
		_, err := fmt.Fprint(c.err, b.String())
		return nil, errors.Join(err, fmt.Errorf("%s is not installed: not every rule can be put in force", name))
	}
	if len(set.Rules) == 0 {
		return nil, fmt.Errorf("%s has no rule", name)
	}
	return set, nil
}

// reloadIfRunning tells the agent, if one runs, that rules have changed.
func (c *call) reloadIfRunning(cfg *config.Config) error {
	conn, socket, err := c.dial(cfg)
	var none *noAgentError
	switch {
	case errors.As(err, &none) && !none.named:
		_, err = fmt.Fprintln(c.out, "no agent runs that could read it now")
		return err
	case err != nil:
		return err
	}
	defer conn.Close()
	r, err := ask[api.ReloadReply](c.ctx, conn, socket, api.RulesReload, nil)
	if err != nil {
		return err
	}
	if r.Kept {
		return errKept
	}
	_, err = fmt.Fprintf(c.out, "the agent has %s in force\n", term.Plural(int64(r.Loaded), "rule", "rules"))
	return err
}

func packList(c *call) error {
	name, err := format(c.Context)
	if err != nil {
		return err
	}
	if err := c.exactly(0, ""); err != nil {
		return err
	}
	cfg, err := c.config()
	if err != nil {
		return err
	}
	set := loadRules(cfg)
	list := newListing("pack text", "version text", "created text", "author text", "rules bigint", "signed_by text", "file text", "error text")
	for _, p := range set.Packs {
		list.add(p.Name, p.Version, p.Created, orNull(p.Author), int64(p.Rules), orNull(p.Signer), p.File, nil)
	}
	for _, r := range set.Refused {
		if strings.HasSuffix(r.File, archive.Suffix) {
			base := filepath.Base(r.File)
			list.add(strings.TrimSuffix(base, archive.Suffix), nil, nil, nil, int64(0), nil, r.File, r.Problems[0].Message)
		}
	}
	return list.print(newPrinter(c.out, name))
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
