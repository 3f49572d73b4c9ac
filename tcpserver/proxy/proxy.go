// Package proxy reads the PROXY protocol's header, by which a proxy says for
// whom it connects (https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt).
// It comes before anything else on the connection, once. Sizes in bytes:
//
//	version 1   PROXY TCP4 192.0.2.7 192.0.2.1 32001 25\r\n
//	            PROXY UNKNOWN anything\r\n                    at most 107
//
//	version 2   \r\n\r\n\0\r\nQUIT\n                          12
//	            version, command    0x20 local, 0x21 proxy    1
//	            family, transport   0x11 TCP4, 0x21 TCP6      1
//	            length of the rest                            2, big-endian
//	            source and destination addresses, ports       12 or 36
//	            (type 1, length 2, value)…                    what is left
//
// Whoever may send a header may claim any address: believe one only from a
// proxy that the administrator named.
package proxy

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

const (
	maxV1 = 107 // section 2.1

	// maxV2 bounds the length field, which could say 65535. The addresses
	// take 216 at most; TLVs are names and a certificate's subject.
	maxV2 = 4096
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

var (
	errNone   = errors.New("no PROXY header")  // something else came, or nothing
	errFormat = errors.New("bad PROXY header") // it began as one
)

// Header is what a header says.
type Header struct {
	// Source and Destination are the client and what it connected to; not
	// valid if the proxy speaks for itself or does not know.
	Source, Destination netip.AddrPort
}

// Read reads a header, and not a byte of what follows it. It waits for no more
// bytes when those that came cannot become a header.
func Read(r io.Reader) (Header, error) {
	// Both versions have more than 12 bytes, and differ in the first.
	b := make([]byte, len(signature), maxV1)
	for n := 0; n < len(b); {
		more, err := r.Read(b[n:])
		n += more
		switch {
		case n == 0 && err == io.EOF:
			return Header{}, errNone
		case n < len(b) && err != nil:
			return Header{}, broken(err)
		case begins(b[:n], signature), beginsV1(b[:n]):
		case strings.HasPrefix(string(b[:n]), "PROXY "):
			return Header{}, errFormat
		default:
			return Header{}, errNone
		}
	}
	if string(b) == signature {
		return readV2(r)
	}
	for b[len(b)-1] != '\n' {
		if len(b) == maxV1 || !beginsV1(b) {
			return Header{}, errFormat
		}
		// Byte by byte: the rest of the connection is the program's.
		b = b[:len(b)+1]
		if _, err := io.ReadFull(r, b[len(b)-1:]); err != nil {
			return Header{}, broken(err)
		}
	}
	return parseV1(string(b))
}

// broken is for an end within a header.
func broken(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// begins reports whether b is the beginning of s, or s that of b.
func begins(b []byte, s string) bool {
	n := min(len(b), len(s))
	return string(b[:n]) == s[:n]
}

// beginsV1 reports whether a header of version 1 may begin with b, as far as that
// can be told from one byte after the other.
func beginsV1(b []byte) bool {
	if begins(b, "PROXY UNKNOWN") {
		return true
	}
	for _, family := range []string{"PROXY TCP4 ", "PROXY TCP6 "} {
		if begins(b, family) {
			return len(b) <= len(family) || strings.IndexByte("0123456789abcdefABCDEF.: \r", b[len(b)-1]) >= 0
		}
	}
	return false
}

func parseV1(s string) (h Header, err error) {
	s, ok := strings.CutSuffix(s, "\r\n")
	f := strings.Split(s, " ")
	if !ok || f[0] != "PROXY" || len(f) < 2 {
		return h, errFormat
	}
	if f[1] == "UNKNOWN" {
		return h, nil // "the receiver must ignore anything" behind it
	}
	if len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6" {
		return h, errFormat
	}
	var ok1, ok2 bool
	six := f[1] == "TCP6"
	h.Source, ok1 = addrPort(f[2], f[4], six)
	h.Destination, ok2 = addrPort(f[3], f[5], six)
	if !ok1 || !ok2 {
		return Header{}, errFormat
	}
	return h, nil
}

func addrPort(address, port string, six bool) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is6() != six || a.Zone() != "" {
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || port[0] == '+' || len(port) > 1 && port[0] == '0' {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), true
}

func readV2(r io.Reader) (h Header, err error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return h, broken(err)
	}
	if head[0] != 0x20 && head[0] != 0x21 {
		return h, errFormat
	}
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return h, broken(err)
	}
	command, family := head[0], head[1]
	length := int(binary.BigEndian.Uint16(head[2:]))
	if length > maxV2 {
		return h, errFormat
	}
	rest := make([]byte, length)
	if _, err := io.ReadFull(r, rest); err != nil {
		return h, broken(err)
	}
	size := 0 // of an address
	switch family {
	case 0x11:
		size = 4
	case 0x21:
		size = 16
	}
	if command == 0x20 || size == 0 {
		// The proxy's own connection, a health check for example; or something
		// that is not TCP, about which there is nothing to say here.
		return h, nil
	}
	addresses := 2*size + 4
	if len(rest) < addresses || !checkTLVs(head, rest, addresses) {
		return h, errFormat
	}
	h.Source = wire(rest[:size], rest[2*size:])
	h.Destination = wire(rest[size:2*size], rest[2*size+2:])
	return h, nil
}

func wire(address, port []byte) netip.AddrPort {
	a, _ := netip.AddrFromSlice(address)
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(port))
}

// typeCRC is PP2_TYPE_CRC32C (section 2.2.3): a checksum of the whole header with
// zeros in its own place.
const typeCRC = 0x03

// checkTLVs reports whether the bytes behind the addresses are whole TLVs, and
// the checksum, if there is one, is right.
func checkTLVs(head, rest []byte, at int) bool {
	for at < len(rest) {
		if at+3 > len(rest) {
			return false
		}
		kind, length := rest[at], int(binary.BigEndian.Uint16(rest[at+1:]))
		at += 3
		if at+length > len(rest) {
			return false
		}
		if kind == typeCRC {
			if length != 4 || !checksum(head, rest, at) {
				return false
			}
		}
		at += length
	}
	return true
}

func checksum(head, rest []byte, at int) bool {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, []byte(signature))
	sum = crc32.Update(sum, table, head)
	sum = crc32.Update(sum, table, rest[:at])
	sum = crc32.Update(sum, table, make([]byte, 4))
	sum = crc32.Update(sum, table, rest[at+4:])
	return sum == binary.BigEndian.Uint32(rest[at:])
}
