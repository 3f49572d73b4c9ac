package inject

import (
	"errors"
	"os"
	"slices"
	"strconv"

	"paperpath/internal/date822"
	"paperpath/internal/header"
	"paperpath/internal/proc"
	"paperpath/internal/quote"
	"paperpath/internal/token822"
)

// lineLength is where address lists are folded.
const lineLength = 80

// field takes one header field in.
func (m *message) field(field []byte) error {
	kind := header.Kind(field)
	switch {
	case kind == header.From && m.dropFrom,
		kind == header.MessageID && m.dropMessageID,
		kind == header.ReturnPath && m.dropReturnPath:
		return nil
	}
	m.seen[kind] = true

	var rewrite func([]token822.Token) []token822.Token
	lenient := false // what cannot be parsed stays as it is
	switch kind {
	case header.To, header.Cc:
		rewrite, lenient = m.visibleRecipient, true
	case header.Bcc, header.ApparentlyTo:
		rewrite, lenient = m.headerRecipient, true
	case header.ResentTo, header.ResentCc, header.ResentBcc:
		rewrite, lenient = m.resentRecipient, true
	case header.ReturnPath:
		rewrite = m.returnPath
	case header.Sender, header.From, header.ReplyTo, header.ReturnReceiptTo, header.ErrorsTo,
		header.ResentSender, header.ResentFrom, header.ResentReplyTo:
		rewrite = m.complete
	}
	if rewrite != nil {
		rewritten, ok := rewriteField(string(field), rewrite)
		switch {
		case ok:
			field = rewritten
		case !lenient:
			return unparsable(string(field))
		}
	}

	switch kind {
	case header.Bcc, header.ResentBcc, header.ReturnPath, header.ContentLength:
		return nil
	}
	m.kept = append(m.kept, field...)
	return nil
}

// rewriteField changes the addresses of a field and folds it anew.
func rewriteField(field string, rewrite func([]token822.Token) []token822.Token) ([]byte, bool) {
	tokens, ok := token822.Parse(field)
	if !ok {
		return nil, false
	}
	return token822.AppendRewritten(nil, tokens, lineLength, rewrite)
}

// unparsable is C's complaint, with the line as far as it may be shown.
func unparsable(line string) error {
	text := []byte("unable to parse this line:\n" + line)
	for i, c := range text {
		if c < 32 && c != '\n' && c != '\t' || c == 127 {
			text[i] = '?'
		}
	}
	if n := len(text); text[n-1] == '\n' {
		text = text[:n-1] // Run ends the line
	}
	return proc.Permanent(errors.New(string(text)))
}

func (m *message) visibleRecipient(addr []token822.Token) []token822.Token {
	addr = m.headerRecipient(addr)
	if m.lists != nil {
		m.followup = append(m.followup, m.header[len(m.header)-1])
	}
	return addr
}

func (m *message) headerRecipient(addr []token822.Token) []token822.Token {
	addr = m.complete(addr)
	m.header = append(m.header, token822.Unquote(addr))
	return addr
}

func (m *message) resentRecipient(addr []token822.Token) []token822.Token {
	addr = m.complete(addr)
	m.resent = append(m.resent, token822.Unquote(addr))
	return addr
}

// returnPath takes the envelope sender from the first address it meets, the
// last one of the field.
func (m *message) returnPath(addr []token822.Token) []token822.Token {
	addr = m.complete(addr)
	if !m.hasSender {
		m.sender, m.hasSender = token822.Unquote(addr), true
		if m.verpByRecipient {
			m.sender += "-@[]" // qmail-send puts each recipient in
		}
	}
	return addr
}

// isResent reports whether the message has been here before and is sent again
// by somebody (RFC 822 section 4.2): then the Resent- fields are the ones to
// complete and to obey.
func (m *message) isResent() bool {
	s := &m.seen
	return s[header.ResentSender] || s[header.ResentFrom] || s[header.ResentReplyTo] ||
		s[header.ResentTo] || s[header.ResentCc] || s[header.ResentBcc] ||
		s[header.ResentDate] || s[header.ResentMessageID]
}

func (m *message) headerRecipients() []string {
	if m.isResent() {
		return m.resent
	}
	return m.header
}

