package tcprules

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"paperpath/internal/cdb"
	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
	"paperpath/internal/proc/proctest"
)

// records compiles one line.
func records(line string) (list []string, ok bool) {
	ok, err := compile(line, func(address, data string) error {
		list = append(list, address+" "+strings.ReplaceAll(data, "\x00", ";"))
		return nil
	})
	return list, ok && err == nil
}

func TestCompile(t *testing.T) {
	for _, tt := range []struct {
		line string
		want []string // nil: cannot be parsed
	}{
		{"1.2.3.4:allow", []string{"1.2.3.4 "}},
		{"1.2.3.:deny", []string{"1.2.3. D;"}},
		{":allow", []string{" "}},
		{"=:deny", []string{"= D;"}},
		{"joe@=h.example:allow,A=\"1\",B='=,:',C=/x y/", []string{"joe@=h.example +A=1;+B==,:;+C=x y;"}},
		{"a:deny,X=\"\"", []string{"a D;+X=;"}},
		{"1.2.3.8-10:deny", []string{"1.2.3.8 D;", "1.2.3.9 D;", "1.2.3.10 D;"}},
		{"1.8-9.3:deny", []string{"1.8.3 D;", "1.9.3 D;"}},
		{"8-9.:deny", []string{"8. D;", "9. D;"}},
		{"1.254-999:deny", []string{"1.254 D;", "1.255 D;"}},
		{"1.08-09:deny", []string{"1.8 D;", "1.9 D;"}},
		{"1.-1:deny", []string{"1.0 D;", "1.1 D;"}},
		{"1.9-8:deny", []string{}},
		{"j-k@1.2.3.4:deny", []string{"j-k@1.2.3.4 D;"}},
		{"=a-b.example:deny", []string{"=a-b.example D;"}},
		{"no colon", []string{}},
		{"", []string{}},
		{"[2001:DB8:0::1]:deny", []string{"2001:db8::1 D;"}},
		{"[2001:db8:ffff::/32]:allow,A=\"[:]\"", []string{"2001:db8::/32 +A=[:];"}},
		{"[::1/128]:allow", []string{"::1 "}},
		{"joe@[::1]:deny", []string{"joe@::1 D;"}},

		{"a:", nil},
		{"a:Allow", nil},
		{"a:allowed", nil},
		{"a:allow,", nil},
		{"a:allow,A", nil},
		{"a:allow,A=", nil},
		{"a:allow,A=\"", nil},
		{"a:allow,A=\"x", nil},
		{"a:allow,A=\"x\"B=\"y\"", nil},
		{"a:allow A=\"x\"", nil},
		{"1.a-9:deny", nil},
		{"1.2-x:deny", nil},
		{"1.2-3-4:deny", nil},
		{"[127.0.0.1]:deny", nil},
		{"[::ffff:1.2.3.4]:deny", nil}, // such a client has the address 1.2.3.4
		{"[fe80::1%eth0]:deny", nil},
		{"[::/0]:deny", nil}, // everybody, IPv4 too, is the empty address
		{"[::1:deny", nil},
		{"joe[::1]:deny", nil},
	} {
		list, ok := records(tt.line)
		if ok != (tt.want != nil) || ok && !slices.Equal(list, tt.want) {
			t.Errorf("%q: %q, %v; want %q", tt.line, list, ok, tt.want)
		}
	}
}

// build compiles text into a database in a directory of its own.
func build(t testing.TB, text string) (file string, r proctest.Result) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "rules.cdb")
	return file, proctest.Run(&Tcprules, proctest.Case{Args: []string{"rules.cdb", "rules.tmp"}, Dir: dir, In: text})
}

// The C program's database for this text, byte for byte.
func TestSameBytesAsC(t *testing.T) {
	const text = "# networks\n127.:allow,RELAYCLIENT=\"\"\n192.168.1.10-20:allow,RELAYCLIENT=\"\",A='b'\n" +
		"10.0.0.1:deny\njoe@10.0.0.2:allow\n=host.example:deny\n=.example:allow,D=/x/\n=:allow\nno rule at all\n:allow\n"
	const want = "195920f044d9cb3e1dc17a79ed588e580d264c0d40e2d2d92b96b5120a8e67dc"
	file, r := build(t, text)
	if r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("%d bytes, sha256 %s, want %s", len(b), got, want)
	}
}

