package control

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"paperpath/internal/fsys"
	"paperpath/internal/strerr"
)

// home makes a qmail home with control files; a name that ends in a slash is a
// directory.
func home(t *testing.T, files map[string]string) *Dir {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/control", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		file := filepath.Join(dir, "control", name)
		var err error
		if strings.HasSuffix(name, "/") {
			err = os.Mkdir(file, 0o755)
		} else {
			err = os.WriteFile(file, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return Home(dir)
}

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		"\n":                      "",
		"\nsecond\n":              "",
		"host":                    "host",
		"host\n":                  "host",
		"host \t \n":              "host",
		"host\nsecond\n":          "host",
		" \t host":                " \t host",
		"two words  ":             "two words",
		"host\r\n":                "host\r",
		"# host\n":                "# host",
		"a \x00b \n":              "a",
		strings.Repeat("x", 9999): strings.Repeat("x", 9999),
	} {
		d := home(t, map[string]string{"f": text})
		if got, ok, err := d.Line("f"); got != want || !ok || err != nil {
			t.Errorf("%.20q: %.20q, %v, %v", text, got, ok, err)
		}
	}
}

func TestAbsentFiles(t *testing.T) {
	d := home(t, map[string]string{"me": "host\n", "empty": ""})
	if got, ok, err := d.Line("f"); got != "" || ok || err != nil {
		t.Errorf("Line: %q, %v, %v", got, ok, err)
	}
	if got, ok, err := d.List("f"); got != nil || ok || err != nil {
		t.Errorf("List: %q, %v, %v", got, ok, err)
	}
	if got, err := d.Int("f", 7); got != 7 || err != nil {
		t.Errorf("Int: %d, %v", got, err)
	}
	for _, c := range []struct{ name, def, or, orMe string }{
		{"f", "def", "def", "host"},
		{"empty", "def", "", ""}, // there, and empty: that is an answer
	} {
		if got, err := d.LineOr(c.name, c.def); got != c.or || err != nil {
			t.Errorf("LineOr %s: %q, %v", c.name, got, err)
		}
		if got, err := d.LineOrMe(c.name); got != c.orMe || err != nil {
			t.Errorf("LineOrMe %s: %q, %v", c.name, got, err)
		}
	}
	if got, err := d.ListOrMe("f"); !slices.Equal(got, []string{"host"}) || err != nil {
		t.Errorf("ListOrMe: %q, %v", got, err)
	}
	if got, err := d.ListOrMe("empty"); len(got) != 0 || err != nil {
		t.Errorf("ListOrMe of an empty file: %q, %v", got, err)
	}
	if got, err := d.Me(); got != "host" || err != nil {
		t.Errorf("Me: %q, %v", got, err)
	}

	d = home(t, nil)
	if _, err := d.Me(); err != ErrNoMe {
		t.Errorf("Me: %v", err)
	}
	if _, err := d.LineOrMe("f"); err != ErrNoMe {
		t.Errorf("LineOrMe: %v", err)
	}
	if _, err := d.ListOrMe("f"); err != ErrNoMe {
		t.Errorf("ListOrMe: %v", err)
	}
}

// A file that is there and cannot be read never counts as absent.
func TestUnreadableFiles(t *testing.T) {
	d := home(t, map[string]string{"f/": "", "me": "host"})
	const want = "unable to read control/f: is a directory"
	_, _, err1 := d.Line("f")
	_, err2 := d.LineOr("f", "def")
	_, err3 := d.LineOrMe("f")
	_, err4 := d.Int("f", 7)
	_, _, err5 := d.List("f")
	_, err6 := d.ListOrMe("f")
	for i, err := range []error{err1, err2, err3, err4, err5, err6} {
		if err == nil || err.Error() != want {
			t.Errorf("%d: %v", i+1, err)
		}
	}
	d = home(t, map[string]string{"me/": ""})
	if _, err := d.LineOrMe("f"); err == nil || err == ErrNoMe {
		t.Errorf("an unreadable me: %v", err)
	}
	if _, err := d.ListOrMe("f"); err == nil || err == ErrNoMe {
		t.Errorf("an unreadable me: %v", err)
	}
}

