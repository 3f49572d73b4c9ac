package service

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/procfs"
)

// A status that supervise of daemontools 0.76 wrote: up, pid 12326, wanted up.
const fromC = "\x40\x00\x00\x00\x6b\x01\x9e\x8f\x0c\x06\x57\xe2\x26\x30\x00\x00\x00u"

func TestParseStatus(t *testing.T) {
	s, err := ParseStatus([]byte(fromC))
	if err != nil || s.PID != 12326 || s.Paused || s.Want != Up {
		t.Fatalf("%+v, %v", s, err)
	}
	if want := time.Unix(0x6b019e8f-10, 0x0c0657e2); !s.Stamp.Equal(want) {
		t.Errorf("stamp %v, want %v", s.Stamp, want)
	}
	if got := s.Append(nil); string(got[:classicLen]) != fromC {
		t.Errorf("back again: %q", got)
	}
	if s.Phase != PhaseUp || !s.Up() {
		t.Errorf("a running service of C is %v", s.Phase)
	}
	if s, err := ParseStatus([]byte(fromC[:17] + "d")); err != nil || s.Phase != PhaseStopping || s.Up() {
		t.Errorf("a running service of C that is wanted down is %v, %v", s.Phase, err)
	}
	if _, err := ParseStatus([]byte(fromC[:17])); err != ErrFormat {
		t.Errorf("17 bytes: %v", err)
	}
	// svstat has never looked at the nanoseconds.
	odd := []byte(fromC)
	odd[8] = 0xff
	if s, err := ParseStatus(odd); err != nil || s.Stamp.Unix() != 0x6b019e8f-10 {
		t.Errorf("impossible nanoseconds: %+v, %v", s, err)
	}
}

// Every field survives Append and ParseStatus.
func TestStatus(t *testing.T) {
	for _, s := range []Status{
		{Stamp: time.Unix(1, 2), PID: 7, Want: Up, Phase: PhaseUp, Ready: time.Unix(3, 4), LogPipe: 1<<63 + 5, Forked: time.Hour},
		{Stamp: time.Unix(1, 2), Want: Up, Phase: PhaseDelayed, Due: time.Unix(5, 6), Restarts: 1<<32 - 1, Last: Ending{Known: true, Code: 255}},
		{Stamp: time.Unix(1, 2), Want: Down, Phase: PhaseFinishing, FinishPID: 8, Last: Ending{Known: true, Signal: 9}},
		{Stamp: time.Unix(1, 2), Phase: PhaseFailed, Last: Ending{Known: true}},
		{Stamp: time.Unix(1, 2), Want: Down, Exit: true, Boot: procfs.Boot{ID: 1<<63 + 6, Init: time.Minute}},
	} {
		b := s.Append(nil)
		if got, err := ParseStatus(b); err != nil || got != s || len(b) != statusLen {
			t.Errorf("%+v came back as %+v, %v", s, got, err)
		}
	}
	if got := Phase(2).String() + Phase(200).String() + PhaseDown.String(); got != "unknownunknowndown" {
		t.Error(got)
	}
}

// An earlier version wrote 72 bytes, even over a longer file.
func TestStatusOfEarlierVersion(t *testing.T) {
	s := Status{Stamp: time.Unix(1, 2), PID: 7, Want: Up, Phase: PhaseUp, LogPipe: 5, Forked: time.Hour}
	with := s
	with.Boot, with.Exit = procfs.Boot{ID: 8, Init: 9}, true
	short := with.Append(nil)
	short[21] = 0
	for _, b := range [][]byte{short[:bootlessLen], short} {
		if got, err := ParseStatus(b); err != nil || got != s {
			t.Errorf("%d bytes: %+v, %v", len(b), got, err)
		}
	}
}

