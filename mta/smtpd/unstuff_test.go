package smtpd

import (
	"errors"
	"strings"
	"testing"
)

var errOpen = errors.New("no end")

// reference reads a text in the plainest way there is: where it ends, whether
// an LF without CR stands before that, and what its lines are.
func reference(raw string) (text string, used int, err error) {
	whole := "\r\n" + raw
	end := strings.Index(whole, "\r\n.\r\n")
	for i := 2; i < len(whole) && (end < 0 || i < end); i++ {
		if whole[i] == '\n' && whole[i-1] != '\r' {
			return "", 0, errStrayNewline
		}
	}
	if end < 0 {
		return "", 0, errOpen
	}
	used = end + len("\r\n.\r\n") - len("\r\n")
	if end == 0 {
		return "", used, nil
	}
	var b strings.Builder
	for l := range strings.SplitSeq(raw[:end-2], "\r\n") {
		// blast in qmail-smtpd.c leaves the dot in front of a CR.
		if !strings.HasPrefix(l, ".\r") {
			l = strings.TrimPrefix(l, ".")
		}
		b.WriteString(l + "\n")
	}
	return b.String(), used, nil
}

// unstuffAll feeds raw in pieces of size bytes.
func unstuffAll(raw string, size int) (text string, used int, err error) {
	var u unstuffer
	var out []byte
	for used < len(raw) {
		piece := raw[used:min(used+size, len(raw))]
		var n int
		var end bool
		out, n, end, err = u.unstuff(out, []byte(piece))
		used += n
		if err != nil {
			return "", 0, err
		}
		if end {
			return string(out), used, nil
		}
		if n < len(piece) {
			return "", 0, errors.New("bytes left before the end")
		}
	}
	return "", 0, errOpen
}

func TestUnstuff(t *testing.T) {
	for _, tt := range []struct{ name, raw, text string }{
		{"nothing", ".\r\n", ""},
		{"a line", "a\r\n.\r\n", "a\n"},
		{"an empty line", "\r\n.\r\n", "\n"},
		{"dots", "..\r\n...\r\n.x\r\n..x\r\nx.\r\n.\r\n", ".\n..\nx\n.x\nx.\n"},
		{"CR in a line", "a\rb\r\n.\r\n", "a\rb\n"},
		{"CR before CR LF", "a\r\r\n.\r\n", "a\r\n"},
		{"CR alone around a dot", "a\r.\rb\r\n.\r\n", "a\r.\rb\n"},
		{"dot CR CR LF", ".\r\r\n.\r\n", ".\r\n"},
		{"dot CR and text", ".\rx\r\n.\r\n", ".\rx\n"},
		{"only CRs", "\r\r\r\r\n.\r\n", "\r\r\r\n"},
		{"NUL and 8 bits", "\x00\xff\x80\r\n.\r\n", "\x00\xff\x80\n"},
		{"what comes after", "a\r\n.\r\nQUIT\r\n", "a\n"},
	} {
		for size := 1; size <= len(tt.raw); size++ {
			text, used, err := unstuffAll(tt.raw, size)
			if text != tt.text || err != nil || !strings.HasSuffix(tt.raw[:used], ".\r\n") {
				t.Errorf("%s, %d bytes at a time: %q, %d, %v; want %q", tt.name, size, text, used, err, tt.text)
			}
		}
	}
}

// Of all the ways in which somebody's server might see the end of a message,
// one counts. The rest are refused or are text.
func TestOnlyCRLFDotCRLFEnds(t *testing.T) {
	const injected = "MAIL FROM:<evil@example>\r\n"
	for _, end := range []string{
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r\n.\r", "\n.\r", "\r.\r", "\r.\n", "\r.\r\n", "\r\n.\r\r\n", "\r\r\n.\r\r\n",
		"\r\n.\x00\r\n", "\r\n\x00.\r\n", "\r\n. \r\n", "\r\n .\r\n", "\r\n.\t\r\n", "\r\n..\r\n", "\n\r.\r\n", "\r\n.\n\r",
		"\x00.\x00", "\u0085.\u0085", "\u2028.\u2028", "\v.\v", "\f.\f", "\r\n.\\r\\n",
	} {
		raw := "text" + end + injected
		for size := 1; size <= len(raw); size++ {
			if _, _, err := unstuffAll(raw, size); err != errStrayNewline && err != errOpen {
				t.Errorf("%q, %d bytes at a time: taken for an end (%v)", end, size, err)
			}
		}
	}
}

func FuzzUnstuff(f *testing.F) {
	for _, s := range []string{".\r\n", "a\r\n.\r\nb", "a\n.\n", "..\r\n.\r\r\n.\r\n", "\r\r\n.\rx\r\n.\r\n", ".\n"} {
		f.Add(s, 1)
		f.Add(s, 4)
	}
	f.Fuzz(func(t *testing.T, raw string, size int) {
		size = 1 + int(uint(size)%64)
		text, used, err := unstuffAll(raw, size)
		wantText, wantUsed, wantErr := reference(raw)
		if text != wantText || used != wantUsed || err != wantErr {
			t.Errorf("%q, %d bytes at a time:\n got %q %d %v\nwant %q %d %v", raw, size, text, used, err, wantText, wantUsed, wantErr)
		}
	})
}
