package sys

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fixture is a user database of files, a nsswitch.conf and a getent.
func fixture(t *testing.T, nsswitch, getent string) *accounts {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		file := filepath.Join(dir, name)
		if text == "" {
			return file
		}
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return &accounts{
		passwd: write("passwd", "root:x:0:0:root:/root:/bin/sh\nshort:x:1\n"+
			"alice:x:1000:1001:Alice,,,:/home/alice:\nbig:x:4294967295:1:::\nminus:x:-1:1:::\n"+
			"ids:x:5:6\ncolons:x:5:6::/h:/s:t\n \tblanks:x:5:6:::\n#off:x:5:6:::\nwide:x:4294967296:1:::\nend:x:5x:1:::\n", 0o644),
		groups:   write("group", "staff:x:50:"+strings.Repeat("someone,", 20000)+"alice\nqmail:x:77:\n", 0o644),
		nsswitch: write("nsswitch.conf", nsswitch, 0o644),
		getent:   write("getent", getent, 0o755),
	}
}

func TestAccountInFiles(t *testing.T) {
	a := fixture(t, "", "")
	got, err := a.account("alice")
	if err != nil || *got != (Account{"alice", 1000, 1001, "/home/alice", ""}) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := a.account("big"); err != nil || got.UID != 4294967295 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, want := range []Account{
		{"ids", 5, 6, "", ""}, {"colons", 5, 6, "/h", "/s:t"}, {"blanks", 5, 6, "", ""},
	} {
		if got, err := a.account(want.Name); err != nil || *got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
	for _, name := range []string{"", "nobody", "short", "#off", "wide", "end", " \tblanks", "minus", "alice:x", "Alice", "alice\n"} {
		if got, err := a.account(name); err != ErrNoAccount {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	if gid, err := a.group("qmail"); err != nil || gid != 77 {
		t.Errorf("%d, %v", gid, err)
	}
	a.passwd += "-absent"
	if _, err := a.account("alice"); err == nil || errors.Is(err, ErrNoAccount) {
		t.Errorf("no passwd: %v; want: nobody knows", err)
	}
}

// The first line of the group file is longer than bufio.Scanner takes by itself.
func TestMemberships(t *testing.T) {
	a := fixture(t, "", "")
	f, err := os.OpenFile(a.groups, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("mail:x:8:bob,alice,carol\nal:x:9:alic,alicea\nshort:x:10\nodd:x:-1:alice\nalice:x:11:\n")
	f.Close()
	for user, want := range map[string][]int{"alice": {50, 8}, "bob": {8}, "dave": nil} {
		if got, err := a.memberships(user); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", user, got, err, want)
		}
	}
	a.groups += "-absent"
	if _, err := a.memberships("alice"); err == nil {
		t.Error("no group file, and no error")
	}
}

func TestElsewhere(t *testing.T) {
	for _, c := range []struct {
		conf string
		want bool
	}{
		{"", false},
		{"passwd: files\n", false},
		{"# passwd: ldap\ngroup: ldap\n", false},
		{"passwd:\t files systemd # sss\n", false},
		{"passwd: compat [ NOTFOUND=return SUCCESS=continue ] files\n", false},
		{"passwd: files sss\n", true},
		{"passwd:files\tldap\n", true},
		{"  passwd :  [SUCCESS=merge]  nis", true},
		{"passwd: [ldap", false},
	} {
		got, err := fixture(t, c.conf, "").elsewhere("passwd")
		if err != nil || got != c.want {
			t.Errorf("%q: %v, %v", c.conf, got, err)
		}
	}
}

func TestGetent(t *testing.T) {
	const sss = "passwd: files sss\ngroup: files sss\n"
	a := fixture(t, sss, `#!/bin/sh
test "$1" = -- || exit 9
test -z "$HOME" || exit 9
case "$2 $3" in
	'passwd carol') echo "carol:*:2000:2001::/home/carol:/bin/sh";;
	'passwd Dave') echo "dave:*:2002:2001::/home/dave:/bin/sh";;
	'passwd 0') echo "root:x:0:0:root:/root:/bin/sh";;
	'passwd odd') echo "odd:x";;
	'passwd broken') echo "broken:*:1:1::/:/"; exit 3;;
	'passwd killed') kill -9 $$;;
	'group wheel') echo "wheel:*:10:carol";;
	*) exit 2;;
esac
`)
	if got, err := a.account("carol"); err != nil || *got != (Account{"carol", 2000, 2001, "/home/carol", "/bin/sh"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := a.account("Dave"); err != nil || got.Name != "dave" {
		t.Errorf("%+v, %v", got, err)
	}
	if gid, err := a.group("wheel"); err != nil || gid != 10 {
		t.Errorf("%d, %v", gid, err)
	}
	for _, name := range []string{"nobody", "0", "-x"} {
		if got, err := a.account(name); err != ErrNoAccount {
			t.Errorf("%q: %+v, %v; want no such account", name, got, err)
		}
	}
	for _, name := range []string{"odd", "broken", "killed"} {
		if got, err := a.account(name); err == nil || errors.Is(err, ErrNoAccount) {
			t.Errorf("%q: %+v, %v; want: nobody knows", name, got, err)
		}
	}
	a.getent += "-absent"
	if _, err := a.account("carol"); err == nil || errors.Is(err, ErrNoAccount) {
		t.Errorf("no getent: %v; want: nobody knows", err)
	}
}