// What control/ itself is not, or no permission, are errors too.
func TestNoControlDirectory(t *testing.T) {
	dir := t.TempDir()
	if _, ok, err := Home(dir).Line("me"); ok || err != nil {
		t.Errorf("no directory: %v, %v", ok, err) // as with C: no file, no error
	}
	if err := os.WriteFile(dir+"/control", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Home(dir).Line("me"); strerr.Text(err) != "unable to read control/me: not a directory" {
		t.Errorf("control is a file: %v", err)
	}
}

func TestInt(t *testing.T) {
	for text, want := range map[string]int{
		"0": 0, "20\n": 20, "20 seconds": 20, "007": 7, "3.5": 3, "3\n4": 3,
		"": -1, "\n5": -1, " 5": -1, "-5": -1, "+5": -1, "x": -1, "0x10": 0, "1\x002": 1,
		"9223372036854775807": math.MaxInt, "9223372036854775808": math.MaxInt, strings.Repeat("9", 99): math.MaxInt,
	} {
		d := home(t, map[string]string{"f": text})
		if got, err := d.Int("f", -1); got != want || err != nil {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func TestList(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "",
		"\n\n":                       "",
		"a":                          "a",
		"a\nb":                       "a|b",
		"a \t\n\n  \n# c\nb\n":       "a|b",
		" # not a comment":           " # not a comment",
		"a # not a comment":          "a # not a comment",
		"#\n##\n#a\nb#":              "b#",
		"a\r\nb\r\n":                 "a\r|b\r",
		"a\x00b\n":                   "a|b",
		"a\x00#b\x00\x00c \n\x00d\n": "a|#b||c",
		strings.Repeat("x", 99999):   strings.Repeat("x", 99999),
	} {
		d := home(t, map[string]string{"f": text})
		got, ok, err := d.List("f")
		if strings.Join(got, "|") != want || !ok || err != nil {
			t.Errorf("%.40q: %.40q, %v, %v", text, got, ok, err)
		}
	}
}

func TestReadList(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/lists", []byte("a\n#b\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, ok, err := ReadList(fsys.OS{Root: dir}, "lists")
	if !slices.Equal(got, []string{"a"}) || !ok || err != nil {
		t.Errorf("%q, %v, %v", got, ok, err)
	}
	if _, ok, err := ReadList(fsys.OS{Root: dir}, "none"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestMaps(t *testing.T) {
	m := Colon([]string{"a:1", "A:2", "b:", "c", "d:e:f", ":g", "caf\u00c9:x", "virt.example:alias-virt"})
	for key, want := range map[string]string{"a": "2", "A": "2", "b": "", "d": "e:f", "": "g", "caf\u00c9": "x", "VIRT.Example": "alias-virt"} {
		if got, ok := m.Get(key); got != want || !ok {
			t.Errorf("%q: %q, %v", key, got, ok)
		}
	}
	for _, key := range []string{"c", "d:e", "x", "caf\u00e9"} { // É and é are not ASCII
		if m.Has(key) {
			t.Errorf("has %q", key)
		}
	}
	s := Set([]string{"a", "B:c", ""})
	if !s.Has("A") || !s.Has("b:C") || !s.Has("") || s.Has("B") || Set(nil).Has("") || Map(nil).Has("a") {
		t.Errorf("%q", s)
	}
}

func TestLower(t *testing.T) {
	for in, want := range map[string]string{"": "", "abc": "abc", "aBC@[Z": "abc@[z", "\u00c4X": "\u00c4x", "@[`{": "@[`{"} {
		if got := Lower(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func FuzzList(f *testing.F) {
	for _, s := range []string{"", "a\n#b\nc \t", "a\x00b", "\x00", "5", "99999999999999999999"} {
		f.Add(s)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(dir+"/f", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		lines, ok, err := ReadList(fsys.OS{Root: dir}, "f")
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		for _, l := range lines {
			if strings.ContainsAny(l, "\n\x00") || len(l) > len(text) {
				t.Errorf("%q of %q", l, text)
			}
			if !Set(lines).Has(l) {
				t.Errorf("%q is not in its own set", l)
			}
		}
	})
}
