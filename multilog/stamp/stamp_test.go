package stamp

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/internal/zone"
)

func TestTai64n(t *testing.T) {
	for in, want := range map[string]string{
		"":           `^$`,
		"one\n":      `^@[0-9a-f]{24} one\n$`,
		"one\n\ntwo": `^@[0-9a-f]{24} one\n@[0-9a-f]{24} \n@[0-9a-f]{24} two$`,
	} {
		r := proctest.Run(&Tai64n, proctest.Case{In: in})
		if r.Status != 0 || r.Err != "" || !regexp.MustCompile(want).MatchString(r.Out) {
			t.Errorf("%q: status %d, %q", in, r.Status, r.Out)
		}
	}
	long := strings.Repeat("x", 3*readSize)
	if r := proctest.Run(&Tai64n, proctest.Case{In: long}); len(r.Out) != 26+len(long) || r.Out[26:] != long {
		t.Error("a long line is not one line")
	}
}

func TestTai64nlocal(t *testing.T) {
	for _, c := range []struct{ zone, in, want string }{
		{"UTC", "@4000000037c219bf2ef02e94 mark\n", "1999-08-24 04:04:05.787492500 mark\n"},
		{"", "@4000000037c219bf2ef02e94 mark\n", "1999-08-24 04:04:05.787492500 mark\n"},
		{"Nonsense/Zone", "@4000000037c219bf2ef02e94 mark\n", "1999-08-24 04:04:05.787492500 mark\n"},
		// Rules need no zone database.
		{"PST8PDT,M4.1.0,M10.5.0", "@4000000037c219bf2ef02e94 mark\n", "1999-08-23 21:04:05.787492500 mark\n"},
		{"<+0330>-3:30", "@4000000037c219bf2ef02e94 ", "1999-08-24 07:34:05.787492500 "},
		{"CET-1CEST,M3.5.0,M10.5.0/3", "@400000006721f0f50b2d05dc x", "2024-10-30 09:40:11.187499996 x"},
		{"UTC", "plain @4000000037c219bf2ef02e94\n\n", "plain @4000000037c219bf2ef02e94\n\n"},
		// Digits beyond the eight of a nanosecond push the seconds out.
		{"UTC", "@400000006721f0f5ffffffff a\n", "2024-10-30 08:40:11.4294967295 a\n"},
		{"UTC", "@40000000000000000000000a hi", "1969-12-31 23:59:50.000000010 hi"},
		// No time at all: the original crashed.
		{"UTC", "@ hi\n@4000 x\n@\n@zz\n@400000006721f0f50b2d05dc111 hi\n", "@ hi\n@4000 x\n@\n@zz\n@400000006721f0f50b2d05dc111 hi\n"},
		// What the input ends in: a label that nothing follows is dropped, as in C.
		{"UTC", "a\n@4000000037c219bf2ef02e94", "a\n"},
		{"UTC", "a\n@40", "a\n"},
		{"UTC", "a\n@", "a\n"},
		{"UTC", "@4000000037C219BF2EF02E94 capitals\n", "@4000000037C219BF2EF02E94 capitals\n"},
		{"UTC", "@" + strings.Repeat("0", 5000) + "\n", "@" + strings.Repeat("0", 5000) + "\n"},
	} {
		r := proctest.Run(&Tai64nlocal, proctest.Case{In: c.in, Vars: proc.Vars{"TZ=" + c.zone}})
		if r.Status != 0 || r.Err != "" || r.Out != c.want {
			t.Errorf("%s %q: status %d, %q", c.zone, c.in, r.Status, r.Out)
		}
	}
}

// broken is a file that fails.
type broken struct{ *proctest.Buffer }

func (broken) Read([]byte) (int, error)  { return 0, syscall.EIO }
func (broken) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestFailuresAreSilent(t *testing.T) {
	for _, p := range []*proc.Program{&Tai64n, &Tai64nlocal} {
		for fd := range 2 {
			r := proctest.Run(p, proctest.Case{In: "x\n", Files: map[int]proc.File{fd: broken{}}})
			if r.Status != 111 || r.Out != "" || r.Err != "" {
				t.Errorf("%s, descriptor %d: status %d, %q", p.Name, fd, r.Status, r.Err)
			}
		}
	}
}

// FuzzConvert cuts the input anywhere, and what has no @ stays as it is.
func FuzzConvert(f *testing.F) {
	f.Add("@4000000037c219bf2ef02e94 mark\nplain\n@40", 7)
	f.Add("@@4\n@4000000g", 3)
	f.Add("@400000003b9aca003b9aca00 nanos\n@400000003b9aca003b9ac9ff\n@3000000000000000000000ff x\n@400000003b9aca00000000000 x", 9)
	f.Fuzz(func(t *testing.T, text string, at int) {
		utc := zone.Of(proc.Vars{"TZ=UTC"})
		whole, parts := converter{calendar: calendar{zone: utc}}, converter{calendar: calendar{zone: utc}}
		at = min(max(at, 0), len(text))
		a := whole.flush(whole.convert(nil, []byte(text)))
		// Byte by byte no label is whole: the long way.
		single := converter{calendar: calendar{zone: utc}}
		var d []byte
		for i := range len(text) {
			d = single.convert(d, []byte(text[i:i+1]))
		}
		if d = single.flush(d); string(a) != string(d) {
			t.Errorf("%q at once, %q byte by byte", a, d)
		}
		b := parts.convert(nil, []byte(text[:at]))
		b = parts.convert(b, []byte(text[at:]))
		b = parts.flush(b)
		if string(a) != string(b) {
			t.Errorf("%q at once, %q in two", a, b)
		}
		if !strings.Contains(text, "@") && string(a) != text {
			t.Errorf("%q became %q", text, a)
		}
	})
}

func TestTame(t *testing.T) {
	if got := string(tame([]byte("a\x1b[2J\tb\r\x7f\u00e4\x00\n"))); got != "a?[2J\tb??\u00e4?\n" {
		t.Errorf("%q", got)
	}
}

// The remembered minute never shows another one's time: not over a transition,
// not with offsets of odd seconds, not back and forth.
func TestCalendar(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Amsterdam", "America/New_York", "<+0330>-3:30", "CET-1CEST,M3.5.0,M10.5.0/3"} {
		c := calendar{zone: zone.Of(proc.Vars{"TZ=" + name})}
		for _, begin := range []int64{
			-1693706400,                    // Amsterdam, 1916, at +0:19:32
			-1025741972, -2717650800 + 300, // New York, 1883, at -4:56:02
			-200, 954032400 - 90, 972781200 - 90, 1711846800 - 90, // summer times begin and end
		} {
			for i := range int64(400) {
				secs := begin + i
				if i%7 == 6 {
					secs = begin - 5*i
				}
				got, ok := c.append(nil, secs)
				want := time.Unix(secs, 0).In(c.zone).Format("2006-01-02 15:04:05")
				if !ok || string(got) != want {
					t.Fatalf("%s: %d is %s, want %s", name, secs, got, want)
				}
			}
		}
	}
}
