package proxy

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const four = "\xc0\x00\x02\x07\xc0\x00\x02\x01\x7d\x01\x00\x19" // 192.0.2.7 192.0.2.1 32001 25

// v2 is a header of version 2.
func v2(command, family byte, rest string) string {
	b := append([]byte(signature), command, family)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(rest)))) + rest
}

// summed is one for an IPv4 connection with a checksum and another TLV.
func summed(wrong uint32) string {
	b := []byte(v2(0x21, 0x11, four+"\x03\x00\x04\x00\x00\x00\x00\x05\x00\x01x"))
	sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(b[16+len(four)+3:], sum+wrong)
	return string(b)
}

func TestRead(t *testing.T) {
	six := strings.Repeat("\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07", 2) + "\x7d\x01\x00\x19"
	for _, tt := range []struct{ name, in, want string }{
		{"v1", "PROXY TCP4 192.0.2.7 192.0.2.1 32001 25\r\n", "192.0.2.7:32001 192.0.2.1:25"},
		{"v1, IPv6", "PROXY TCP6 2001:db8::7 2001:DB8:0::1 32001 25\r\n", "[2001:db8::7]:32001 [2001:db8::1]:25"},
		{"v1, IPv4 as IPv6", "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.1 32001 25\r\n", "192.0.2.7:32001 192.0.2.1:25"},
		{"v1, unknown", "PROXY UNKNOWN\r\n", "unknown"},
		{"v1, unknown and more", "PROXY UNKNOWN what ever\r\n", "unknown"},
		{"v1, the longest", "PROXY UNKNOWN " + strings.Repeat("f", maxV1-16) + "\r\n", "unknown"},
		{"v1, longer", "PROXY UNKNOWN " + strings.Repeat("f", maxV1-15) + "\r\n", "error"},
		{"v1, without CR", "PROXY UNKNOWN xx\n", "error"},
		{"v1, no address", "PROXY TCP4\r\n\r\n\r\n\r\n", "error"},
		{"v1, the wrong family", "PROXY TCP4 2001:db8::7 2001:db8::1 32001 25\r\n", "error"},
		{"v1, the other wrong family", "PROXY TCP6 192.0.2.7 192.0.2.1 32001 25\r\n", "error"},
		{"v1, leading zeros", "PROXY TCP4 192.0.2.07 192.0.2.1 32001 25\r\n", "error"},
		{"v1, a port with a zero", "PROXY TCP4 192.0.2.7 192.0.2.1 032001 25\r\n", "error"},
		{"v1, a port too large", "PROXY TCP4 192.0.2.7 192.0.2.1 65536 25\r\n", "error"},
		{"v1, no port", "PROXY TCP4 192.0.2.7 192.0.2.1  25\r\n", "error"},
		{"v1, two spaces", "PROXY TCP4  192.0.2.7 192.0.2.1 32001 25\r\n", "error"},
		{"v1, a zone", "PROXY TCP6 fe80::1%1 fe80::2 32001 25\r\n", "error"},
		{"v1, UDP", "PROXY UDP4 192.0.2.7 192.0.2.1 32001 25\r\n", "error"},
		{"no header", "EHLO client.example\r\n", "none"},
		{"almost one", "proxy TCP4 192.0.2.7 192.0.2.1 32001 25\r\n", "none"},
		{"v2", v2(0x21, 0x11, four), "192.0.2.7:32001 192.0.2.1:25"},
		{"v2, IPv6", v2(0x21, 0x21, six), "[2001:db8::7]:32001 [2001:db8::7]:25"},
		{"v2 with TLVs", v2(0x21, 0x11, four+"\x04\x00\x00\x05\x00\x02ab"), "192.0.2.7:32001 192.0.2.1:25"},
		{"v2, local", v2(0x20, 0x00, ""), "unknown"},
		{"v2, local with an address", v2(0x20, 0x11, four), "unknown"},
		{"v2, unspecified", v2(0x21, 0x00, "what ever"), "unknown"},
		{"v2, a Unix socket", v2(0x21, 0x31, strings.Repeat("x", 216)), "unknown"},
		{"v2, UDP", v2(0x21, 0x12, four), "unknown"},
		{"v2, as long as may be", v2(0x21, 0x11, four+"\x04"+string([]byte{(maxV2 - 15) >> 8, (maxV2 - 15) & 255})+strings.Repeat("x", maxV2-15)), "192.0.2.7:32001 192.0.2.1:25"},
		{"v2, too long", v2(0x20, 0x00, strings.Repeat("x", maxV2+1)), "error"},
		{"v2, short addresses", v2(0x21, 0x11, four[1:]), "error"},
		{"v2, a short TLV", v2(0x21, 0x11, four+"\x04\x00"), "error"},
		{"v2, a TLV behind the end", v2(0x21, 0x11, four+"\x04\x00\x02x"), "error"},
		{"v2, checksum", summed(0), "192.0.2.7:32001 192.0.2.1:25"},
		{"v2, a wrong checksum", summed(1), "error"},
		{"v2, a short checksum", v2(0x21, 0x11, four+"\x03\x00\x02xx"), "error"},
		{"v2, another version", v2(0x11, 0x11, four), "error"},
		{"v2, another command", v2(0x22, 0x11, four), "error"},
	} {
		in := strings.NewReader(tt.in + "the rest")
		h, err := Read(iotest.OneByteReader(in))
		got := "unknown"
		if err == errNone {
			got = "none"
		} else if err != nil {
			got = "error"
		} else if h.Source.IsValid() {
			got = h.Source.String() + " " + h.Destination.String()
		}
		if got != tt.want {
			t.Errorf("%s: %s, %v; want %s", tt.name, got, err, tt.want)
		}
		if rest, _ := io.ReadAll(in); err == nil && string(rest) != "the rest" {
			t.Errorf("%s: %q is left", tt.name, rest)
		}
		if got == "error" || got == "none" {
			continue
		}
		for n := range len(tt.in) {
			if _, err := Read(strings.NewReader(tt.in[:n])); err == nil {
				t.Errorf("%s: the first %d bytes are enough", tt.name, n)
			}
		}
	}
}