// A text that cannot be compiled leaves the old rules in force.
func TestBadTextChangesNothing(t *testing.T) {
	file, r := build(t, "1.2.3.4:deny\n")
	if r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	r = proctest.Run(&Tcprules, proctest.Case{Args: []string{"rules.cdb", "rules.tmp"}, Dir: filepath.Dir(file), In: ":allow\n1.2.3.4:permit \n"})
	if r.Status != 100 || r.Err != "tcprules: fatal: unable to parse this line: 1.2.3.4:permit\n" {
		t.Errorf("%+v", r)
	}
	rule, err := Find(fsys.OS{}, file, &Client{IP: "1.2.3.4"})
	if err != nil || explain(rule) != "rule 1.2.3.4:\ndeny connection\n" {
		t.Errorf("%v, %v", rule, err)
	}
	r = proctest.Run(&Tcprules, proctest.Case{Args: []string{"rules.cdb", "rules.tmp"}, Dir: filepath.Dir(file), In: strings.Repeat("x", maxLine+1)})
	if r.Status != 111 || r.Err != "tcprules: fatal: unable to read input: line too long\n" {
		t.Errorf("%+v", r)
	}
}

// A cut or a fault at any moment leaves the old rules or the new ones, and a
// tcprules that said nothing leaves the new ones.
func TestCut(t *testing.T) {
	compile := func(fs fsys.FS, rules string) error {
		return replace(fs, strings.NewReader(rules), "etc/rules.cdb", "etc/rules.tmp")
	}
	old := func() *crashfs.FS {
		fs := crashfs.New("etc")
		if err := compile(fs, "old:allow\n"); err != nil {
			t.Fatal(err)
		}
		fs.Settle()
		return fs
	}
	which := func(fs fsys.FS) string {
		r, err := cdb.Open(fs, "etc/rules.cdb")
		if err != nil {
			return err.Error()
		}
		defer r.Close()
		for _, name := range []string{"old", "new"} {
			if _, found, err := r.Get([]byte(name)); err == nil && found {
				return name
			}
		}
		return "neither"
	}
	fs := old()
	if err := compile(fs, "new:allow\n"); err != nil {
		t.Fatal(err)
	}
	done := fs.Calls()
	for _, model := range []crashfs.Model{crashfs.Strict, crashfs.Journal} {
		for c := range fs.Crashes(model, 100, 1) {
			if got := which(c.FS); got != "new" && (got != "old" || c.At >= done) {
				t.Fatalf("%v: rules: %s\n%s", c, got, c.Dump())
			}
		}
	}
	for n := range done {
		fs := old()
		fs.Fault = crashfs.FailNth(n, syscall.EIO)
		err := compile(fs, "new:allow\n")
		fs.Fault = nil
		if got := which(fs); got != "new" && (got != "old" || err == nil) {
			t.Errorf("call %d fails: %v, rules: %s", n, err, got)
		}
	}
}

func TestFindIPv6(t *testing.T) {
	file, r := build(t, "[2001:db8::1]:allow,R=\"host\"\n[2001:db8::/64]:allow,R=\"net\"\n[2001:db8::/32]:deny\n"+
		"[::/1]:allow,R=\"half\"\n=.example:allow,R=\"domain\"\n10.:allow,R=\"ten\"\n:deny\n")
	if r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	for _, tt := range []struct {
		c    Client
		want string
	}{
		{Client{IP: "2001:db8::1"}, "rule 2001:db8::1:\nset environment variable R=host\nallow connection\n"},
		{Client{IP: "2001:db8::2"}, "rule 2001:db8::/64:\nset environment variable R=net\nallow connection\n"},
		{Client{IP: "2001:db8:0:1::2"}, "rule 2001:db8::/32:\ndeny connection\n"},
		{Client{IP: "2001:db9::1", Host: "x.example", HasHost: true}, "rule ::/1:\nset environment variable R=half\nallow connection\n"},
		{Client{IP: "fe80::1", Host: "x.example", HasHost: true}, "rule =.example:\nset environment variable R=domain\nallow connection\n"},
		{Client{IP: "fe80::1"}, "rule :\ndeny connection\n"},
		{Client{IP: "10.0.0.1"}, "rule 10.:\nset environment variable R=ten\nallow connection\n"},
	} {
		rule, err := Find(fsys.OS{}, file, &tt.c)
		if err != nil || explain(rule) != tt.want {
			t.Errorf("%+v: %q, %v; want %q", tt.c, explain(rule), err, tt.want)
		}
	}
}

