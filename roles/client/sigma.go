package client

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"daemoneye/roles/api"
	"daemoneye/roles/term"
	"daemoneye/rules"
	"daemoneye/rules/sigma"
)

func sigmaCommand() *cli.Command {
	pipeline := &cli.StringFlag{Name: "pipeline", Usage: "read the names of fields, and values of placeholders, that the rules use from `FILE`"}
	textOrJSON := &cli.StringFlag{Name: "format", Value: "table", Usage: "`FORMAT` of the output: table (text for people), json"}
	return &cli.Command{
		Name:  "sigma",
		Usage: "convert Sigma rules, or see which ones can be",
		Subcommands: []*cli.Command{
			{
				Name:      "convert",
				Usage:     "make rules in SQL of Sigma rules; exit status 1 when one is refused",
				ArgsUsage: "FILE|DIR...",
				Description: `   daemoneye sigma convert ./sigma/rules/linux -o ./converted
   daemoneye sigma convert rule.yml -o ./converted --pipeline fields.yaml

Each becomes NAME.sql in the directory of --output, below the directories that it is in. The others are written when some
are refused. A directory of rules may also hold the Sigma files as they are.`,
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write into the directory `DIR`"}, pipeline,
					&cli.BoolFlag{Name: "force", Usage: "overwrite files that are there"},
				},
				Action: run(sigmaConvert),
			},
			{
				Name:      "coverage",
				Usage:     "count the Sigma rules that can be converted, and why others can not",
				ArgsUsage: "FILE|DIR...",
				Description: `   daemoneye sigma coverage ./sigma/rules
   daemoneye sigma coverage ./sigma/rules --format json`,
				Flags:  []cli.Flag{textOrJSON, pipeline},
				Action: run(sigmaCoverage),
			},
		},
	}
}

// sigmaArguments converts the Sigma rules that the arguments name.
func (c *call) sigmaArguments() (*rules.Set, error) {
	if c.NArg() == 0 {
		return nil, usage(fmt.Sprintf("see %q", c.Command.HelpName+" --help"), "name the files or directories of Sigma rules")
	}
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	load := rules.LoadConfig{SQL: sqlConfig(cfg)}
	if name := c.String("pipeline"); name != "" {
		data, err := readLimited(name, 1<<20)
		if err != nil {
			return nil, fmt.Errorf("pipeline: %w", err)
		}
		if load.Pipeline, err = sigma.ReadPipeline(data); err != nil {
			return nil, fmt.Errorf("pipeline %s: %w", name, err)
		}
	}
	var sources []rules.Source
	for _, name := range c.Args().Slice() {
		s := rules.Dir(name)
		s.SigmaOnly = true
		sources = append(sources, s)
	}
	set := rules.Load(load, sources...)
	if len(set.Sigma) == 0 && len(set.Refused) == 0 {
		return nil, &Error{Err: errors.New("there is no Sigma rule"), Hint: "Sigma rules are files whose names end in .yml"}
	}
	return set, nil
}

func sigmaConvert(c *call) error {
	dir := c.String("output")
	if dir == "" {
		return usage("name it with -o DIR", "convert needs a directory to write into")
	}
	set, err := c.sigmaArguments()
	if err != nil {
		return err
	}
	written := 0
	for _, r := range set.Sigma {
		for _, rule := range r.Rules {
			text, err := rule.Text()
			if err != nil {
				return err
			}
			name := filepath.Join(dir, filepath.FromSlash(sigmaFileName(set.Sigma, &r, rule)))
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				return fmt.Errorf("output: %w", err)
			}
			if err := writeFile(name, []byte(text), 0o644, c.Bool("force")); err != nil {
				return err
			}
			written++
		}
	}
	var b strings.Builder
	for _, r := range refusals(set) {
		writeRefusal(&b, r)
	}
	fmt.Fprintf(&b, "%s written, %d refused\n", term.Plural(int64(written), "rule", "rules"), len(set.Refused))
	if _, err := fmt.Fprint(c.out, b.String()); err != nil {
		return err
	}
	if len(set.Refused) > 0 {
		return ErrNo
	}
	return nil
}

// sigmaFileName is the name of the Sigma file, with the id of the rule where
// the file makes several.
func sigmaFileName(results []rules.SigmaResult, r *rules.SigmaResult, rule *rules.Rule) string {
	made := 0
	for _, other := range results {
		if other.File == r.File {
			made += len(other.Rules)
		}
	}
	name := strings.TrimSuffix(r.Path, path.Ext(r.Path))
	if made > 1 {
		name += "." + rule.ID
	}
	return name + ".sql"
}

// sigmaCount is how many documents of a log source are converted.
type sigmaCount struct {
	Logsource string `json:"logsource"`
	Rules     int64  `json:"rules"`
	Converted int64  `json:"converted"`
	Refused   int64  `json:"refused"`
}

type sigmaRefusal struct {
	File      string `json:"file"`
	Title     string `json:"title"`
	Logsource string `json:"logsource"`
	Reason    string `json:"reason"`
}

func sigmaCoverage(c *call) error {
	asJSON, err := c.wantJSON()
	if err != nil {
		return err
	}
	set, err := c.sigmaArguments()
	if err != nil {
		return err
	}
	counts := map[string]*sigmaCount{}
	told := map[*rules.Refusal]bool{}
	refused := []sigmaRefusal{}
	for _, r := range set.Sigma {
		kind := r.Document.Logsource.String()
		if r.Document.Correlates() {
			kind = "correlation"
		}
		if counts[kind] == nil {
			counts[kind] = &sigmaCount{Logsource: kind}
		}
		counts[kind].Rules++
		if r.Refusal == nil {
			counts[kind].Converted++
			continue
		}
		counts[kind].Refused++
		told[r.Refusal] = true
		refused = append(refused, sigmaRefusal{r.File, r.Document.Title, kind, r.Refusal.Problems[0].Message})
	}
	for _, r := range set.Refused { // what could not be read
		if !told[r] {
			refused = append(refused, sigmaRefusal{r.File, "", "", r.Problems[0].Message})
		}
	}
	var table []*sigmaCount
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		table = append(table, counts[kind])
	}
	if asJSON {
		return writeJSON(c.out, struct {
			Coverage []*sigmaCount  `json:"coverage"`
			Refused  []sigmaRefusal `json:"refused"`
		}{table, refused})
	}
	list := newListing("logsource text", "rules bigint", "converted bigint", "refused bigint")
	for _, n := range table {
		list.add(n.Logsource, n.Rules, n.Converted, n.Refused)
	}
	if err := list.print(newPrinter(c.out, "table")); err != nil || len(refused) == 0 {
		return err
	}
	return c.sigmaReasons(refused)
}

// sigmaReasons lists why rules are refused, the most frequent reason of a log source first.
func (c *call) sigmaReasons(refused []sigmaRefusal) error {
	type reason struct{ logsource, text string }
	counts := map[reason]int64{}
	for _, r := range refused {
		counts[reason{r.Logsource, r.Reason}]++
	}
	reasons := slices.SortedFunc(maps.Keys(counts), func(a, b reason) int {
		return cmp.Or(cmp.Compare(a.logsource, b.logsource), cmp.Compare(counts[b], counts[a]), cmp.Compare(a.text, b.text))
	})
	if _, err := fmt.Fprintln(c.out); err != nil {
		return err
	}
	list := newListing("logsource text", "refused bigint", "reason text")
	list.columns[0] = api.QueryColumn{Name: "logsource", Type: rigidText}
	for _, r := range reasons {
		list.add(r.logsource, counts[r], r.text)
	}
	return list.print(newPrinter(c.out, "table"))
}
