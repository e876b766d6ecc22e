package bpf

import (
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// maxRecords bounds what is taken of one answer.
const maxRecords = 64

// DNS is a message of the DNS, as far as it could be understood.
type DNS struct {
	ID        uint16
	Name      string // asked for, without the dot at its end; "" when there is no question
	Type      string // such as AAAA
	Rcode     string // such as NXDOMAIN
	Addresses []netip.Addr
	Names     []string // that the answer gives: aliases, servers, hosts of an address
	Texts     []string
	Cut       bool // the message is longer than what was taken of it
}

// decodeDNS never fails: what can not be understood is left out. The parser
// follows few pointers of compressed names, and no loop.
func decodeDNS(b []byte) *DNS {
	d := &DNS{}
	var p dnsmessage.Parser
	header, err := p.Start(b)
	if err != nil {
		return d
	}
	d.ID, d.Rcode = header.ID, rcode(header.RCode)
	q, err := p.Question()
	if err != nil {
		return d
	}
	d.Name, d.Type = dnsName(q.Name), typeName(q.Type)
	if p.SkipAllQuestions() != nil {
		return d
	}
	for range maxRecords {
		r, err := p.Answer()
		if err != nil {
			return d
		}
		d.add(r.Body)
	}
	return d
}

func (d *DNS) add(body dnsmessage.ResourceBody) {
	switch r := body.(type) {
	case *dnsmessage.AResource:
		d.Addresses = append(d.Addresses, netip.AddrFrom4(r.A))
	case *dnsmessage.AAAAResource:
		d.Addresses = append(d.Addresses, netip.AddrFrom16(r.AAAA))
	case *dnsmessage.CNAMEResource:
		d.Names = append(d.Names, dnsName(r.CNAME))
	case *dnsmessage.PTRResource:
		d.Names = append(d.Names, dnsName(r.PTR))
	case *dnsmessage.NSResource:
		d.Names = append(d.Names, dnsName(r.NS))
	case *dnsmessage.MXResource:
		d.Names = append(d.Names, dnsName(r.MX))
	case *dnsmessage.SRVResource:
		d.Names = append(d.Names, dnsName(r.Target))
	case *dnsmessage.TXTResource:
		d.Texts = append(d.Texts, strings.Join(r.TXT, ""))
	}
}

// dnsName returns a name without the dot at its end; the root is a dot.
func dnsName(n dnsmessage.Name) string {
	s := n.String()
	if s == "." {
		return s
	}
	return strings.TrimSuffix(s, ".")
}

// typeName returns the name of a type of records; of one without, TYPE and its
// number, RFC 3597.
func typeName(t dnsmessage.Type) string {
	switch t {
	case 35:
		return "NAPTR"
	case 43:
		return "DS"
	case 48:
		return "DNSKEY"
	case 64:
		return "SVCB"
	case 65:
		return "HTTPS"
	case 255:
		return "ANY"
	}
	if s, ok := strings.CutPrefix(t.String(), "Type"); ok {
		return s
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// rcode returns the name of a response code, RFC 6895.
func rcode(c dnsmessage.RCode) string {
	names := []string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"}
	if int(c) < len(names) {
		return names[c]
	}
	return strconv.Itoa(int(c))
}
