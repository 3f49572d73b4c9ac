package smtpd

import (
	"strings"
	"testing"
)

// What is found is what qmail-smtpd 1.03 and notqmail find. What is not, they
// find too, from the comment on.
func TestParsePath(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for _, tt := range []struct {
		arg, addr, rest string
		ok              bool
	}{
		{"FROM:<a@b>", "a@b", "", true},
		{"<a@b>", "a@b", "", true},
		{"TO:  <a@b>  SIZE=1", "a@b", "  SIZE=1", true},
		{"FROM:<>", "", "", true},
		{"FROM:a@b", "a@b", "", true},
		{"FROM:   a@b SIZE=1", "a@b", "SIZE=1", true},
		{"FROM: Joe <a@b>", "a@b", "", true},
		{`<"a b"@c>`, "a b@c", "", true},
		{`<"a>b"@c>`, "a>b@c", "", true},
		{`<a\@b\>\\@c>`, `a@b>\@c`, "", true},
		{`<"a\"b"@c>`, `a"b@c`, "", true},
		{`<a"b@"c>`, "ab@c", "", true},
		{"<@x:a@b>", "a@b", "", true},
		{"<@x,@y:a@b>", "a@b", "", true},
		{"<\xc3\xa4@b>", "\xc3\xa4@b", "", true},
		{"<" + long[:899] + ">", long[:899], "", true},
		{"<u@" + long[:255] + ">", "u@" + long[:255], "", true},

		{"<" + long[:900] + ">", "", "", false},
		// C takes the rest.
		{"<u@" + long[:256] + ">", "", "", false},
		{"", "", "", false},
		{"FROM:", "", "", false},
		{"FROM:  ", "", "", false},
		{"a@b", "", "", false},
		{"<a@b", "", "", false},
		{`<"a@b>`, "", "", false},
		{`<a@b\>`, "", "", false},
		{"<a@b>c", "", "", false},
		{"<a@b>,<c@d>", "", "", false},
		{"<@a>", "", "", false},
		{"<@a> b:c>", "", "", false},
		{"<a\tb>", "", "", false},
		{"<a\x00b>", "", "", false},
		{"<a\rb>", "", "", false},
		{"<a\x7f>", "", "", false},
		{`<a\` + "\n>", "", "", false},
	} {
		addr, rest, ok := parsePath(tt.arg)
		if addr != tt.addr || rest != tt.rest || ok != tt.ok {
			t.Errorf("%.60q: %q, %q, %v", tt.arg, addr, rest, ok)
		}
	}
}

func TestLocalize(t *testing.T) {
	for _, tt := range []struct{ addr, want string }{
		{"u@[127.0.0.1]", "u@h"},
		{"u@[0.0.0.0]", "u@h"},
		{"u@[IPv6:::]", "u@h"},
		{"u@[ipv6:0:0::0]", "u@h"},
		{"u@[192.0.2.1]", "u@[192.0.2.1]"},
		{"u@[127.0.0.257]", "u@[127.0.0.257]"}, // C takes it for 127.0.0.1
		{"u@[127.0.0.1", "u@[127.0.0.1"},
		{"u@[127.0.0.1]x", "u@[127.0.0.1]x"},
		{"u@127.0.0.1", "u@127.0.0.1"},
		{"[127.0.0.1]", "[127.0.0.1]"},
		{"u@[]", "u@[]"},
		{"u", "u"},
		{"", ""},
	} {
		if got, err := localize(tt.addr, "h"); got != tt.want || err != nil {
			t.Errorf("%q: %q, %v", tt.addr, got, err)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"FROM:<a@b>", `<@x:"a\"b"@c> SIZE=1`, "FROM:a b", `<\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		addr, rest, ok := parsePath(arg)
		if !ok {
			return
		}
		if len(addr) >= maxAddress || strings.ContainsFunc(addr, func(r rune) bool { return r < ' ' || r == 127 }) {
			t.Errorf("%q: address %q", arg, addr)
		}
		if rest != "" && !strings.HasSuffix(arg, rest) {
			t.Errorf("%q: rest %q", arg, rest)
		}
		// What was found is found again when it is written as it should be.
		quoted := "<\"" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(addr) + "\">"
		if again, _, ok := parsePath(quoted); !ok || again != addr {
			t.Errorf("%q: %q comes back from %q as %q, %v", arg, addr, quoted, again, ok)
		}
	})
}
