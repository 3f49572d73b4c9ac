package dnsq

import (
	"encoding/binary"
	"errors"
)

// A message is twelve bytes, questions, and records in three sections (RFC 1035
// section 4):
//
//	id:16 flags:16 questions:16 answers:16 authority:16 additional:16
//	question  name type:16 class:16
//	record    name type:16 class:16 ttl:32 length:16 data
//
// A name is labels, each a length below 64 and its bytes, up to an empty one;
// from a label on it may be a pointer, 11 and 14 bits, to where it goes on.
const (
	typeA     = 1
	typeCNAME = 5
	typeSOA   = 6
	typePTR   = 12
	typeMX    = 15
	typeTXT   = 16
	typeAAAA  = 28
	typeOPT   = 41

	classIN = 1
)

var typeNames = map[uint16]string{typeA: "A", typePTR: "PTR", typeMX: "MX", typeTXT: "TXT", typeAAAA: "AAAA"}

const (
	flagResponse  = 1 << 15
	flagsOpcode   = 15 << 11 // 0 is a standard query
	flagTruncated = 1 << 9
	flagRecursion = 1 << 8 // is desired
	flagsRcode    = 15
)

const (
	rcodeOK          = 0
	rcodeFormatError = 1
	rcodeNoName      = 3
	rcodeNotImpl     = 4
)

var rcodeNames = map[int]string{rcodeFormatError: "FORMERR", 2: "SERVFAIL", rcodeNotImpl: "NOTIMP", 5: "REFUSED"}

const headerSize = 12

// query is a question as it is sent.
type query struct {
	id    uint16
	name  wireName
	qtype uint16
	edns  bool
}

// appendTo appends the message, recursion desired.
func (q *query) appendTo(b []byte) []byte {
	additional := uint16(0)
	if q.edns {
		additional = 1
	}
	for _, v := range []uint16{q.id, flagRecursion, 1, 0, 0, additional} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	b = append(b, q.name...)
	b = binary.BigEndian.AppendUint16(b, q.qtype)
	b = binary.BigEndian.AppendUint16(b, classIN)
	if q.edns { // RFC 6891 section 6.1.2
		b = append(b, 0, 0, typeOPT, udpSize>>8, udpSize&255, 0, 0, 0, 0, 0, 0)
	}
	return b
}

// message is one that was received.
type message struct {
	wire    []byte
	id      uint16
	flags   uint16
	rcode   int
	asked   []question
	answers []record
	soa     bool // the authority section has one
}

type question struct {
	name          wireName
	qtype, qclass uint16
}

type record struct {
	name         wireName
	rtype, class uint16
	data, end    int // of its data, in the message
}

func (m *message) truncated() bool { return m.flags&flagTruncated != 0 }

var errFormat = errors.New("message is not in DNS format")

// parse reads a message. Of a truncated one it reads no more than the question.
// An error comes with a message if the question could be read.
func parse(wire []byte) (*message, error) {
	if len(wire) < headerSize {
		return nil, errFormat
	}
	field := func(i int) uint16 { return binary.BigEndian.Uint16(wire[2*i:]) }
	m := &message{wire: wire, id: field(0), flags: field(1), rcode: int(field(1) & flagsRcode)}
	at := headerSize
	for range field(2) {
		var q question
		var err error
		if q.name, at, err = m.nameAt(at); err != nil || at+4 > len(wire) {
			return nil, errFormat
		}
		q.qtype, q.qclass = binary.BigEndian.Uint16(wire[at:]), binary.BigEndian.Uint16(wire[at+2:])
		at += 4
		m.asked = append(m.asked, q)
	}
	if m.truncated() {
		return m, nil
	}
	for section := 3; section <= 5; section++ {
		for range field(section) {
			r, err := m.recordAt(at)
			if err != nil {
				return m, err
			}
			at = r.end
			switch {
			case section == 3:
				m.answers = append(m.answers, r)
			case section == 4 && r.rtype == typeSOA:
				m.soa = true
			case section == 5 && r.rtype == typeOPT:
				// The code has more bits there (RFC 6891 section 6.1.3).
				m.rcode |= int(wire[r.data-6]) << 4
			}
		}
	}
	return m, nil
}

func (m *message) recordAt(at int) (r record, err error) {
	if r.name, at, err = m.nameAt(at); err != nil || at+10 > len(m.wire) {
		return r, errFormat
	}
	r.rtype, r.class = binary.BigEndian.Uint16(m.wire[at:]), binary.BigEndian.Uint16(m.wire[at+2:])
	r.data = at + 10
	if r.end = r.data + int(binary.BigEndian.Uint16(m.wire[at+8:])); r.end > len(m.wire) {
		return r, errFormat
	}
	return r, nil
}

// nameAt reads the name at an offset and says where the message goes on.
func (m *message) nameAt(at int) (name wireName, next int, err error) {
	var b [maxName]byte
	n := 0
	// A pointer goes back to what was there before (RFC 1035 section 4.1.4):
	// a chain of them comes to an end. Nor need it be longer than a name.
	limit := len(m.wire)
	start, pointers := at, 0
	for at < limit {
		c := int(m.wire[at])
		switch {
		case c >= 0xc0:
			if pointers++; at+2 > limit || pointers > maxName/2 {
				return "", 0, errFormat
			}
			if next == 0 {
				next = at + 2
			}
			at = c&0x3f<<8 | int(m.wire[at+1])
			if at >= start {
				return "", 0, errFormat
			}
			limit, start = start, at
		case c >= 64 || at+1+c > limit || n+1+c > maxName:
			return "", 0, errFormat
		default:
			n += copy(b[n:], m.wire[at:at+1+c])
			at += 1 + c
			if c == 0 {
				if next == 0 {
					next = at
				}
				return wireName(b[:n]), next, nil
			}
		}
	}
	return "", 0, errFormat
}

// nameIn reads a name that fills a record's data from an offset to the end.
func (m *message) nameIn(r record, at int) (wireName, error) {
	name, next, err := m.nameAt(at)
	if err != nil || next != r.end {
		return "", errFormat
	}
	return name, nil
}

// bytes returns a record's data.
func (m *message) bytes(r record) []byte { return m.wire[r.data:r.end] }
