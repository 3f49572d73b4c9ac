package tcpto

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// table returns the tables of an empty home and a clock to turn.
func newTable(t *testing.T) (*Table, *time.Time) {
	t.Helper()
	now := time.Unix(1<<30, 0)
	table := Of(home(t))
	table.now = func() time.Time { return now }
	return table, &now
}

func TestAHostThatDoesNotAnswer(t *testing.T) {
	for _, ip := range []string{"192.0.2.1", "2001:db8::1"} {
		addr := netip.MustParseAddr(ip)
		table, now := newTable(t)
		state := func(wantDead, wantKnown bool, when string) {
			t.Helper()
			if dead, known := table.Dead(addr); dead != wantDead || known != wantKnown {
				t.Errorf("%s, %s: dead %v, known %v", ip, when, dead, known)
			}
		}
		state(false, false, "at first")
		table.Answered(addr)
		state(false, false, "after an answer")
		table.TimedOut(addr)
		state(false, true, "after one time-out")
		*now = now.Add(119 * time.Second)
		table.TimedOut(addr)
		state(false, true, "after two within two minutes")
		*now = now.Add(time.Second)
		table.TimedOut(addr)
		state(true, true, "after another two minutes later")
		*now = now.Add(pause*time.Second - time.Second)
		state(true, true, "within the pause")
		*now = now.Add((spread<<6 + 1) * time.Second)
		state(false, true, "after the pause")
		table.TimedOut(addr)
		state(true, true, "after the next time-out")
		*now = now.Add(-10 * 365 * 24 * time.Hour)
		state(false, true, "when the clock was set back")
		*now = now.Add(10 * 365 * 24 * time.Hour)
		table.Answered(addr)
		state(false, true, "after an answer")
	}
}

// The bytes are those that the C programs read and write.
func TestFormat(t *testing.T) {
	table, now := newTable(t)
	for _, ip := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"} {
		table.TimedOut(netip.MustParseAddr(ip))
	}
	*now = now.Add(200 * time.Second)
	table.TimedOut(netip.MustParseAddr("192.0.2.2"))

	v4 := make([]byte, 1024)
	copy(v4, "\xc0\x00\x02\x01\x01\x00\x00\x00\x00\x00\x00\x40")
	copy(v4[16:], "\xc0\x00\x02\x02\x02\x00\x00\x00\xc8\x00\x00\x40")
	if got, _ := os.ReadFile(table.lock + "/tcpto"); !bytes.Equal(got, v4) {
		t.Errorf("tcpto: %x", got)
	}
	v6 := make([]byte, 2048)
	copy(v6, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x40")
	if got, _ := os.ReadFile(table.lock + "/tcpto6"); !bytes.Equal(got, v6) {
		t.Errorf("tcpto6: %x", got)
	}
	if err := table.Clear(); err != nil {
		t.Error(err)
	}
	for name, size := range map[string]int{"/tcpto": 1024, "/tcpto6": 2048} {
		if got, _ := os.ReadFile(table.lock + name); !bytes.Equal(got, make([]byte, size)) {
			t.Errorf("%s after Clear: %x", name, got)
		}
	}
}

// A full table gives up the oldest record, where time-outs add to the age.
func TestFullTable(t *testing.T) {
	table, now := newTable(t)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) }
	for i := range records {
		table.TimedOut(addr(i))
		*now = now.Add(time.Second)
	}
	*now = now.Add(time.Hour)
	table.TimedOut(addr(0)) // now the youngest; the oldest is 1
	table.TimedOut(addr(100))
	for i, want := range map[int]bool{0: true, 1: false, 2: true, 63: true, 100: true} {
		if _, known := table.Dead(addr(i)); known != want {
			t.Errorf("host %d known: %v", i, known)
		}
	}
	table.Answered(addr(30)) // frees its record
	table.TimedOut(addr(101))
	if _, known := table.Dead(addr(30)); known {
		t.Error("a free record was not taken first")
	}
}

func TestNoTable(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	for _, size := range []int{-1, 0, 15} {
		table, _ := newTable(t)
		if size < 0 {
			os.Remove(table.lock + "/tcpto")
		} else {
			os.Truncate(table.lock+"/tcpto", int64(size))
		}
		table.TimedOut(addr)
		table.TimedOut(addr)
		if dead, known := table.Dead(addr); dead || known {
			t.Errorf("%d bytes: dead %v, known %v", size, dead, known)
		}
	}
	table, _ := newTable(t)
	os.Remove(table.lock + "/tcpto6") // as the C programs lay a home out
	if err := table.Clear(); err != nil {
		t.Errorf("no tcpto6: %v", err)
	}
	os.Remove(table.lock + "/tcpto")
	if err := table.Clear(); err == nil {
		t.Error("no tcpto: cleared")
	}
}

// A table shorter than usual is used as far as it goes, and does not grow.
func TestShortTable(t *testing.T) {
	table, now := newTable(t)
	os.Truncate(table.lock+"/tcpto", 40)
	for i := range 3 {
		table.TimedOut(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
		*now = now.Add(time.Second)
	}
	b, _ := os.ReadFile(table.lock + "/tcpto")
	if len(b) != 40 || b[3] != 2 || b[19] != 1 {
		t.Errorf("%x", b)
	}
}

func TestAtTheSameTime(t *testing.T) {
	table, _ := newTable(t)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() { table.TimedOut(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})) })
	}
	all.Wait()
	b, _ := os.ReadFile(filepath.Join(table.lock, "tcpto"))
	seen := map[uint32]bool{}
	for ; len(b) > 0; b = b[16:] {
		if b[4] == 1 {
			seen[binary.BigEndian.Uint32(b)] = true
		}
	}
	if len(seen) != 32 {
		t.Errorf("%d of 32 hosts were recorded", len(seen))
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte("\xc0\x00\x02\x01\xff\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		home := t.TempDir()
		os.MkdirAll(home+"/queue/lock", 0o755)
		if err := os.WriteFile(home+"/queue/lock/tcpto", b, 0o644); err != nil {
			t.Fatal(err)
		}
		table, addr := Of(home), netip.MustParseAddr("192.0.2.1")
		table.Dead(addr)
		table.TimedOut(addr)
		if _, known := table.Dead(addr); known != (len(b) >= 16) {
			t.Fatalf("known: %v", known)
		}
		table.Answered(addr)
		if dead, _ := table.Dead(addr); dead {
			t.Fatal("dead though it answered")
		}
	})
}
