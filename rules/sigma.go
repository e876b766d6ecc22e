package rules

import (
	"errors"
	"strings"

	"daemoneye/rules/archive"
	"daemoneye/rules/sigma"
)

// SigmaResult is what came of one document of a Sigma file.
type SigmaResult struct {
	Document *sigma.Document
	File     string   // as shown to people
	Path     string   // within the source
	Rules    []*Rule  // several for a rule about audit records of several kinds
	Refusal  *Refusal // nil unless it is not in force
}

// sigmaFile is a file that waits until all are read.
type sigmaFile struct {
	source Source
	path   string
	docs   []*sigma.Document
}

// isSigma reports whether a file has Sigma rules, by its name. In a directory
// .yaml files are lists, fixtures and such.
func isSigma(name string) bool {
	return strings.HasSuffix(name, ".yml") && !strings.HasSuffix(name, ".test.yml")
}

// holds reports whether a file of a directory holds rules, by its name.
func (s Source) holds(name string) bool {
	return isSigma(name) || !s.SigmaOnly && (strings.HasSuffix(name, ".sql") || strings.HasSuffix(name, archive.Suffix))
}

func (l *loader) loadSigma(s Source, name string) {
	data, err := l.read(s, name, sigma.MaxFileBytes)
	if err != nil {
		l.unreadable(s.display(name), err)
		return
	}
	l.sigma = append(l.sigma, sigmaFile{s, name, sigma.Parse(s.display(name), data)})
}

// addSigma makes rules of the Sigma files that were read.
func (l *loader) addSigma() {
	var docs []*sigma.Document
	for _, f := range l.sigma {
		docs = append(docs, f.docs...)
	}
	texts := map[*sigma.Document][]string{}
	check := func(text string) error {
		if _, refusal := parseRule("", []byte(text), l.cfg.SQL); refusal != nil {
			return errors.New(refusal.Problems[0].Message)
		}
		return nil
	}
	for _, r := range sigma.Convert(docs, sigma.Config{Pipeline: l.cfg.Pipeline, Tag: knownTag, Check: check}) {
		texts[r.Document] = append(texts[r.Document], r.Text)
	}
	files := l.sigma
	l.sigma = nil
	for _, f := range files {
		for _, d := range f.docs {
			result := SigmaResult{Document: d, File: f.source.display(f.path), Path: f.path}
			result.Rules, result.Refusal = l.sigmaRules(&f, d, texts[d])
			l.set.Sigma = append(l.set.Sigma, result)
		}
	}
}

// sigmaRules puts the rules made of a document into the set, all or none.
func (l *loader) sigmaRules(f *sigmaFile, d *sigma.Document, texts []string) ([]*Rule, *Refusal) {
	file := f.source.display(f.path)
	refuse := func(h Header, line int, message, hint string) *Refusal {
		h.Title = d.Title
		return &Refusal{File: file, Header: h, Problems: []*Problem{{File: file, Line: line, Message: message, Hint: hint}}}
	}
	if d.Err != nil {
		line := d.Err.Line
		if line == 0 {
			line = d.Line
		}
		refusal := refuse(Header{}, line, d.Err.Message, "")
		l.refuse(refusal)
		return nil, refusal
	}
	var made []*Rule
	for _, text := range texts {
		r, refusal := parseRule(file, []byte(text), l.cfg.SQL)
		if refusal != nil {
			p := refusal.Problems[0]
			refusal = refuse(refusal.Header, d.Line, "the SELECT made of it: "+p.Message, p.Hint)
			l.refuse(refusal)
			return nil, refusal
		}
		r.made = text
		if len(f.docs) == 1 && len(texts) == 1 { // of several it would not be clear which one the fixtures are for
			r.source, r.path = f.source, f.path
			r.fixture = strings.TrimSuffix(f.path, ".yml") + fixtureSuffix
		}
		made = append(made, r)
	}
	for _, r := range made {
		if refusal := l.add(r); refusal != nil {
			return nil, refusal
		}
	}
	return made, nil
}
