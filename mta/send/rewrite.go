package send

import (
	"strings"

	"paperpath/mta/layout"
)

// rewrite decides where a recipient goes and what the delivering program is
// told (rewrite, qmail-send.c). In this order: a host for an address without
// one, percenthack, locals, virtualdomains; what is left is remote.
func (r *rules) rewrite(recipient string) (channel, string) {
	addr := recipient
	at := strings.LastIndexByte(addr, '@')
	if at < 0 {
		at = len(addr)
		addr += "@" + r.envNoAtHost
	}
	for r.percentHack.Has(addr[at+1:]) {
		percent := strings.LastIndexByte(addr[:at], '%')
		if percent < 0 {
			break
		}
		addr = addr[:percent] + "@" + addr[percent+1:at]
		at = percent
	}
	at = strings.LastIndexByte(addr, '@')
	if r.locals.Has(addr[at+1:]) {
		return local, addr
	}
	if prepend, ok := r.virtualPrepend(addr, at); ok {
		return local, prepend + string(layout.Break) + addr
	}
	return remote, addr
}

// virtualPrepend finds the most specific line of virtualdomains: the whole
// address, its domain, the domain's parents from a dot on, and at last the
// line with nothing before its colon. An empty prepend is an exception: the
// address is not virtual.
func (r *rules) virtualPrepend(addr string, at int) (string, bool) {
	for i := 0; i <= len(addr); i++ {
		if i == 0 || i == at+1 || i == len(addr) || i > at && addr[i] == '.' {
			if prepend, ok := r.virtual.Get(addr[i:]); ok {
				return prepend, prepend != ""
			}
		}
	}
	return "", false
}

// stripPrepend undoes virtualdomains for a bounce text: the sender knows the
// address without the prepend (stripvdomprepend). As in C a line for a whole
// address is not undone.
func (r *rules) stripPrepend(recipient string) string {
	at := strings.LastIndexByte(recipient, '@')
	if at < 0 {
		return recipient
	}
	domain := recipient[at+1:]
	for i := 0; i <= len(domain); i++ {
		if i == 0 || i == len(domain) || domain[i] == '.' {
			if prepend, ok := r.virtual.Get(domain[i:]); ok {
				if prepend == "" {
					break
				}
				if rest, ok := strings.CutPrefix(recipient, prepend+string(layout.Break)); ok {
					return rest
				}
				break
			}
		}
	}
	return recipient
}

// verpMark ends the senders that name each recipient.
const verpMark = "-@[]"

// senderFor is the sender that a recipient is told (senderadd): of
// owner-@host-@[] it makes owner-recipient=domain@host, so that a bounce says
// by its address who bounced.
func senderFor(sender, recipient string) string {
	prefix, ok := strings.CutSuffix(sender, verpMark)
	if !ok {
		return sender
	}
	at := strings.LastIndexByte(prefix, '@')
	box, domain, ok := cutLast(recipient, '@')
	if at < 0 || !ok {
		return sender
	}
	return prefix[:at] + box + "=" + domain + prefix[at:]
}

// bounceSender is where bounces of a VERP message go: owner-@host.
func bounceSender(sender string) string {
	s, _ := strings.CutSuffix(sender, verpMark)
	return s
}

func cutLast(s string, c byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, c); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