// What cannot become a header is known at once: nobody is kept who sends less than
// a header is long and waits.
func TestEarly(t *testing.T) {
	for _, tt := range []struct {
		in   string
		used int
		want error
	}{
		{"", 0, errNone},
		{"EHLO", 1, errNone},
		{"PROXX", 5, errNone},
		{"PROXY  TCP4", 7, errFormat},
		{"\r\n\r\n\r\n", 5, errNone},
		{"PROXY TCP4 1x", 13, errFormat},
		{"PROXY TCP6 ::\x00", 14, errFormat},
		{"PROXY TCP4 1\n", 13, errFormat},
		{signature + "\x11", 13, errFormat},
		{v2(0x21, 0x11, strings.Repeat("x", maxV2+1)), 16, errFormat},
		{"PROXY TCP", 9, io.ErrUnexpectedEOF},
		{signature, 12, io.ErrUnexpectedEOF},
		{signature + "\x21", 13, io.ErrUnexpectedEOF},
	} {
		in := strings.NewReader(tt.in)
		_, err := Read(iotest.OneByteReader(in))
		if used := len(tt.in) - in.Len(); err != tt.want || used != tt.used {
			t.Errorf("%q: %v after %d bytes, want %v after %d", tt.in, err, used, tt.want, tt.used)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("PROXY TCP4 192.0.2.7 192.0.2.1 32001 25\r\n")
	f.Add(v2(0x21, 0x11, four+"\x04\x00\x00"))
	f.Add(summed(0))
	f.Fuzz(func(t *testing.T, s string) {
		in := strings.NewReader(s)
		h, err := Read(in)
		if err != nil {
			return
		}
		used := len(s) - in.Len()
		if used > 16+maxV2 || h.Source.IsValid() != h.Destination.IsValid() || h.Source.Addr().Is4In6() {
			t.Errorf("%q: %v", s[:used], h)
		}
	})
}
