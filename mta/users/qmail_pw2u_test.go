package users

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

// runPw2u runs qmail-pw2u where files are the contents of users/. In texts, ME
// is a uid that has the home directories A and B, OTHER one that has none.
func runPw2u(t *testing.T, passwd string, files map[string]string, args ...string) proctest.Result {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"users", "A", "B"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	me := os.Getuid()
	if me == 0 { // root is no user for mail
		me = 4711
		for _, name := range []string{"A", "B"} {
			if err := os.Chown(filepath.Join(dir, name), me, -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	words := strings.NewReplacer("ME", strconv.Itoa(me), "OTHER", strconv.Itoa(me+1), "DIR", dir)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "users", name), []byte(words.Replace(text)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := proctest.Run(&QmailPw2u, proctest.Case{Args: args, In: words.Replace(passwd), Vars: proc.Vars{"QMAILHOME=" + dir}})
	back := strings.NewReplacer(strconv.Itoa(me), "ME", strconv.Itoa(me+1), "OTHER", dir, "DIR")
	r.Out, r.Err = back.Replace(r.Out), back.Replace(r.Err)
	return r
}

const (
	alias = "alias:x:ME:2108::DIR/A:/bin/true\n"
	joe   = "joe:x:ME:100:Joe:DIR/B:/bin/sh\n"
)

func TestPw2u(t *testing.T) {
	const aliasLines = "+:alias:ME:2108:DIR/A:-::\n=alias:alias:ME:2108:DIR/A:::\n+alias-:alias:ME:2108:DIR/A:-::\n"
	for what, c := range map[string]struct {
		passwd string
		files  map[string]string
		args   []string
		want   string
	}{
		"a user":           {joe + alias, nil, nil, "=joe:joe:ME:100:DIR/B:::\n+joe-:joe:ME:100:DIR/B:-::\n" + aliasLines},
		"root":             {"root:x:0:0::DIR/A:/\n" + alias, nil, nil, aliasLines},
		"another's home":   {"joe:x:OTHER:1::DIR/B:/\n" + alias, nil, nil, aliasLines},
		"no home":          {"joe:x:ME:1::DIR/C:/\n" + alias, nil, nil, aliasLines},
		"capital letters":  {"Joe:x:ME:1::DIR/B:/\n" + alias, nil, nil, aliasLines},
		"a short line":     {"joe:x:ME:1::DIR/B\n\n" + alias, nil, nil, aliasLines},
		"no last newline":  {strings.TrimSuffix(alias, "\n"), nil, nil, aliasLines},
		"exclude":          {joe + alias, map[string]string{"exclude": "# not\nJOE \n"}, nil, aliasLines},
		"include":          {joe + alias, map[string]string{"include": "alias\n"}, nil, aliasLines},
		"append":           {alias, map[string]string{"append": "+x:\n=y"}, nil, aliasLines + "+x:\n=y"},
		"-u":               {"Joe:x:ME:1::DIR/B:/\n" + alias, nil, []string{"-uC"}, "=Joe:Joe:ME:1:DIR/B:::\n+:alias:ME:2108:DIR/A:-::\n=alias:alias:ME:2108:DIR/A:::\n"},
		"-H":               {"joe:x:ME:1::DIR/C:/\n" + alias, nil, []string{"-HC"}, "=joe:joe:ME:1:DIR/C:::\n+:alias:ME:2108:DIR/A:-::\n=alias:alias:ME:2108:DIR/A:::\n"},
		"-/ and -c":        {alias, nil, []string{"-/", "-c+"}, "+:alias:ME:2108:DIR/A:-/::\n=alias:alias:ME:2108:DIR/A:::\n+alias+:alias:ME:2108:DIR/A:-/::\n"},
		"mail names":       {joe + alias, map[string]string{"mailnames": "joe::j::Joe.User:\n"}, []string{"-C"}, "=j:joe:ME:100:DIR/B:::\n=Joe.User:joe:ME:100:DIR/B:::\n+:alias:ME:2108:DIR/A:-::\n=alias:alias:ME:2108:DIR/A:::\n"},
		"no mail name":     {joe + alias, map[string]string{"mailnames": "joe:\n"}, nil, aliasLines},
		"a subuser":        {alias, map[string]string{"subusers": "web:alias:www:\nnothing\n"}, nil, aliasLines + "=web:alias:ME:2108:DIR/A:-:www:\n+web-:alias:ME:2108:DIR/A:-:www-:\n"},
		"a subuser, -C -/": {alias, map[string]string{"subusers": "web:alias:www:\n"}, []string{"-C/"}, "+:alias:ME:2108:DIR/A:-/::\n=alias:alias:ME:2108:DIR/A:::\n=web:alias:ME:2108:DIR/A:-/:www:\n"},
	} {
		if r := runPw2u(t, c.passwd, c.files, c.args...); r.Status != 0 || r.Out != c.want+".\n" || r.Err != "" {
			t.Errorf("%s: status %d, %q\n%swant\n%s.", what, r.Status, r.Err, r.Out, c.want)
		}
	}
}

// A table that would be wrong is not printed at all.
func TestPw2uRefuses(t *testing.T) {
	for what, c := range map[string]struct {
		passwd string
		files  map[string]string
		args   []string
		status int
		want   string
	}{
		"no alias":      {joe, nil, nil, 111, "fatal: unable to find alias user"},
		"-h":            {"joe:x:ME:1::DIR/C:/\n" + alias, nil, []string{"-h"}, 111, "fatal: unable to stat DIR/C"},
		"whose subuser": {alias, map[string]string{"subusers": "web:joe:www:\n"}, nil, 111, "fatal: unable to find joe user for subuser"},
		"a long line":   {strings.Repeat("x", 2<<20), nil, nil, 111, "fatal: unable to read input"},
		"an option":     {alias, nil, []string{"-x"}, 100, "illegal option -- x"},
	} {
		if r := runPw2u(t, c.passwd, c.files, c.args...); r.Status != c.status || r.Out != "" || r.Err != "qmail-pw2u: "+c.want+"\n" {
			t.Errorf("%s: status %d, %q, %q", what, r.Status, r.Out, r.Err)
		}
	}
	r := proctest.Run(&QmailPw2u, proctest.Case{In: alias, Vars: proc.Vars{"QMAILHOME=/nonexistent"}})
	if r.Status != 111 || r.Err != "qmail-pw2u: fatal: unable to chdir\n" {
		t.Errorf("no home: %+v", r)
	}
}
