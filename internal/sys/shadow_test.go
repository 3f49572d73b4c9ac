package sys

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLookupShadow(t *testing.T) {
	dir := t.TempDir()
	a := &accounts{passwd: filepath.Join(dir, "passwd"), shadow: filepath.Join(dir, "shadow"), nsswitch: filepath.Join(dir, "none")}
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(a.passwd, "old:hash:1:1:::\nalice:x:2:2:::\n")
	const shadow = "root:*:19000:0:99999:7:::\n#off:p:1:2:3:4:5:6:7\nalice:$y$:20000:0:90:7:14:20500:\n" +
		"broken:h:1:2:3:4:5:tomorrow:\nshort:h\nfive:h:1::\nnegative:h:-1:-1:-1:-1:-1:-1:\n"

	for name, want := range map[string]Shadow{
		"root":     {"*", 19000, 99999, -1, -1},
		"alice":    {"$y$", 20000, 90, 14, 20500},
		"old":      {"hash", -1, -1, -1, -1},
		"five":     {"h", 1, -1, -1, -1},
		"negative": {"h", -1, -1, -1, -1},
	} {
		write(a.shadow, shadow)
		if got, err := a.password(name); err != nil || *got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
	for _, name := range []string{"", "nobody", "short", "#off", "alice:$y$", "x\x00"} {
		if got, err := a.password(name); err != ErrNoAccount {
			t.Errorf("%q: %+v, %v; want no such account", name, got, err)
		}
	}
	if got, err := a.password("broken"); err != errShadow {
		t.Errorf("a day that is none: %+v, %v", got, err)
	}

	var all []string
	err := a.eachPassword(func(p string) bool { all = append(all, p); return p != "$y$" })
	if err != nil || !slices.Equal(all, []string{"*", "$y$"}) {
		t.Errorf("passwords %q, %v", all, err)
	}

	// A system without such a file has passwords in the other.
	os.Remove(a.shadow)
	if got, err := a.password("alice"); err != nil || got.Password != "x" {
		t.Errorf("no shadow file: %+v, %v", got, err)
	}
	if err := a.eachPassword(func(string) bool { t.Error("a password"); return true }); err != nil {
		t.Error(err)
	}
	// One that cannot be read says nothing.
	a.shadow = dir
	if got, err := a.password("alice"); !errors.Is(err, unix.EISDIR) {
		t.Errorf("a directory: %+v, %v", got, err)
	}
}

func TestBecomeCaller(t *testing.T) {
	if err := BecomeCaller(); err != nil || SetUID() {
		t.Errorf("%v", err)
	}
}
