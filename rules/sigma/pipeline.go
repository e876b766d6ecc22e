package sigma

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Pipeline says what the names in rules stand for on this site. It is a part of
// what pySigma's processing pipelines are, and refuses the rest:
//
//	name: our hosts
//	vars:                              # for values such as %admins% with expand
//	  admins: [alice, bob]
//	transformations:
//	  - type: field_name_mapping       # a field of rules → a field that has a column
//	    mapping:
//	      process.executable: Image
//	      process.args: [CommandLine, ParentCommandLine]   # one of them
//	  - type: change_logsource
//	    category: process_creation
//	    rule_conditions:
//	      - type: logsource
//	        service: endpoint
type Pipeline struct {
	vars  map[string][]string
	steps []step
}

// step is a transformation.
type step struct {
	when    []Logsource // one of which must be the rule's; none: any rule
	mapping map[string][]string
	source  *Logsource
}

const maxPipeline = 256 << 10

type pipelineFile struct {
	Name            string           `yaml:"name"`
	Priority        int              `yaml:"priority"`
	Vars            map[string]texts `yaml:"vars"`
	Transformations []struct {
		ID         string           `yaml:"id"`
		Type       string           `yaml:"type"`
		Mapping    map[string]texts `yaml:"mapping"`
		Product    string           `yaml:"product"`
		Category   string           `yaml:"category"`
		Service    string           `yaml:"service"`
		Conditions []struct {
			Type     string `yaml:"type"`
			Product  string `yaml:"product"`
			Category string `yaml:"category"`
			Service  string `yaml:"service"`
		} `yaml:"rule_conditions"`
	} `yaml:"transformations"`
}

// texts is a text or a list of texts.
type texts []string

// UnmarshalYAML reads either form.
func (s *texts) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*s = []string{n.Value}
		return nil
	}
	return n.Decode((*[]string)(s))
}

// ReadPipeline reads a pipeline.
func ReadPipeline(data []byte) (*Pipeline, error) {
	if len(data) > maxPipeline {
		return nil, fmt.Errorf("larger than %d KiB", maxPipeline>>10)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	var f pipelineFile
	if err := d.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n ", ""), "yaml: "))
	}
	p := &Pipeline{vars: map[string][]string{}}
	for name, list := range f.Vars {
		p.vars[name] = list
	}
	for i, t := range f.Transformations {
		s := step{mapping: map[string][]string{}}
		switch t.Type {
		case "field_name_mapping":
			for name, list := range t.Mapping {
				s.mapping[name] = list
			}
		case "change_logsource":
			s.source = &Logsource{t.Product, t.Category, t.Service}
		default:
			return nil, fmt.Errorf("transformation %d: type %q is not known; there are field_name_mapping and change_logsource", i+1, t.Type)
		}
		for _, c := range t.Conditions {
			if c.Type != "logsource" {
				return nil, fmt.Errorf("transformation %d: a condition of type %q is not known; there is logsource", i+1, c.Type)
			}
			s.when = append(s.when, Logsource{c.Product, c.Category, c.Service})
		}
		p.steps = append(p.steps, s)
	}
	return p, nil
}

func (s *step) concerns(l Logsource) bool {
	return len(s.when) == 0 || slices.ContainsFunc(s.when, func(w Logsource) bool {
		return (w.Product == "" || w.Product == l.Product) && (w.Category == "" || w.Category == l.Category) && (w.Service == "" || w.Service == l.Service)
	})
}

// prepare puts values in the place of placeholders, and changes names. p may be nil.
func (p *Pipeline) prepare(d *Document) *Error {
	for _, it := range items(d.condition) {
		for i, forms := range it.tests {
			if len(forms) != 1 || forms[0].op != opMatch || forms[0].text == "" {
				continue
			}
			expanded, err := p.expand(it, forms[0])
			if err != nil {
				return err
			}
			it.tests[i] = expanded
		}
	}
	if p == nil {
		return nil
	}
	for _, s := range p.steps {
		if !s.concerns(d.Logsource) {
			continue
		}
		if s.source != nil {
			d.Logsource = *s.source
		}
		d.condition = rename(d.condition, s.mapping)
	}
	return nil
}

// expand returns a test for each value of a placeholder.
func (p *Pipeline) expand(it *item, t test) ([]test, *Error) {
	_, rest, ok := strings.Cut(t.text, "%")
	name, after, closed := strings.Cut(rest, "%")
	if !ok || !closed || name == "" {
		return nil, fail(it.line, "field %q: %q has no placeholder such as %%name%%", it.field, oneLine(t.text))
	}
	var values []string
	if p != nil {
		values = p.vars[name]
	}
	if len(values) == 0 {
		return nil, fail(it.line, "placeholder %%%s%% has no values in a pipeline", oneLine(name))
	}
	if strings.Contains(after, "%") {
		return nil, fail(it.line, "field %q: more than one placeholder", it.field)
	}
	var out []test
	for _, v := range values {
		one := t
		one.text = ""
		one.pattern = nil
		for _, e := range t.pattern { // with the wildcards of contains and such
			if i := strings.Index(e.text, "%"+name+"%"); i >= 0 {
				one.pattern = append(one.pattern, slices.Concat(literal(e.text[:i]), newPattern(v), literal(e.text[i+len(name)+2:]))...)
				continue
			}
			one.pattern = append(one.pattern, e)
		}
		out = append(out, one)
	}
	return out, nil
}

// rename gives fields their other names; of several one must match.
func rename(n node, mapping map[string][]string) node {
	if len(mapping) == 0 {
		return n
	}
	switch n := n.(type) {
	case and:
		out := slices.Clone(n)
		for i := range out {
			out[i] = rename(out[i], mapping)
		}
		return out
	case or:
		out := slices.Clone(n)
		for i := range out {
			out[i] = rename(out[i], mapping)
		}
		return out
	case not:
		return not{rename(n.node, mapping)}
	case *item:
		names, ok := mapping[n.field]
		if !ok || n.field == "" {
			return n
		}
		var either or
		for _, name := range names {
			one := *n
			one.field = name
			either = append(either, &one)
		}
		return either
	}
	return n
}
