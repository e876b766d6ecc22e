package bpf

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// domainAnswer answers a question with an alias and two addresses.
func domainAnswer(t testing.TB, question []byte) []byte {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		t.Fatal(err)
	}
	m.Response = true
	alias := dnsmessage.MustNewName("alias.example.")
	add := func(name dnsmessage.Name, body dnsmessage.ResourceBody) {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET}, Body: body})
	}
	add(m.Questions[0].Name, &dnsmessage.CNAMEResource{CNAME: alias})
	add(alias, &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}})
	add(alias, &dnsmessage.AResource{A: [4]byte{192, 0, 2, 2}})
	raw, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// message packs a message about one name.
func message(t testing.TB, of dnsmessage.Type, code dnsmessage.RCode, bodies ...dnsmessage.ResourceBody) []byte {
	t.Helper()
	name := dnsmessage.MustNewName("a.example.")
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 1, Response: true, RCode: code},
		Questions: []dnsmessage.Question{{Name: name, Type: of, Class: dnsmessage.ClassINET}},
	}
	for _, b := range bodies {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET}, Body: b})
	}
	raw, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDecodeDNS(t *testing.T) {
	d := decodeDNS(message(t, dnsmessage.TypeTXT, dnsmessage.RCodeSuccess,
		&dnsmessage.TXTResource{TXT: []string{"one", "\xff two"}}, &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("2001:db8::1").As16()},
		&dnsmessage.UnknownResource{Type: 999, Data: []byte("x")}, &dnsmessage.MXResource{MX: dnsmessage.MustNewName("mx.example.")}))
	if d.Name != "a.example" || d.Type != "TXT" || d.Rcode != "NOERROR" || !slices.Equal(d.Texts, []string{"one\xff two"}) ||
		!slices.Equal(d.Addresses, []netip.Addr{netip.MustParseAddr("2001:db8::1")}) || !slices.Equal(d.Names, []string{"mx.example"}) {
		t.Errorf("%+v", d)
	}
	if d := decodeDNS(message(t, 65, dnsmessage.RCodeNameError)); d.Type != "HTTPS" || d.Rcode != "NXDOMAIN" {
		t.Errorf("%+v, want HTTPS and NXDOMAIN", d)
	}
	if d := decodeDNS(message(t, 4444, 15)); d.Type != "TYPE4444" || d.Rcode != "15" {
		t.Errorf("%+v, want TYPE4444 and 15", d)
	}
	var many []dnsmessage.ResourceBody
	for range 2 * maxRecords {
		many = append(many, &dnsmessage.AResource{})
	}
	if d := decodeDNS(message(t, dnsmessage.TypeA, 0, many...)); len(d.Addresses) != maxRecords {
		t.Errorf("%d addresses, want %d", len(d.Addresses), maxRecords)
	}
}

// TestDecodeHostileDNS: what is no message, or a part of one, gives what can be
// understood.
func TestDecodeHostileDNS(t *testing.T) {
	header := "\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	for what, raw := range map[string]string{
		"nothing":           "",
		"no message":        "GET / HTTP/1.1\r\n\r\n",
		"pointer to itself": header + "\xc0\x0c\x00\x01\x00\x01",
		"loop of pointers":  header + "\xc0\x0e\xc0\x0c\x00\x01\x00\x01",
		"long name":         header + strings.Repeat("\x3f"+strings.Repeat("a", 63), 10) + "\x00\x00\x01\x00\x01",
		"no type":           header + "\x01a\x00",
	} {
		if d := decodeDNS([]byte(raw)); d.Name != "" || d.Type != "" {
			t.Errorf("%s: %+v, want no name", what, d)
		}
	}
	whole := message(t, dnsmessage.TypeA, 0, &dnsmessage.AResource{}, &dnsmessage.AResource{})
	if d := decodeDNS(whole[:len(whole)-1]); d.Name != "a.example" || len(d.Addresses) != 1 {
		t.Errorf("%+v of a message that was cut, want its name and one address", d)
	}
	if d := decodeDNS([]byte(header + "\x03\xff\n\x1b\x00\x00\x01\x00\x01")); d.Name != "\xff\n\x1b" {
		t.Errorf("name %q", d.Name)
	}
}

// FuzzDecodeDNS: what is taken of a message is bounded by its size.
func FuzzDecodeDNS(f *testing.F) {
	f.Add(domainAnswer(f, message(f, dnsmessage.TypeA, 0)))
	f.Add(message(f, dnsmessage.TypeTXT, 3, &dnsmessage.TXTResource{TXT: []string{"x"}}, &dnsmessage.SRVResource{Target: dnsmessage.MustNewName("s.example.")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := decodeDNS(b)
		if n := len(d.Addresses) + len(d.Names) + len(d.Texts); n > maxRecords {
			t.Errorf("%d records", n)
		}
		for _, name := range append(d.Names, d.Name) {
			if len(name) > 255 {
				t.Errorf("a name of %d bytes", len(name))
			}
		}
		if n := len(strings.Join(d.Texts, "")); n > len(b) {
			t.Errorf("%d bytes of text of %d", n, len(b))
		}
	})
}
