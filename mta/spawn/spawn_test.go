package spawn

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"paperpath/internal/fsys"
	"paperpath/internal/proc/proctest"
	"paperpath/mta/spawn/delnum"
)

// later is a deliverer that ends its deliveries in reverse order, all at the
// end, and says what it got.
type later struct {
	mu   sync.Mutex
	all  int
	left []func()
}

func (l *later) begin(d *delivery, done func(string)) {
	text := make([]byte, 100)
	n, _ := d.message.Read(text)
	d.message.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = append(l.left, func() {
		done(fmt.Sprintf("K%s <%s> to <%s> at <%s>", text[:n], d.sender, d.local(), d.host()))
	})
	if len(l.left) == l.all {
		slices.Reverse(l.left)
		go func() {
			for _, end := range l.left {
				end()
			}
		}()
	}
}

// messages makes a queue/mess directory with 1/24 in it.
func messages(t *testing.T) string {
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "queue/mess/1/26"), 0755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "queue/mess/1/24"), []byte("text"), 0644); err != nil {
		t.Fatal(err)
	}
	return home
}

func command4(number byte, file, sender, recipient string) string {
	return string([]byte{number}) + file + "\x00" + sender + "\x00" + recipient + "\x00"
}

// talk sends the commands and returns the reports.
func talk(t *testing.T, s *spawner, commands ...string) []string {
	t.Helper()
	var out proctest.Buffer
	s.out = &out
	s.serve(proctest.Input(strings.Join(commands, "")))
	all := out.String()
	if all == "" || all[0] != delnum.MaxNarrow {
		t.Fatalf("it begins %q", all)
	}
	var reports []string
	for rest := all[1:]; rest != ""; {
		end := strings.IndexByte(rest[1:], 0) // the number may be 0
		if end < 0 {
			t.Fatalf("half a report: %q", rest)
		}
		reports = append(reports, rest[:end+2])
		rest = rest[end+2:]
	}
	return reports
}

func testSpawner(home string, with deliverer) *spawner {
	return &spawner{queue: fsys.OS{Root: home + "/queue/mess"}, owner: uint32(os.Getuid()), with: with, limit: 500}
}

