// Package received owns the trace line that a server puts in front of a
// message it took from the network (received.c):
//
//	Received: from HOST (HELO NAME) (INFO@IP)
//	  by LOCAL with PROTOCOL; 26 Sep 1995 04:46:54 -0000
//
// Everything in it that the other side chose is limited to letters, digits and
// .@%+/=:-[]; any other byte becomes a question mark. A name can thus neither
// end the header field nor open a comment.
package received

import (
	"time"

	"paperpath/internal/date822"
	"paperpath/internal/proc"
)

// Peer is who talked to whom, as a UCSPI server wrote it into the environment.
type Peer struct {
	Host string // of the other side, by DNS
	IP   string
	Info string // what the other side's ident server said

	HasInfo bool // it may have said nothing

	Helo    string // the name that the other side gave itself
	HasHelo bool   // it differs from Host

	Local string // our own host name

	Zone *time.Location // of the date; nil: date822.Append
}

// FromVars reads a Peer from the TCP* variables (tcp-environ(5)). What is not
// set is "unknown".
func FromVars(vars proc.Vars) Peer {
	p := Peer{Host: "unknown", IP: "unknown", Local: "unknown"}
	if s, ok := vars.Get("TCPREMOTEIP"); ok {
		p.IP = s
	}
	if s, ok := vars.Get("TCPREMOTEHOST"); ok {
		p.Host = s
	}
	p.Info, p.HasInfo = vars.Get("TCPREMOTEINFO")
	if s, ok := vars.Get("TCPLOCALHOST"); ok {
		p.Local = s
	} else if s, ok := vars.Get("TCPLOCALIP"); ok {
		p.Local = s
	}
	return p
}

// Append appends the two lines of the field.
func (p *Peer) Append(dst []byte, protocol string, t time.Time) []byte {
	dst = append(dst, "Received: from "...)
	dst = appendSafe(dst, p.Host)
	if p.HasHelo {
		dst = append(dst, " (HELO "...)
		dst = appendSafe(dst, p.Helo)
		dst = append(dst, ')')
	}
	dst = append(dst, " ("...)
	if p.HasInfo {
		dst = appendSafe(dst, p.Info)
		dst = append(dst, '@')
	}
	dst = appendSafe(dst, p.IP)
	dst = append(dst, ")\n  by "...)
	dst = appendSafe(dst, p.Local)
	dst = append(dst, " with "...)
	dst = append(dst, protocol...)
	dst = append(dst, "; "...)
	dst = date822.AppendIn(dst, t, p.Zone)
	return append(dst, '\n')
}

func appendSafe(dst []byte, s string) []byte {
	for _, c := range []byte(s) {
		if !safe(c) {
			c = '?'
		}
		dst = append(dst, c)
	}
	return dst
}

func safe(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	switch c {
	case '.', '@', '%', '+', '/', '=', ':', '-', '[', ']':
		return true
	}
	return false
}
