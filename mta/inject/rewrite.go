package inject

import (
	"slices"
	"strings"

	"paperpath/internal/token822"
)

// complete makes an address one that any host understands (rwgeneric in
// qmail-inject.c):
//
//	@relay:joe@host   joe@host                     no source routes
//	joe@host.         joe@host                     no dot at the end
//	joe@              joe                          no @ at the end
//	joe               joe@defaulthost
//	joe@host+         joe@host.plusdomain
//	joe@host          joe@host.defaultdomain       not joe@[127.0.0.1]
//
// one step after the other. The null sender <> and VERP senders, which end in
// @[], stay what they are.
func (m *message) complete(addr []token822.Token) []token822.Token {
	if n := len(addr); n >= 2 && addr[n-2].Kind == token822.At &&
		addr[n-1].Kind == token822.Literal && addr[n-1].Text == "" {
		return addr
	}
	addr = withoutRoute(addr)
	addr = withoutLast(addr, token822.Dot)
	addr = withoutLast(addr, token822.At)
	if len(addr) == 0 {
		return addr
	}
	if !slices.ContainsFunc(addr, isAt) {
		addr = append(addr, m.defaultHost...)
	}
	if last := &addr[len(addr)-1]; last.Kind == token822.Atom && strings.HasSuffix(last.Text, "+") {
		last.Text = last.Text[:len(last.Text)-1]
		addr = append(addr, m.plusDot...)
	}
	if dotless(addr) {
		addr = append(addr, m.defaultDot...)
	}
	return addr
}

func isAt(t token822.Token) bool { return t.Kind == token822.At }

func isColon(t token822.Token) bool { return t.Kind == token822.Colon }

// withoutRoute cuts an RFC 822 route; one without its colon is all there is.
func withoutRoute(addr []token822.Token) []token822.Token {
	if len(addr) == 0 || addr[0].Kind != token822.At {
		return addr
	}
	colon := slices.IndexFunc(addr, isColon)
	if colon < 0 {
		return nil
	}
	return addr[colon+1:]
}

func withoutLast(addr []token822.Token, kind token822.Kind) []token822.Token {
	if n := len(addr); n > 0 && addr[n-1].Kind == kind {
		return addr[:n-1]
	}
	return addr
}

// dotless reports whether the host, which is all after the last @, lacks dots
// and is not a literal.
func dotless(addr []token822.Token) bool {
	for _, t := range slices.Backward(addr) {
		switch t.Kind {
		case token822.At:
			return true
		case token822.Dot, token822.Literal:
			return false
		}
	}
	return true
}
