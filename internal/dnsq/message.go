package dnsq

import (
	"errors"

	"golang.org/x/net/dns/dnsmessage"
)

// query is a question as it is sent.
type query struct {
	id    uint16
	name  domain
	qtype dnsmessage.Type
	edns  bool
}

// appendTo appends the message, recursion desired.
func (q *query) appendTo(b []byte) ([]byte, error) {
	name, err := dnsmessage.NewName(string(q.name))
	if err != nil {
		return nil, err
	}
	m := dnsmessage.NewBuilder(b, dnsmessage.Header{ID: q.id, RecursionDesired: true})
	if err := m.StartQuestions(); err != nil {
		return nil, err
	}
	if err := m.Question(dnsmessage.Question{Name: name, Type: q.qtype, Class: dnsmessage.ClassINET}); err != nil {
		return nil, err
	}
	if q.edns { // RFC 6891 section 6.1.2
		var h dnsmessage.ResourceHeader
		if err := h.SetEDNS0(udpSize, dnsmessage.RCodeSuccess, false); err != nil {
			return nil, err
		}
		if err := m.StartAdditionals(); err != nil {
			return nil, err
		}
		if err := m.OPTResource(h, dnsmessage.OPTResource{}); err != nil {
			return nil, err
		}
	}
	return m.Finish()
}

// message is one that was received.
type message struct {
	dnsmessage.Header // RCode with the bits that EDNS0 adds
	asked             []dnsmessage.Question
	answers           dnsmessage.Parser // before the first of them
	soa               bool              // the authority section has one
}

var errFormat = errors.New("message is not in DNS format")

// parse reads a message. Of a truncated one it reads no more than the question.
// An error comes with a message if the question could be read.
//
// Nothing but their owners and sizes is known of the records then. Of the
// authority section nothing else is looked at, where a SOA may well have dots in
// the first label of somebody's mail address.
func parse(wire []byte) (*message, error) {
	var p dnsmessage.Parser
	h, err := p.Start(wire)
	if err != nil {
		return nil, err
	}
	m := &message{Header: h}
	if m.asked, err = p.AllQuestions(); err != nil {
		return nil, err
	}
	if m.Truncated {
		return m, nil
	}
	m.answers = p
	if err := each(p.AnswerHeader, p.SkipAnswer, nil); err != nil {
		return m, err
	}
	err = each(p.AuthorityHeader, p.SkipAuthority, func(h dnsmessage.ResourceHeader) error {
		m.soa = m.soa || h.Type == dnsmessage.TypeSOA
		return nil
	})
	if err != nil {
		return m, err
	}
	return m, each(p.AdditionalHeader, p.SkipAdditional, func(h dnsmessage.ResourceHeader) error {
		if h.Type == dnsmessage.TypeOPT {
			// RFC 6891 section 6.1.3. The library's ExtendedRCode knows no
			// errors of a server with another version of EDNS.
			m.RCode |= dnsmessage.RCode(h.TTL>>24) << 4
		}
		return nil
	})
}

// each reads the headers of one section, and calls found with each while the
// parser stands before the record's data.
func each(header func() (dnsmessage.ResourceHeader, error), skip func() error, found func(dnsmessage.ResourceHeader) error) error {
	for {
		h, err := header()
		if err == dnsmessage.ErrSectionDone {
			return nil
		}
		if err == nil && found != nil {
			err = found(h)
		}
		if err == nil {
			err = skip()
		}
		if err != nil {
			return err
		}
	}
}
