package token822

import (
	"runtime"
	"slices"
	"strings"
	"testing"
)

func atom1(s string) Token { return Token{Atom, s} }

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []Token
	}{
		{"", []Token{}},
		{" \t\r\n", []Token{}},
		{"To: joe@h.x", []Token{atom1("To"), {Kind: Colon}, atom1("joe"), {Kind: At}, atom1("h"), {Kind: Dot}, atom1("x")}},
		{"<>;,", []Token{{Kind: Left}, {Kind: Right}, {Kind: Semi}, {Kind: Comma}}},
		{`"a b"[c d](e f)`, []Token{{Quote, "a b"}, {Literal, "c d"}, {Comment, "e f"}}},
		{`"a\"b\\"`, []Token{{Quote, `a"b\`}}},
		{`[a\]b[c]`, []Token{{Literal, "a]b[c"}}},
		{`(a (b) \(c\) "d)`, []Token{{Comment, `a b (c) "d`}}},
		{`a\ b\@c`, []Token{atom1("a b@c")}},
		{`\a`, []Token{atom1("a")}},
		{`\`, []Token{atom1("")}},
		{`a\`, []Token{atom1("a")}},
		{`a\\b`, []Token{{Quote, `a\b`}}},
		{"a)b", []Token{{Quote, "a)b"}}},
		{"a]", []Token{{Quote, "a]"}}},
		{"\x00", []Token{{Quote, "\x00"}}},
		{"\x7f", []Token{{Quote, "\x7f"}}},
		{"\xc3\xa9", []Token{{Quote, "\xc3\xa9"}}},
		{`a"b"c`, []Token{atom1("a"), {Quote, "b"}, atom1("c")}},
		{"a(b)c", []Token{atom1("a"), {Comment, "b"}, atom1("c")}},
	} {
		got, ok := Parse(c.in)
		if !ok || !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, %v, want %v", c.in, got, ok, c.want)
		}
	}
	for _, in := range []string{"(", "a (b (c)", `"`, `"\"`, `"\`, "[", `[\]`, ")", "]", " )", `(\`} {
		if got, ok := Parse(in); ok {
			t.Errorf("%q is %v", in, got)
		}
	}
}

func TestAppendFolds(t *testing.T) {
	const in = "To: aaaa@b, cccc@d, eeee@f, (g h) i, \"j\nk\","
	for _, c := range []struct {
		width int
		want  string
	}{
		{0, "To: aaaa@b, cccc@d, eeee@f, (g h) i, \"j\\\nk\",\n"},
		{80, "To: aaaa@b, cccc@d, eeee@f, (g h) i, \"j\\\nk\",\n"},
		{20, "To: aaaa@b,\n  cccc@d, eeee@f,\n  (g h) i, \"j\\\nk\",\n"},
		{1, "To: aaaa@b,\n  cccc@d,\n  eeee@f,\n  (g h) i,\n  \"j\\\nk\",\n \n"},
	} {
		tokens, _ := Parse(in)
		if got := string(Append([]byte("before "), tokens, c.width)); got != "before "+c.want {
			t.Errorf("width %d: %q, want %q", c.width, got, "before "+c.want)
		}
	}
	if got := string(Append(nil, nil, 80)); got != "\n" {
		t.Errorf("nothing: %q", got)
	}
}

func TestUnquote(t *testing.T) {
	for in, want := range map[string]string{
		`"a b" (c) . d @ [1.2] <e>,;:`: "a b.d@[1.2]<e>,;:",
		"":                             "",
		"(x)":                          "",
	} {
		tokens, _ := Parse(in)
		if got := Unquote(tokens); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct{ in, addrs, out string }{
		{"To:", "", "To:\n"},
		{"To: a, b c", "c|b|a|", "To: X, X, X\n"},
		{"To: <>, <a@b>, n <c (d) . e>", "c.e|a@b||", "To: <X>, <X>, n <X>\n"},
		{"To: g: a, b;, c", "c|b|a|", "To: g: X, X;, X\n"},
		{"To: g: a; (b) c", "c|a|", "To: g: X;, X (b)\n"},
		{"To: a: b", "b|", ""},
		{"To: a; b;", "b|", ""},
		{"To: a>", "a|", ""},
		{"To: <a", "<a|", "To: X\n"},
	} {
		tokens, ok := Parse(c.in)
		if !ok {
			t.Fatal(c.in)
		}
		var addrs string
		out, ok := AppendRewritten([]byte("before "), tokens, 80, func(addr []Token) []Token {
			addrs += Unquote(addr) + "|"
			return []Token{atom1("X")}
		})
		if !ok {
			out = []byte("before ")
		}
		if addrs != c.addrs || string(out) != "before "+c.out {
			t.Errorf("%q: %q, %q, want %q, %q", c.in, addrs, out, c.addrs, c.out)
		}
	}
	for n := range 3 { // up to no more than a name and a colon
		tokens := []Token{atom1("To"), {Kind: Colon}}[:n]
		if out, ok := AppendRewritten(nil, tokens, 80, nil); !ok || string(out) != "To:"[:min(2*n, 3)]+"\n" {
			t.Errorf("%d tokens: %q, %v", n, out, ok)
		}
	}
}

func moves(t Token) bool { return t.Kind == Comma || t.Kind == Comment }

func FuzzTokens(f *testing.F) {
	for _, s := range []string{
		"To: a, b c (d (e)) <f@g.h>", `To: g: "a\"b"@[1.2];, c`, "To: @a:b@c\n", "x", `a\`, "To: <a", "\xff: \x00",
		"To: " + strings.Repeat("aaaaaaaaaaaaaa@bbbbbbbbbbbbbbb, ", 9),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tokens, ok := Parse(s)
		if !ok {
			return
		}
		text := string(Append(nil, tokens, 80))
		if !strings.HasSuffix(text, "\n") {
			t.Fatalf("%q became %q, which does not end a line", s, text)
		}
		// Backslashes in atoms are not written again: C does the same.
		if !strings.Contains(s, `\`) {
			if again, ok := Parse(text); !ok || !slices.Equal(again, tokens) {
				t.Fatalf("%q became %q: %v, then %v", s, text, tokens, again)
			}
		}
		// Left alone, a list changes by nothing but commas, and by comments
		// within an address, which end up behind it.
		list, ok := AppendRewritten(nil, slices.Clone(tokens), 80, func(addr []Token) []Token { return addr })
		if ok && !strings.Contains(s, `\`) {
			out, ok := Parse(string(list))
			if folded := string(Append(nil, out, 80)); !ok || folded != string(list) {
				t.Fatalf("%q became %q, which would be folded %q", s, list, folded)
			}
			got := slices.DeleteFunc(slices.Clone(out), moves)
			want := slices.DeleteFunc(slices.Clone(tokens), moves)
			if !slices.Equal(got, want) || len(out) < len(tokens) {
				t.Fatalf("%q became %v", s, out)
			}
		}
		Unquote(tokens)
	})
}

// A list of addresses may be as long as a header may be. What is made of it
// takes memory by the byte written, not by the token.
func TestMemoryOfLongLists(t *testing.T) {
	tokens, _ := Parse("To: " + strings.Repeat("a,", 100000) + "a")
	host, _ := Parse("@b.c.d.e")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	out, ok := AppendRewritten(nil, tokens, 80, func(addr []Token) []Token { return append(addr, host...) })
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; !ok || taken > 20*uint64(len(out)) {
		t.Errorf("%d bytes taken for %d", taken, len(out))
	}
}