// Whatever befell the file, nobody is let in because of it.
func TestDamage(t *testing.T) {
	file, r := build(t, "10.0.0.1:deny\n10.:deny\n:deny\n")
	if r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(whole); n += 1 + n/512 {
		if err := os.WriteFile(file, whole[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		for _, ip := range []string{"10.0.0.1", "10.0.0.2", "11.0.0.1"} {
			rule, err := Find(fsys.OS{}, file, &Client{IP: ip})
			if err != nil && !errors.Is(err, syscall.EPROTO) || err == nil && explain(rule) != "rule "+rule.Address+":\ndeny connection\n" {
				t.Errorf("%d of %d bytes, %s: %v, %v", n, len(whole), ip, rule, err)
			}
		}
	}
	if _, err := Find(fsys.OS{}, file+".none", &Client{IP: "10.0.0.1"}); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("no file: %v", err)
	}
}

// Find, with a map in place of the database and the order of the manual page
// written out.
func naive(rules map[string]string, c *Client) (address string, ok bool) {
	var keys []string
	if c.HasInfo {
		keys = append(keys, c.Info+"@"+c.IP)
		if c.HasHost {
			keys = append(keys, c.Info+"@="+c.Host)
		}
	}
	keys = append(keys, c.IP)
	if c.HasHost {
		keys = append(keys, "="+c.Host)
	}
	for p := c.IP; p != ""; p = p[:len(p)-1] {
		if strings.HasSuffix(p, ".") {
			keys = append(keys, p)
		}
	}
	if c.HasHost {
		for s := c.Host; s != ""; s = s[1:] {
			if strings.HasPrefix(s, ".") {
				keys = append(keys, "="+s)
			}
		}
		keys = append(keys, "=")
	}
	for _, k := range append(keys, "") {
		if _, ok := rules[k]; ok {
			return k, true
		}
	}
	return "", false
}

func FuzzRules(f *testing.F) {
	f.Add("1.2.3.4:allow\n1.2.:deny,A=\"x\"\n=.b:allow\n:deny\n", "1.2.3.4", "a.b", "joe", true)
	f.Add("joe@1.2.3.4-6:deny\n=:allow\n", "1.2.3.5", "", "joe", false)
	f.Add("[::1]:deny\n#x\n:allow", "..", ".", "", true)
	f.Fuzz(func(t *testing.T, text, ip, host, info string, known bool) {
		if strings.IndexByte(ip, ':') >= 0 || len(text) > 1<<12 {
			return // the naive matcher knows IPv4
		}
		file, r := build(t, text)
		rules := map[string]string{}
		for line := range strings.SplitSeq(text, "\n") {
			if strings.HasPrefix(line, "#") {
				continue
			}
			ok, _ := compile(strings.TrimRight(line, " \t"), func(address, data string) error {
				if _, again := rules[address]; !again {
					rules[address] = data
				}
				return nil
			})
			if !ok {
				if _, err := os.Stat(file); r.Status != 100 || err == nil {
					t.Errorf("%q: %+v", line, r)
				}
				return
			}
		}
		if r.Status != 0 {
			t.Fatalf("%q: %+v", text, r)
		}
		c := &Client{IP: ip, Host: host, HasHost: known, Info: info, HasInfo: known}
		rule, err := Find(fsys.OS{}, file, c)
		address, ok := naive(rules, c)
		switch {
		case err != nil:
			t.Errorf("%q, %+v: %v", text, c, err)
		case ok != (rule != nil), ok && (rule.Address != address || string(rule.data) != rules[address]):
			t.Errorf("%q, %+v: %+v, want %q", text, c, rule, address)
		}
	})
}

func FuzzDatabase(f *testing.F) {
	f.Add([]byte{}, "1.2.3.4")
	file, _ := build(f, "1.2.3.4:deny,A=\"x\"\n:allow\n")
	seed, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed, "1.2.3.4")
	f.Fuzz(func(t *testing.T, b []byte, ip string) {
		file := filepath.Join(t.TempDir(), "cdb")
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
		rule, err := Find(fsys.OS{}, file, &Client{IP: ip, Host: ip, HasHost: true})
		if err != nil && rule != nil {
			t.Errorf("a rule and an error: %v", err)
		}
		explain(rule)
	})
}