func TestConversation(t *testing.T) {
	home := messages(t)
	got := talk(t, testSpawner(home, &later{all: 3}),
		command4(1, "1/24", "me@here", "joe@there"),
		command4(0x80, "1/24", "", "@"),
		command4(1, "1/24", "me@here", "twice@there"),
		command4(254, "1/24", "x\ny", "a@b@c"), // with this one they begin to end
	)
	want := []string{
		"\x01ZInternal error: delnum in use. (#4.3.5)\n\x00",
		"\xfeKtext <x\ny> to <a@b> at <c>\x00",
		"\x80Ktext <> to <> at <>\x00",
		"\x01Ktext <me@here> to <joe> at <there>\x00",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestRefusedCommands(t *testing.T) {
	home := messages(t)
	for _, c := range []struct{ command, want string }{
		{command4(255, "1/24", "s", "a@b"), "\xffZInternal error: delnum too big. (#4.3.5)\n"},
		{command4(0, "1/2x", "s", "a@b"), "\x00DInternal error: messid has nonnumerics. (#5.3.5)\n"},
		{command4(0, "/1/24", "s", "a@b"), "\x00DInternal error: messid has nonnumerics. (#5.3.5)\n"},
		{command4(0, "../24", "s", "a@b"), "\x00DInternal error: messid has nonnumerics. (#5.3.5)\n"},
		{command4(2, "", "s", "a@b"), "\x02DInternal error: messid too short. (#5.3.5)\n"},
		{command4(3, strings.Repeat("1", 100), "s", "a@b"), "\x03DInternal error: messid too long. (#5.3.5)\n"},
		{command4(4, strings.Repeat("1", 99), "s", "a@b"), "\x04Zqmail-spawn unable to open message. (#4.3.0)\n"},
		{command4(5, "1/24", "s", "ab"), "\x05DSorry, address must include host name. (#5.1.3)\n"},
		{command4(6, "1/25", "s", "a@b"), "\x06Zqmail-spawn unable to open message. (#4.3.0)\n"},
		{command4(7, "1/26", "s", "a@b"), "\x07ZSorry, message has wrong type. (#4.3.5)\n"},
		{command4(8, "1/24", strings.Repeat("s", fieldSize+1), "a@b"), "\x08Zqmail-spawn out of memory. (#4.3.0)\n"},
	} {
		// A good command comes after: the spawner is in step.
		got := talk(t, testSpawner(home, &later{all: 1}), c.command, command4(9, "1/24", "s", "a@b"))
		if len(got) != 2 || got[0] != c.want+"\x00" || got[1] != "\x09Ktext <s> to <a> at <b>\x00" {
			t.Errorf("%.30q: %q", c.command, got)
		}
	}
	s := testSpawner(home, &later{})
	s.owner++
	if got := talk(t, s, command4(1, "1/24", "s", "a@b")); len(got) != 1 || got[0] != "\x01ZSorry, message has wrong owner. (#4.3.5)\n\x00" {
		t.Errorf("another's message: %q", got)
	}
	if got := talk(t, testSpawner(home, &later{}), "\x01"+"1/24\x00half a comm"); len(got) != 0 {
		t.Errorf("half a command: %q", got)
	}
}

// From the question on all numbers have two bytes; those who do not ask, like
// the C program, have one.
func TestWideNumbers(t *testing.T) {
	home := messages(t)
	wide := func(number int) string {
		return string(delnum.Wide.Append(nil, number)) + "1/24\x00me@here\x00joe@there\x00"
	}
	var out proctest.Buffer
	s := testSpawner(home, &later{all: 3})
	s.out = &out
	s.serve(proctest.Input(delnum.Question + wide(499) + wide(0) + wide(499) + wide(255) + wide(500)))
	got := out.String()
	for _, want := range []string{
		"\xff" + "\xffw500\x00",
		"\xf3\x01ZInternal error: delnum in use. (#4.3.5)\n\x00",
		"\xf4\x01ZInternal error: delnum too big. (#4.3.5)\n\x00",
		"\xf3\x01Ktext <me@here> to <joe> at <there>\x00",
		"\xff\x00Ktext <me@here> to <joe> at <there>\x00",
		"\x00\x00Ktext <me@here> to <joe> at <there>\x00",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
		got = strings.Replace(got, want, "", 1)
	}
	if got != "" {
		t.Errorf("more: %q", got)
	}
	if n := room(); n < delnum.MaxNarrow || n > delnum.MaxWide {
		t.Errorf("room for %d", n)
	}
}

// FuzzCommands: whatever is sent, every complete command gets one report under
// its number, and no report has a NUL inside.
func FuzzCommands(f *testing.F) {
	f.Add([]byte(command4(1, "1/24", "me@here", "joe@there") + command4(2, "9", "", "x")))
	f.Add([]byte("\x00\x00\x00\x00\xff1\x00\x00@\x00"))
	home := f.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "queue/mess/1"), 0755); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.Contains(in, []byte(delnum.Question)) {
			t.Skip() // TestWideNumbers
		}
		var numbers []byte
		for rest := in; len(rest) > 0; {
			number, after := rest[0], rest[1:]
			parts := bytes.SplitN(after, []byte{0}, 4)
			if len(parts) < 4 {
				break
			}
			numbers = append(numbers, number)
			rest = parts[3]
		}
		reports := talk(t, testSpawner(home, &later{}), string(in))
		if len(reports) != len(numbers) {
			t.Fatalf("%d commands, reports %q", len(numbers), reports)
		}
		for i, r := range reports {
			if r[0] != numbers[i] || !strings.ContainsAny(r[1:2], "ZD") {
				t.Errorf("delivery %d: %q", numbers[i], r)
			}
		}
	})
}