// Writer: which user a status comes from.
func TestWriter(t *testing.T) {
	self, other := os.Geteuid(), 65534
	for _, c := range []struct {
		what              string
		dir, file         int
		dirMode, fileMode os.FileMode
		want              int
	}{
		{"nobody else's", self, self, 0o700, 0o644, self},
		{"readable for all", self, self, 0o755, 0o644, self},
		{"the file is somebody's", self, other, 0o755, 0o644, other},
		{"the directory is somebody's", other, self, 0o700, 0o644, other},
		{"both are", other, other, 0o700, 0o644, other},
		{"of two others", other, other - 1, 0o700, 0o644, Several},
		{"a group's", self, self, 0o770, 0o644, Several},
		{"everybody's", self, self, 0o700, 0o646, Several},
	} {
		if os.Geteuid() != 0 && (c.dir != self || c.file != self) {
			continue // only root can make it so
		}
		base, _ := supervised(t)
		dir := base + "/s/supervise"
		os.Chmod(dir, c.dirMode)
		os.Chmod(dir+"/status", c.fileMode)
		os.Chown(dir+"/status", c.file, -1)
		os.Chown(dir, c.dir, -1)
		d, err := Open(&proc.Env{Dir: base}, "s")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if got, err := d.Writer(); err != nil || got != c.want {
			t.Errorf("%s: %d, %v; want %d", c.what, got, err, c.want)
		}
	}
}

// The two files are used in turn: a user who could once write to one of them must
// not be able to do so for ever.
func TestStatusIsTakenBack(t *testing.T) {
	base, owner := supervised(t)
	dir := base + "/s/supervise/"
	other := base + "/other"
	for what, give := range map[string]func() error{
		"for all to write":      func() error { return os.Chmod(dir+"status", 0o666) },
		"with a name elsewhere": func() error { return os.Link(dir+"status", other) },
		"a user's": func() error {
			if os.Geteuid() != 0 {
				return nil
			}
			return os.Chown(dir+"status", 65534, -1)
		},
	} {
		if err := give(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := owner.Announce(Status{Stamp: time.Now(), PID: 4711, Want: Up}); err != nil {
				t.Fatal(err)
			}
		}
		st, err := os.Stat(dir + "status")
		if err != nil {
			t.Fatal(err)
		}
		if sys := st.Sys().(*syscall.Stat_t); st.Mode().Perm()&0o022 != 0 || sys.Nlink != 1 || int(sys.Uid) != os.Geteuid() {
			t.Errorf("%s: mode %o, %d names, user %d", what, st.Mode(), sys.Nlink, sys.Uid)
		}
	}
}

