package tcpserver

import (
	"strings"
	"testing"
)

func TestLogged(t *testing.T) {
	for s, want := range map[string]string{
		"plain.example":          "plain.example",
		"a b:c%d\x1b\n\xff":      "a?b?c?d???",
		strings.Repeat("x", 99):  strings.Repeat("x", 99),
		strings.Repeat("x", 100): strings.Repeat("x", 100) + "...",
		strings.Repeat("x", 500): strings.Repeat("x", 100) + "...",
	} {
		if got := logged(s); got != want {
			t.Errorf("%q: %q", s, got)
		}
	}
}
