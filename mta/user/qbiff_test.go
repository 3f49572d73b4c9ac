package user

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

// What notqmail's qbiff wrote for the same messages.
func TestAnnouncement(t *testing.T) {
	long := strings.Repeat("x", 100)
	for in, want := range map[string]string{
		"Subject: a subject\nFrom: x\n\nbody\nmore": "    a subject//body/more/",
		"subject :\n a\n b\n":                       "    a/ b/",
		"Subject: " + long + "\n\nbody":             "    " + long[:74],
		"Subject: a\nSubject: b\n":                  "    a/b/",
		"no header\n":                               "    /no header/",
		"Subject: \x1b[2J\x80\n":                    "    /[2J//",
		"":                                          "    ",
	} {
		var text string
		program := proc.Program{Name: "qbiff"}
		r := proctest.Case{In: in, Vars: proc.Vars{"USER=me", "LOCAL=me-\xe9", "SENDER=a\x07@b"}}
		program.Run = announce(&text)
		proctest.Run(&program, r)
		if want := "\r\n\a*** TO <me-_> FROM <a_@b>\r\n" + want + "\r\n"; text != want {
			t.Errorf("%q: %q, want %q", in, text, want)
		}
	}
}

func TestAnnouncementOutsideQmail(t *testing.T) {
	vars := proc.Vars{"USER=me", "LOCAL=me", "SENDER="}
	for _, name := range []string{"", "USER", "LOCAL", "SENDER"} {
		vars := vars.Clone()
		vars.Unset(name)
		var text string
		program := proc.Program{Name: "qbiff", Run: announce(&text)}
		proctest.Run(&program, proctest.Case{In: "Subject: x\n", Vars: vars})
		if (text == "") != (name != "") {
			t.Errorf("without %q: %q", name, text)
		}
	}
}

func record(kind uint16, line, user string) []byte {
	b := make([]byte, utmpSize)
	binary.NativeEndian.PutUint16(b, kind)
	copy(b[utmpLine:utmpLine+utmpLineSize], line)
	copy(b[utmpUser:utmpUser+utmpUserSize], user)
	return b
}

func TestTerminals(t *testing.T) {
	var utmp []byte
	for _, r := range [][]byte{
		record(utmpLoggedIn, "pts/1", "me"),
		record(8, "pts/2", "me"), // logged out
		record(utmpLoggedIn, "pts/3", "men"),
		record(utmpLoggedIn, "/etc/passwd", "me"),
		record(utmpLoggedIn, "../etc/passwd", "me"),
		record(utmpLoggedIn, "", "me"),
		record(utmpLoggedIn, strings.Repeat("l", 32), "me"),
		record(utmpLoggedIn, "pts/4", strings.Repeat("u", 32)),
		[]byte("torn"),
	} {
		utmp = append(utmp, r...)
	}
	for user, want := range map[string][]string{
		"me":                    {"pts/1", strings.Repeat("l", 32)},
		strings.Repeat("u", 32): {"pts/4"},
		strings.Repeat("u", 33): nil,
		"":                      nil,
	} {
		if got := terminals(utmp, user); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", user, got, want)
		}
	}
}

// Only a terminal, only the user's own, and only if its x bit is set.
func TestBiff(t *testing.T) {
	master, name := terminal(t)
	dir := t.TempDir()
	utmp := filepath.Join(dir, "utmp")
	if err := os.WriteFile(utmp, record(utmpLoggedIn, name, "me"), 0o644); err != nil {
		t.Fatal(err)
	}
	dev := fsys.OS{Root: "/dev"}
	biff(dev, utmp, "me", "too early")
	if err := os.Chmod("/dev/"+name, 0o700); err != nil {
		t.Fatal(err)
	}
	biff(dev, utmp, "me", "now\n")
	biff(dev, utmp, "you", "for somebody else")
	buf := make([]byte, 100)
	n, err := master.Read(buf)
	if got := strings.TrimRight(string(buf[:n]), "\r\n"); err != nil || got != "now" {
		t.Errorf("read %q, %v", got, err)
	}

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(utmp, record(utmpLoggedIn, "file", "me"), 0o644)
	biff(fsys.OS{Root: dir}, utmp, "me", "text")
	if b, err := os.ReadFile(file); err != nil || len(b) > 0 {
		t.Errorf("a file got %q, %v", b, err)
	}
}

// terminal returns a new one: the other end of its line, and its name below
// /dev.
func terminal(t *testing.T) (*os.File, string) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no terminals here:", err)
	}
	master := os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Skip("no terminals here:", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Skip("no terminals here:", err)
	}
	name := "pts/" + strconv.Itoa(n)
	if _, err := os.Stat("/dev/" + name); err != nil {
		t.Skip("no terminals here:", err)
	}
	return master, name
}

func announce(text *string) func(context.Context, *proc.Env) error {
	return func(_ context.Context, env *proc.Env) (err error) {
		*text, err = announcement(env)
		return err
	}
}
