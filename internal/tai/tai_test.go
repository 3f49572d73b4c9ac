package tai

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"
)

func TestLabels(t *testing.T) {
	for _, c := range []struct {
		seconds, nanoseconds int64
		want                 string
	}{
		{0, 0, "@400000000000000a00000000"},
		{-10, 1, "@400000000000000000000001"},
		{-11, 0, "@3fffffffffffffff00000000"},
		{1000000000, 999999999, "@400000003b9aca0a3b9ac9ff"},
		{1 << 32, 500, "@400000010000000a000001f4"},
	} {
		at := time.Unix(c.seconds, c.nanoseconds)
		got := string(Append([]byte("x "), at))
		if got != "x "+c.want || len(c.want) != LabelLen {
			t.Errorf("%v: %s, want %s", at, got, c.want)
		}
		packed, err := hex.DecodeString(c.want[1:])
		if err != nil {
			t.Fatal(err)
		}
		back, ok := Unpack(packed)
		if !ok || !back.Equal(at) {
			t.Errorf("%s: %v, %v", c.want, back, ok)
		}
	}
}

func TestNoLabels(t *testing.T) {
	packed := make([]byte, 12)
	copy(packed[8:], []byte{0x3b, 0x9a, 0xca, 0x00}) // 10^9 nanoseconds
	if at, ok := Unpack(packed); ok {
		t.Errorf("%v", at)
	}
	for n := range 12 {
		if at, ok := Unpack(make([]byte, n)); ok {
			t.Errorf("%d bytes: %v", n, at)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte("\x40\x00\x00\x00\x00\x00\x00\x0a\x00\x00\x00\x01 more"))
	f.Add(bytes.Repeat([]byte{0xff}, 12))
	f.Fuzz(func(t *testing.T, b []byte) {
		at, ok := Unpack(b)
		if !ok {
			return
		}
		var again [12]byte
		if Pack(&again, at); !bytes.Equal(again[:], b[:12]) {
			t.Fatalf("%x became %v, then %x", b[:12], at, again)
		}
	})
}
