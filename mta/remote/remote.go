// Package remote delivers a message by SMTP or QMTP. qmail-remote is one
// delivery as a process:
//
//	argv  host sender recipient…        descriptor 0  the message
//
//	host ─ smtproutes, qmtproutes ─▶ relay, or a literal ──┐
//	     └ otherwise  ─▶ MX hosts by preference ─ A, AAAA ─┴▶ addresses
//	address ─ dead lately? ─ connect ─▶ the first that answers
//	SMTP      220 HELO 250 MAIL 250 RCPT … DATA 354 message . 250 QUIT
//	QMTP      message, sender, recipients; an answer for each recipient
//
// A server that does not greet, or does not like our name, has been told nothing
// of the message: the next address is tried. From MAIL on, and with QMTP from
// the first byte on, what happens with that server is the result.
//
// and a report on descriptor 1, of parts that end in NUL (qmail-remote(8)):
//
//	r                 for each recipient in turn: accepted,
//	hTEXT or sTEXT    refused for good, refused for now
//	KTEXT             for the message: the host has it,
//	ZTEXT or DTEXT    try again, give up
//
// There is always a part for the message; parts for recipients may be fewer
// than recipients. A permanent failure needs a 5xx from the other side, a
// domain that cannot take mail, or input that SMTP cannot carry. Everything
// else is temporary.
//
// The texts end up in logs and bounces, where programs match them. They are
// qmail-remote.c's.
package remote

import "strings"

// Report is the outcome of a delivery.
type Report struct {
	Recipients []string // each r, hTEXT or sTEXT
	Message    string   // KTEXT, ZTEXT or DTEXT
}

// Append appends the report as qmail-rspawn reads it.
func (r Report) Append(dst []byte) []byte {
	for _, part := range r.Recipients {
		dst = append(append(dst, part...), 0)
	}
	return append(append(dst, r.Message...), 0)
}

// outcome is the report on a message that got no further.
type outcome string

func (o outcome) Error() string { return string(o) }

const (
	badUsage   outcome = "DI (qmail-remote) was invoked improperly. (#5.3.5)\n"
	badHome    outcome = "ZUnable to switch to home directory. (#4.3.0)\n"
	badControl outcome = "ZUnable to read control files. (#4.3.0)\n"
	badSystem  outcome = "ZSystem resources temporarily unavailable. (#4.3.0)\n"
	badMessage outcome = "ZUnable to read message. (#4.3.0)\n"
	badLine    outcome = "DSMTP cannot transfer messages with partial final lines. (#5.6.2)\n"
	badSender  outcome = "DSMTP cannot transfer a sender address with line breaks. (#5.1.7)\n"

	dnsTemporary outcome = "ZSorry, I couldn't find any host by that name. (#4.1.2)\n"
	noExchanger  outcome = "DSorry, I couldn't find a mail exchanger or IP address. (#5.4.4)\n"
	ambiguous    outcome = "DSorry. Although I'm listed as a best-preference MX or A for that host,\n" +
		"it isn't in my control/locals file, so I don't treat it as local. (#5.4.6)\n"
	noConnection outcome = "ZSorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n"
	// s/qmail's, which has qmtproutes, and the qmtpc patch's.
	noQMTP  outcome = "ZSorry, I wasn't able to establish an QMTP connection. (#4.4.1)\n"
	notQMTP outcome = "Zrecipient did not talk proper QMTP (#4.3.0)\n"
)

func noSuchHost(host string) outcome {
	return outcome("DSorry, I couldn't find any host named " + visible(host) + ". (#5.1.2)\n")
}

// nullMX answers for a domain that says it takes no mail (RFC 7505 section 4.2).
func nullMX(host string) outcome {
	return outcome("DSorry, " + visible(host) + " does not accept mail. (#5.1.10)\n")
}

// visible shows a name that a stranger chose (outsafe in qmail-remote.c).
func visible(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 127 {
			b.WriteByte(c)
		} else {
			b.WriteByte('?')
		}
	}
	return b.String()
}
