package client

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode"

	"daemoneye/rules"
)

// junitSuites is a report in the XML that CI systems read.
type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

// junitSuite is what was tested of one rule.
type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string       `xml:"name,attr"`
	Class   string       `xml:"classname,attr"`
	File    string       `xml:"file,attr,omitempty"`
	Failure *junitReason `xml:"failure"`
	Error   *junitReason `xml:"error"`
	Skipped *junitReason `xml:"skipped"`
}

type junitReason struct {
	Message string `xml:"message,attr"`
}

func (s *junitSuite) add(k junitCase) {
	s.Tests++
	switch {
	case k.Failure != nil:
		s.Failures++
	case k.Error != nil:
		s.Errors++
	case k.Skipped != nil:
		s.Skipped++
	}
	k.Name, k.Class, k.File = printable(k.Name), printable(k.Class), printable(k.File)
	s.Cases = append(s.Cases, k)
}

// writeJUnit writes a suite for each rule: a refused one is an error, one
// without fixtures is skipped.
func writeJUnit(out io.Writer, reports []testReport, set *rules.Set) error {
	all := junitSuites{}
	for _, r := range set.Refused {
		s := junitSuite{Name: printable(r.File)}
		s.add(junitCase{Name: "loads", Class: r.File, File: r.File, Error: because(r.Error())})
		all.Suites = append(all.Suites, s)
	}
	for _, r := range reports {
		s := junitSuite{Name: printable(r.Rule)}
		file := ""
		if r.File != nil {
			file = *r.File
		}
		if r.Untested {
			s.add(junitCase{Name: "fixtures", Class: r.Rule, Skipped: because("there are no fixtures")})
		}
		if r.Error != "" {
			s.add(junitCase{Name: "fixtures", Class: r.Rule, File: file, Error: because(r.Error)})
		}
		for _, k := range r.Cases {
			one := junitCase{Name: k.Name, Class: r.Rule, File: file}
			if k.Error != "" {
				one.Error = because(k.Error)
			} else if !k.Passed {
				one.Failure = because(fmt.Sprintf("%d matches, want %d", k.Got, k.Want))
			}
			s.add(one)
		}
		all.Suites = append(all.Suites, s)
	}
	data, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s%s\n", xml.Header, data)
	return err
}

func because(text string) *junitReason { return &junitReason{printable(text)} }

// printable replaces characters that move a terminal's cursor.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c != '\n' && !unicode.IsPrint(c) {
			return unicode.ReplacementChar
		}
		return c
	}, s)
}