// finish ends the header: what is missing, then what was kept.
func (m *message) finish() error {
	if !m.hasSender {
		if _, err := m.ownField("Return-Path", m.defaultSender(), m.returnPath); err != nil {
			return err
		}
	}
	prefix := ""
	date, id, from, to, cc := header.Date, header.MessageID, header.From, header.To, header.Cc
	if m.isResent() {
		prefix = "Resent-"
		date, id, from, to, cc = header.ResentDate, header.ResentMessageID, header.ResentFrom, header.ResentTo, header.ResentCc
	}
	if !m.seen[date] {
		m.head = append(m.head, prefix+"Date: "...)
		m.head = date822.AppendIn(m.head, m.start, m.zone)
		m.head = append(m.head, '\n')
	}
	if !m.seen[id] {
		m.head = append(m.head, prefix+m.messageID()...)
	}
	if !m.seen[from] {
		field, err := m.ownField("From", m.defaultFrom(), m.complete)
		if err != nil {
			return err
		}
		m.head = append(m.head, prefix...)
		m.head = append(m.head, field...)
	}
	if !m.seen[to] && !m.seen[cc] {
		m.head = append(m.head, prefix+"Cc: recipient list not shown: ;\n"...)
	}
	if prefix == "" {
		m.head = m.appendFollowup(m.head)
	}
	m.head = append(m.head, m.kept...)
	return nil
}

// messageID is a name that no other message has: this second, this process,
// this host.
func (m *message) messageID() string {
	return "Message-ID: <" + m.start.UTC().Format("20060102150405") + "." + strconv.Itoa(os.Getpid()) +
		".qmail@" + untilNUL(m.idHost) + ">\n"
}

// ownField makes an address field of our own from tokens as variables have
// them: written out and read again, so that it is treated like any other.
func (m *message) ownField(name string, address []token822.Token, rewrite func([]token822.Token) []token822.Token) ([]byte, error) {
	tokens := append([]token822.Token{{Kind: token822.Atom, Text: name}, {Kind: token822.Colon}}, address...)
	field := token822.Append(nil, tokens, lineLength)
	rewritten, ok := rewriteField(string(field), rewrite)
	if !ok {
		return nil, unparsable(string(field))
	}
	return rewritten, nil
}

// defaultSender is the sender of a message that names none.
func (m *message) defaultSender() []token822.Token {
	user := m.senderUser.value
	if m.verpByMessage {
		user += m.verpStamp()
	}
	if m.verpByRecipient {
		user += "-"
	}
	return m.atHost([]token822.Token{{Kind: token822.Quote, Text: user}}, m.senderHost)
}

// defaultFrom is the author of a message that names none, with a name before
// or behind the address.
func (m *message) defaultFrom() []token822.Token {
	kind := token822.Atom
	if quote.Needed(m.user.value) {
		kind = token822.Quote
	}
	addr := m.atHost([]token822.Token{{Kind: kind, Text: m.user.value}}, m.host)
	name := m.fullName.value
	switch {
	case !m.fullName.set:
		return addr
	case m.nameInComment:
		return append(addr, token822.Token{Kind: token822.Comment, Text: name})
	}
	return slices.Concat(
		[]token822.Token{{Kind: token822.Quote, Text: name}, {Kind: token822.Left}},
		addr,
		[]token822.Token{{Kind: token822.Right}})
}

func (m *message) atHost(local []token822.Token, host variable) []token822.Token {
	if !host.set {
		return local
	}
	return append(local, token822.Token{Kind: token822.At}, token822.Token{Kind: token822.Atom, Text: host.value})
}

// appendFollowup adds Mail-Followup-To if one of the author's mailing lists is
// among the recipients.
func (m *message) appendFollowup(dst []byte) []byte {
	if m.seen[header.MailFollowupTo] || !slices.ContainsFunc(m.followup, m.lists.Has) {
		return dst
	}
	dst = append(dst, "Mail-Followup-To: "...)
	for i, addr := range slices.Backward(m.followup) { // they were read backwards
		dst = append(dst, quote.Address(untilNUL(addr))...)
		if i > 0 {
			dst = append(dst, ",\n  "...)
		}
	}
	return append(dst, '\n')
}
