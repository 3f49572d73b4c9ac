package ident

import (
	"bytes"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	long := strings.Repeat("u", 300)
	for _, c := range []struct {
		in, info string
		ok       bool
	}{
		{"1 , 2 : USERID : UNIX : joe\r\n", "joe", true},
		{"a:b:c: j o\te:x \n", "joe:x", true},
		{"a:b:c:\n", "", true},
		{"1 , 2 : ERROR : NO-USER\r\n", "", true},
		{"a:b:c:joe", "", false},
		{"", "", false},
		{"a:b:c:" + long, long[:257], true},
		{"a:b:c:x\x00y\n", "x", true},
		{strings.Repeat("x", 5000) + ":::joe\n", "", false},
	} {
		if info, ok := parse(strings.NewReader(c.in), 257); info != c.info || ok != c.ok {
			t.Errorf("%.50q: %q, %v", c.in, info, ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("1 , 2 : USERID : UNIX : joe\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, ok := parse(bytes.NewReader(b), 257)
		if len(info) > 257 || strings.ContainsAny(info, "\x00\n \t\r") || !ok && info != "" {
			t.Errorf("%q: %q, %v", b, info, ok)
		}
	})
}
