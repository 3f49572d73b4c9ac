package checkpassword

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

func TestReadRequest(t *testing.T) {
	long := strings.Repeat("x", 506)
	for _, c := range []struct {
		in   string
		want string // login|password|stamp
		err  error
	}{
		{"alice\x00secret\x00stamp\x00", "alice|secret|stamp", nil},
		{"alice\x00secret\x00stamp", "alice|secret|stamp", nil},
		{"alice\x00secret\x00", "alice|secret|", nil},
		{"alice\x00secret\x00stamp\x00and\x00more", "alice|secret|stamp", nil},
		{"\x00\x00", "||", nil},
		{"a\x00p\x00s\x00" + long, "a|p|s", nil}, // 512 bytes
		{"a\x00p\x00s\x00" + long + "x", "", unacceptable},
		{long + long, "", unacceptable},
		{"", "", misused},
		{"alice", "", misused},
		{"alice\x00", "", misused},
		{"alice\x00secret", "", misused},
	} {
		env := &proc.Env{}
		env.Files[3] = proctest.Input(c.in)
		r, err := readRequest(env)
		if err != c.err || err == nil && r.login+"|"+string(r.password)+"|"+string(r.stamp) != c.want {
			t.Errorf("%.40q: %+v, %v", c.in, r, err)
		}
	}
}

func TestForget(t *testing.T) {
	b := []byte("alice\x00secret\x00stamp\x00")
	r, _ := parseRequest(b)
	r.forget()
	if bytes.Contains(b, []byte("secret")) || bytes.Contains(b, []byte("stamp")) {
		t.Errorf("%q", b)
	}
}

// FuzzRequest cuts another way: by the strings of all of it.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("alice\x00secret\x00stamp\x00"))
	f.Add([]byte("alice\x00secret"))
	f.Add([]byte("\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(bytes.Clone(b))
		f := strings.Split(string(b), "\x00")
		if (err == nil) != (len(f) > 2) {
			t.Fatalf("%q: %v", b, err)
		}
		if err == nil && (r.login != f[0] || string(r.password) != f[1] || string(r.stamp) != f[2]) {
			t.Fatalf("%q: %+v", b, r)
		}
	})
}

// broken is a descriptor 3 that cannot be read.
type broken struct{ proc.Closed }

func (broken) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }
