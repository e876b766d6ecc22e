package rules

import (
	"errors"

	"daemoneye/rules/archive"
)

// PackTrust says which packs are loaded.
type PackTrust struct {
	Keys     []string // public keys of those who are trusted
	Unsigned bool     // load those, too, that are signed by none of the keys
	Version  string   // of this program
}

// Pack is a pack whose rules were loaded, or refused one by one.
type Pack struct {
	archive.Manifest
	File   string // as shown to people
	Signer string // name of the key; "" when the pack is signed by no trusted one
	Rules  int    // that are loaded
}

// ReadPack decodes a pack and checks that it may be loaded. Signer is the name
// of the key, "" when the pack is signed by none of the trusted ones.
func (t PackTrust) ReadPack(data []byte) (p *archive.Pack, signer string, err error) {
	if p, err = archive.Decode(data); err != nil {
		return nil, "", err
	}
	signer, err = p.Verify(t.Keys)
	if t.Unsigned && (errors.Is(err, archive.ErrUnsigned) || errors.Is(err, archive.ErrUntrusted)) {
		err = nil
	}
	if err != nil {
		return nil, "", err
	}
	return p, signer, p.Suits(t.Version)
}

// loadPack loads the rules of a pack, none when it may not be loaded.
func (l *loader) loadPack(s Source, name string) {
	file := s.display(name)
	data, err := l.read(s, name, archive.MaxBytes)
	if err != nil {
		l.unreadable(file, err)
		return
	}
	p, signer, err := l.cfg.Packs.ReadPack(data)
	if err != nil {
		r := refuse(file, "%v", err)
		if errors.Is(err, archive.ErrUnsigned) || errors.Is(err, archive.ErrUntrusted) {
			r.Problems[0].Hint = "rules.trusted_keys names the keys, rules.allow_unsigned_packs takes every pack"
		}
		l.refuse(r)
		return
	}
	before, outside := len(l.set.Rules), l.sigma
	l.sigma = nil
	l.walk(PackSource(file, p), ".", nil)
	l.addSigma()
	l.sigma = outside
	l.set.Packs = append(l.set.Packs, &Pack{Manifest: p.Manifest, File: file, Signer: signer, Rules: len(l.set.Rules) - before})
}

// PackSource returns the rule files of a pack that is shown as file.
func PackSource(file string, p *archive.Pack) Source { return Source{Name: file + ":", FS: p.FS()} }