// Two processes may ask at the same time whether the service is locked.
func TestLocked(t *testing.T) {
	base, owner := supervised(t)
	d, err := Open(&proc.Env{Dir: base}, "s")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if !d.Locked() {
		t.Error("not locked")
	}
	owner.Close()
	asking, err := os.Open(base + "/s/supervise/lock")
	if err != nil {
		t.Fatal(err)
	}
	defer asking.Close()
	if err := syscall.Flock(int(asking.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	if d.Locked() {
		t.Error("who asks is taken for a supervise")
	}
}

// The message says why supervise/ could not be made.
func TestNoRoomForSupervise(t *testing.T) {
	base := t.TempDir()
	if err := os.Mkdir(base+"/s", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(strings.Repeat("x", 256), base+"/s/supervise"); err != nil {
		t.Fatal(err)
	}
	d, err := Open(&proc.Env{Dir: base}, "s")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Acquire("s"); err == nil || !strings.HasPrefix(err.Error(), "unable to acquire s/supervise/lock: ") {
		t.Error(err)
	}
	// A link to a directory that nobody may make.
	os.Remove(base + "/s/supervise")
	if err := os.Symlink("/sys/none", base+"/s/supervise"); err != nil {
		t.Fatal(err)
	}
	made := syscall.Mkdir("/sys/none", 0o700)
	if made == nil || made == syscall.ENOENT {
		t.Skip("no directory at hand for which mkdir has an error of its own: ", made)
	}
	if _, err := d.Acquire("s"); !errors.Is(err, made) {
		t.Errorf("%v, want %v", err, made)
	}
}

func TestDownIsNotPaused(t *testing.T) {
	s := Status{Stamp: time.Unix(0, 0), Paused: true, Want: Down}
	if got := s.Append(nil); got[16] != 0 {
		t.Errorf("%q", got)
	}
}

func TestDescribe(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, c := range []struct {
		s    Status
		down bool // normally
		want string
	}{
		{Status{Stamp: ago(5 * time.Second), PID: 7, Want: Up}, false, "up (pid 7) 5 seconds"},
		{Status{Stamp: ago(time.Nanosecond), PID: 7, Want: Up}, true, "up (pid 7) 1 seconds, normally down"},
		{Status{Stamp: now, PID: 7, Paused: true, Want: Down}, true, "up (pid 7) 0 seconds, normally down, paused, want down"},
		{Status{Stamp: now, PID: 7}, false, "up (pid 7) 0 seconds"},
		{Status{Stamp: now, Want: Down}, false, "down 0 seconds, normally up"},
		{Status{Stamp: now, Want: Up, Paused: true}, true, "down 0 seconds, want up"},
		{Status{Stamp: now, Want: Up}, false, "down 0 seconds, normally up, want up"},
		{Status{Stamp: now}, true, "down 0 seconds"},
		{Status{Stamp: now.Add(time.Hour), PID: 1<<32 - 1, Want: Up}, false, "up (pid 4294967295) 0 seconds"},
		{Status{Stamp: ago(1000 * time.Hour), Want: Down}, true, "down 3600000 seconds"},
	} {
		if got := c.s.describe(!c.down, now); got != c.want {
			t.Errorf("%+v: %q, want %q", c.s, got, c.want)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte(fromC))
	f.Add([]byte(strings.Repeat("\xff", 18)))
	f.Add([]byte(fromC + strings.Repeat("\x01", statusLen-classicLen)))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseStatus(b)
		if (err == nil) != (len(b) >= classicLen) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if err != nil {
			return
		}
		if text := s.describe(true, time.Now()); strings.Contains(text, "-") {
			t.Errorf("%q", text)
		}
		again, err := ParseStatus(s.Append(nil))
		if err != nil || !again.Stamp.Equal(s.Stamp) || again.PID != s.PID || again.Want != s.Want {
			t.Errorf("%+v came back as %+v, %v", s, again, err)
		}
		if b[8] < 0x3b && b[16] <= 1 && s.PID != 0 && !bytes.Equal(s.Append(nil)[:classicLen], b[:classicLen]) {
			t.Errorf("%q came back as %q", b[:classicLen], s.Append(nil))
		}
	})
}

// A user who owns the directory must not be able to make root create or write
// other files.
func TestNoLinkIsWrittenThrough(t *testing.T) {
	base, owner := supervised(t)
	dir, victim := base+"/s/supervise/", base+"/victim"
	if err := os.WriteFile(victim, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Remove(dir + "status.new")
	if err := os.Symlink(victim, dir+"status.new"); err != nil {
		t.Fatal(err)
	}
	if err := owner.Announce(Status{Stamp: time.Now(), Want: Up}); err == nil || err.Error() != "unable to open s/supervise/status.new: symbolic link loop" {
		t.Error(err)
	}
	if text, _ := os.ReadFile(victim); string(text) != "theirs" {
		t.Errorf("%q", text)
	}
	owner.Close()
	os.Remove(dir + "lock")
	if err := os.Symlink(base+"/nologin", dir+"lock"); err != nil {
		t.Fatal(err)
	}
	d, err := Open(&proc.Env{Dir: base}, "s")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if o, err := d.Acquire("s"); err == nil {
		o.Close()
		t.Error("a lock elsewhere was taken")
	}
	if _, err := os.Lstat(base + "/nologin"); err == nil {
		t.Error("a file was made through a link")
	}
}
