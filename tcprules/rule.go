// Package tcprules owns the rules by which a TCP server lets clients in: the
// language that administrators write (language.go), the database it is compiled
// into, and the search in it (search.go).
//
//	address:allow,VAR="value",…       the text, a rule on each line
//	address:deny                      # begins a comment in the first column
//
//	address → ( D\0 | +VAR=value\0 )… the database, constant (package cdb)
//	/4\n → lengths, /6\n → lengths    what lengths the networks in it have
//
// The first rule that is found counts; these addresses are looked for, in this
// order (rules.c):
//
//	info@ip  info@=host  ip  =host    what is known of the client
//	10.1.2.128/25 … 10.1.2. … 10. …   its networks, the smallest first
//	=.example.org  =.org  =           its domain; has a name
//	(empty)                           everybody
//
// Networks with a slash are ours, and so are IPv6 addresses. Their keys are
// canonical: the network's first address, as RFC 5952 writes it, and the number
// of bits. A client belongs to 33 or 129 of them, but a database has networks of
// a few lengths only, and says of which: one byte for each length, the longest
// first. No rule can have that record's key, because no line holds a line feed.
// A C tcpserver never looks for any of these keys.
package tcprules

import (
	"bytes"
	"iter"
)

// Rule is the rule that was found.
type Rule struct {
	Address string // the key it was found under
	data    []byte
}

// Do is one thing that a rule says.
type Do struct {
	Deny bool   // else:
	Set  string // VAR=value
}

// All yields what the rule says, in order. Bytes that a later version of the
// format may give a meaning are passed over.
func (r *Rule) All() iter.Seq[Do] {
	return func(yield func(Do) bool) {
		for data := r.data; ; {
			item, rest, ok := bytes.Cut(data, []byte{0})
			if !ok {
				return
			}
			if len(item) > 0 {
				switch item[0] {
				case 'D':
					if !yield(Do{Deny: true}) {
						return
					}
				case '+':
					if !yield(Do{Set: string(item[1:])}) {
						return
					}
				}
			}
			data = rest
		}
	}
}
