package tcprules

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/cdb"
	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
	"paperpath/internal/proc/proctest"
)

// lineCompiler is a compiler that lists the records.
func lineCompiler(list *[]string, warnings *[]string) *compiler {
	return &compiler{
		add: func(address, data string) error {
			*list = append(*list, address+" "+strings.ReplaceAll(data, "\x00", ";"))
			return nil
		},
		warn: func(address, about string) { *warnings = append(*warnings, address+" "+about) },
	}
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
		{"2001:DB8:0::1:deny", []string{"2001:db8::1 D;"}},
		{"[2001:db8::/32]:allow,A=\"[:]\"", []string{"2001:db8::/32 +A=[:];"}},
		{"2001:db8::/32:deny", []string{"2001:db8::/32 D;"}},
		{"[::1/128]:allow", []string{"::1/128 "}},
		{"[::/0]:deny", []string{"::/0 D;"}},
		{"joe@[::1]:deny", []string{"joe@::1 D;"}},
		{"joe@::1:deny", []string{"joe@::1 D;"}},
		{"10.0.0.0/8:deny", []string{"10.0.0.0/8 D;"}},
		{"1.2.3.4/32:allow", []string{"1.2.3.4/32 "}},
		{"0.0.0.0/0:allow", []string{"0.0.0.0/0 "}},
	} {
		var list, warnings []string
		bad, err := lineCompiler(&list, &warnings).compile(tt.line)
		if bad != nil || err != nil || !slices.Equal(list, tt.want) {
			t.Errorf("%q: %q, %v, %v; want %q", tt.line, list, bad, err, tt.want)
		}
	}
}

// Each mistake, and what is said about it.
func TestMistakes(t *testing.T) {
	for line, want := range map[string]error{
		"a:":                         errNeither,
		"a:Allow":                    errNeither,
		"a:den":                      errNeither,
		"a: allow":                   errNeither,
		"a:allowed":                  errComma,
		"a:deny A=\"x\"":             errComma,
		"a:allow,A=\"x\"B=\"y\"":     errComma,
		"a:allow,":                   errEquals,
		"a:allow,A":                  errEquals,
		"a:allow,A=":                 errNoValue,
		"a:allow,A=\"":               errOpen,
		"a:allow,A=\"x":              errOpen,
		"1.a-9:deny":                 errRange,
		"1.2-x:deny":                 errRange,
		"1.2-3-4:deny":               errRange,
		"10.0.0.0-10.0.0.9/8:deny":   nil,        // as in C
		"[::ffff:1.2.3.4]:deny":      errNeither, // such a client has the address 1.2.3.4
		"[::ffff:1.2.3.0/120]:deny":  errNeither,
		"[fe80::1%eth0]:deny":        errNeither,
		"[::1:deny":                  errNeither,
		"joe[::1]:deny":              errNeither,
		"joe@[::1/128]:deny":         errNeither,
		"[2001:db8::/129]:deny":      errNeither,
		"2001:db8::1::allow":         errNeither,
		"[2001:db8::1]:allow,A=\"x":  errOpen,
		"[2001:db8::1/64]:allow,A=x": errOpen,
	} {
		var list, warnings []string
		if bad, err := lineCompiler(&list, &warnings).compile(line); bad != want || err != nil || bad != nil && list != nil {
			t.Errorf("%q: %v, %v, %q; want %v", line, bad, err, list, want)
		}
	}
}

// What C accepts is accepted, but not in silence if it cannot be meant.
func TestWarnings(t *testing.T) {
	for _, tt := range []struct{ line, record, warning string }{
		{"10.0.0.0/33:deny", "10.0.0.0/33 D;", "10.0.0.0/33 " + forNobody},
		{"10/8:deny", "10/8 D;", "10/8 " + forNobody},
		{"[127.0.0.1]:deny", "[127.0.0.1] D;", "[127.0.0.1] " + forNobody},
		{"joe@10.0.0.0/8:deny", "joe@10.0.0.0/8 D;", "joe@10.0.0.0/8 " + forNobody},
		{"10.1.2.3/8:deny", "10.0.0.0/8 D;", "10.1.2.3/8 " + hostBits},
		{"[2001:db8:ffff::/32]:allow", "2001:db8::/32 ", "[2001:db8:ffff::/32] " + hostBits},
		{"1.2.3.400:deny", "1.2.3.400 D;", "1.2.3.400 " + forNobody},
		{"1.2.3.4/33:deny", "1.2.3.4/33 D;", "1.2.3.4/33 " + forNobody},
		{"1.2.3:deny", "1.2.3 D;", "1.2.3 " + forNobody},
		{"1.2.3.4.:deny", "1.2.3.4. D;", "1.2.3.4. " + forNobody},
		{"1.02.:deny", "1.02. D;", "1.02. " + forNobody},
		{"1.300.:deny", "1.300. D;", "1.300. " + forNobody},
		{".:deny", ". D;", ". " + forNobody},
		{"1..3.:deny", "1..3. D;", "1..3. " + forNobody},
		{"host.example:deny", "host.example D;", "host.example " + forNobody},
		{"joe@:deny", "joe@ D;", "joe@ " + forNobody},
		{"joe@1.2.:deny", "joe@1.2. D;", "joe@1.2. " + forNobody},
		{"1.2.256.7-7:deny", "1.2.256.7 D;", "1.2.256.7-7 " + forNobody},
		{"a/b@1.2.3.4:deny", "a/b@1.2.3.4 D;", ""},
		{"1.2.3.:deny", "1.2.3. D;", ""},
		{"1.:deny", "1. D;", ""},
		{":deny", " D;", ""},
		{"joe@=a.b:deny", "joe@=a.b D;", ""},
		{"1.2.3.7-7:deny", "1.2.3.7 D;", ""},
		{"1.7-7.:deny", "1.7. D;", ""},
		{"=a/b:deny", "=a/b D;", ""},
	} {
		var list, warnings []string
		bad, err := lineCompiler(&list, &warnings).compile(tt.line)
		if bad != nil || err != nil || !slices.Equal(list, []string{tt.record}) || strings.Join(warnings, "") != tt.warning {
			t.Errorf("%q: %q, %v, %v, %q", tt.line, list, bad, err, warnings)
		}
	}
}

// A range without a number is no rule, as in C.
func TestEmptyRanges(t *testing.T) {
	for _, address := range []string{"1.2.3.5-4", "1.2.3.256-300"} {
		var list, warnings []string
		bad, err := lineCompiler(&list, &warnings).compile(address + ":deny")
		if bad != nil || err != nil || list != nil || !slices.Equal(warnings, []string{address + " " + noRange}) {
			t.Errorf("%s: %q, %v, %v, %q", address, list, bad, err, warnings)
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
	if r.Status != 100 || r.Err != "tcprules: warning: line 2: neither allow nor deny behind the address\ntcprules: fatal: unable to parse this line: 1.2.3.4:permit\n" {
		t.Errorf("%+v", r)
	}
	rule, err := Find(fsys.OS{}, file, &Client{IP: "1.2.3.4"})
	if err != nil || explain(rule) != "rule 1.2.3.4:\ndeny connection\n" {
		t.Errorf("%v, %v", rule, err)
	}
	r = proctest.Run(&Tcprules, proctest.Case{Args: []string{"rules.cdb", "rules.tmp"}, Dir: filepath.Dir(file), In: strings.Repeat("x", maxLine+1)})
	if r.Status != 100 || r.Err != "tcprules: fatal: line 1: line too long\n" {
		t.Errorf("%+v", r)
	}
}

// A link in the place of the new database leads nowhere.
func TestNoLinkIsFollowed(t *testing.T) {
	dir := t.TempDir()
	victim, tmp := filepath.Join(dir, "victim"), filepath.Join(dir, "rules.tmp")
	if err := os.WriteFile(victim, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, tmp); err != nil {
		t.Fatal(err)
	}
	r := proctest.Run(&Tcprules, proctest.Case{Args: []string{"rules.cdb", "rules.tmp"}, Dir: dir, In: ":allow\n"})
	if r.Status != 111 || r.Err != "tcprules: fatal: unable to create rules.tmp: symbolic link loop\n" {
		t.Errorf("%+v", r)
	}
	if text, _ := os.ReadFile(victim); string(text) != "theirs" {
		t.Errorf("%q", text)
	}
}

// A cut or a fault at any moment leaves the old rules or the new ones, and a
// tcprules that said nothing leaves the new ones.
func TestCut(t *testing.T) {
	compile := func(fs fsys.FS, rules string) error {
		return replace(fs, strings.NewReader(rules), "etc/rules.cdb", "etc/rules.tmp", func(error) {})
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

// Each sync is needed: without it a cut leaves rules that are none, or the old
// ones after a success.
func TestEverySyncIsNeeded(t *testing.T) {
	for _, op := range []string{"sync", "syncdir"} {
		fs := crashfs.New("etc")
		fs.Lie = func(c crashfs.Call) bool { return c.Op == op }
		if err := replace(fs, strings.NewReader("new:allow\n"), "etc/rules.cdb", "etc/rules.tmp", func(error) {}); err != nil {
			t.Fatal(err)
		}
		good := true
		for c := range fs.CrashesAt(fs.Calls(), crashfs.Strict, 100, 1) {
			r, err := cdb.Open(c.FS, "etc/rules.cdb")
			if err != nil {
				good = false
				continue
			}
			_, found, err := r.Get([]byte("new"))
			good = good && found && err == nil
			r.Close()
		}
		if good {
			t.Errorf("without %s no state is bad", op)
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

// Networks, the smallest first; the dotted form of one before the other.
func TestFindNetworks(t *testing.T) {
	const rules = "10.1.2.128/25:deny\n10.1.2.0/24:deny\n10.1.2.:deny\n10.1.0.0/20:deny\n10.1.:deny\n10.0.0.0/9:deny\n" +
		"10.:deny\n10.0.0.0/8:deny\n=.example:deny\n0.0.0.0/0:deny\n10.1.2.200:deny\n10.1.2.201/32:deny\n=h.example:deny\n192.0.2.0/24:deny\n:deny\n"
	file, r := build(t, rules)
	if r.Status != 0 || r.Err != "" {
		t.Fatalf("%+v", r)
	}
	for _, tt := range []struct{ ip, host, want string }{
		{"10.1.2.200", "", "10.1.2.200"},
		{"10.1.2.201", "", "10.1.2.201/32"},
		{"10.1.2.201", "h.example", "=h.example"},
		{"10.1.2.202", "", "10.1.2.128/25"},
		{"10.1.2.1", "", "10.1.2."},
		{"10.1.3.1", "x.example", "10.1.0.0/20"},
		{"10.1.16.1", "x.example", "10.1."},
		{"10.2.2.1", "x.example", "10.0.0.0/9"},
		{"10.200.2.1", "x.example", "10."},
		{"192.0.2.1", "x.example", "192.0.2.0/24"},
		{"11.0.0.1", "x.example", "0.0.0.0/0"},
		{"2001:db8::1", "x.example", "=.example"},
		{"2001:db8::1", "", ""},
		{"not an address", "x.example", "=.example"},
	} {
		rule, err := Find(fsys.OS{}, file, &Client{IP: tt.ip, Host: tt.host, HasHost: tt.host != ""})
		if err != nil || rule == nil || rule.Address != tt.want {
			t.Errorf("%s %s: %+v, %v; want %s", tt.ip, tt.host, rule, err, tt.want)
		}
	}
}

// A Database follows its file: replaced, written in place, damaged, gone and back.
func TestDatabase(t *testing.T) {
	file, r := build(t, "10.:allow\n")
	if r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	db := NewDatabase(fsys.OS{}, file)
	client := &Client{IP: "10.0.0.1"}
	address := func() string {
		rule, err := db.Find(client)
		if err != nil {
			return err.Error()
		}
		return rule.Address
	}
	compile := func(text string) []byte {
		r := proctest.Run(&Tcprules, proctest.Case{Args: []string{"rules.cdb", "rules.tmp"}, Dir: filepath.Dir(file), In: text})
		b, err := os.ReadFile(file)
		if r.Status != 0 || err != nil {
			t.Fatalf("%+v, %v", r, err)
		}
		return b
	}
	for range 3 {
		if got := address(); got != "10." {
			t.Error(got)
		}
	}
	whole := compile("10.0.:allow\n")
	if got := address(); got != "10.0." {
		t.Error(got)
	}
	for _, step := range []struct {
		do   func() error
		want string
	}{
		{func() error { return os.WriteFile(file, whole[:len(whole)-1], 0o644) }, syscall.EPROTO.Error()},
		{func() error { return os.WriteFile(file, nil, 0o644) }, syscall.EPROTO.Error()},
		{func() error { return os.Remove(file) }, syscall.ENOENT.Error()},
		{func() error { return os.WriteFile(file, whole, 0o644) }, "10.0."},
		{func() error { compile("10.0.0.:allow\n"); return nil }, "10.0.0."},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := address(); got != step.want {
			t.Errorf("%s, want %s", got, step.want)
		}
	}
}

// What is written over during a search is damage, and a new file is not.
func TestWrittenOver(t *testing.T) {
	file, r := build(t, ":allow\n")
	if r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	db := NewDatabase(fsys.OS{}, file)
	if _, err := db.Find(&Client{IP: "10.0.0.1"}); err != nil || db.unwritten() != nil {
		t.Errorf("%v, %v", err, db.unwritten())
	}
	if err := os.WriteFile(file+".new", []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(file, file+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil || db.unwritten() != nil {
		t.Errorf("%v, %v", err, db.unwritten())
	}
	if err := os.Truncate(file+".old", 2048); err != nil || db.unwritten() != syscall.EPROTO {
		t.Errorf("%v, %v", err, db.unwritten())
	}
}

// meddling is a file system in which, once, a file is written over as soon as its
// beginning has been read.
type meddling struct {
	fsys.FS
	meddle func()
}

type meddlingFile struct {
	fsys.File
	fs *meddling
}

func (m *meddling) Open(name string, flags int, perm uint32) (fsys.File, error) {
	f, err := m.FS.Open(name, flags, perm)
	return &meddlingFile{f, m}, err
}

func (f *meddlingFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(b, off)
	if meddle := f.fs.meddle; meddle != nil {
		f.fs.meddle = nil
		meddle()
	}
	return n, err
}

// The beginning of one version never goes with the rest of another for longer than
// one search, and that one finds the damage.
func TestDatabaseWrittenOverWhileOpened(t *testing.T) {
	file, r := build(t, "10.0.0.1:deny\n")
	next, s := build(t, "10.0.0.2:deny\n")
	if r.Status != 0 || s.Status != 0 {
		t.Fatalf("%+v, %+v", r, s)
	}
	fs := &meddling{FS: fsys.OS{}}
	fs.meddle = func() {
		b, err := os.ReadFile(next)
		if err == nil {
			err = os.WriteFile(file, b, 0o644)
		}
		if err == nil {
			err = os.Chtimes(file, time.Time{}, time.Now().Add(time.Hour)) // the clock's ticks are coarse
		}
		if err != nil {
			t.Error(err)
		}
	}
	db := NewDatabase(fs, file)
	if rule, err := db.Find(&Client{IP: "10.0.0.2"}); err != syscall.EPROTO {
		t.Errorf("%+v, %v", rule, err)
	}
	if rule, err := db.Find(&Client{IP: "10.0.0.2"}); err != nil || rule == nil || rule.Address != "10.0.0.2" {
		t.Errorf("%+v, %v", rule, err)
	}
}

// While the rules are replaced all the time each search sees one version: both
// rules of a pair say the same.
func TestDatabaseIsNeverHalf(t *testing.T) {
	file, r := build(t, "10.0.0.1:deny\n10.0.0.0/24:deny\n")
	if r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	db := NewDatabase(fsys.OS{}, file)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				rule, err := db.Find(&Client{IP: "10.0.0.1"})
				if err != nil || rule == nil || explain(rule) != "rule "+rule.Address+":\ndeny connection\n" {
					t.Errorf("%+v, %v", rule, err)
					return
				}
			}
		})
	}
	for i := range 100 {
		// Never both in one file, and never none.
		text := "10.0.0.1:deny\n"
		if i%2 == 0 {
			text = "10.0.0.0/24:deny\n"
		}
		r := proctest.Run(&Tcprules, proctest.Case{Args: []string{"rules.cdb", "rules.tmp"}, Dir: filepath.Dir(file), In: text})
		if r.Status != 0 {
			t.Errorf("%+v", r)
		}
	}
	close(done)
	wg.Wait()
}

// However many rules there are, a search reads as much.
func TestManyRules(t *testing.T) {
	reads := func(rules int) int {
		var text strings.Builder
		for i := range rules {
			text.WriteString("10." + strconv.Itoa(i>>16) + "." + strconv.Itoa(i>>8&255) + "." + strconv.Itoa(i&255) + ":deny\n")
		}
		file, r := build(t, text.String()+"172.16.0.0/12:deny\n:allow\n")
		if r.Status != 0 {
			t.Fatalf("%+v", r)
		}
		count := &counting{FS: fsys.OS{}}
		db := NewDatabase(count, file)
		for range 2 { // the first one opens
			count.reads = 0
			if rule, err := db.Find(&Client{IP: "192.0.2.1"}); err != nil || rule == nil || rule.Address != "" {
				t.Fatalf("%+v, %v", rule, err)
			}
		}
		return count.reads
	}
	if few, many := reads(10), reads(100_000); many > few+10 {
		t.Errorf("%d reads with 10 rules, %d with 100 000", few, many)
	}
}

// counting counts reads.
type counting struct {
	fsys.FS
	reads int
}

func (c *counting) Open(name string, flags int, perm uint32) (fsys.File, error) {
	f, err := c.FS.Open(name, flags, perm)
	return countingFile{f, c}, err
}

type countingFile struct {
	fsys.File
	c *counting
}

func (f countingFile) ReadAt(b []byte, off int64) (int, error) {
	f.c.reads++
	return f.File.ReadAt(b, off)
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
	a, err := netip.ParseAddr(c.IP)
	for bits := 128; bits >= 0; bits-- {
		for i := range c.IP {
			if p := c.IP[:i+1]; 8*strings.Count(p, ".") == bits && strings.HasSuffix(p, ".") {
				keys = append(keys, p)
			}
		}
		if p, e := a.Prefix(bits); err == nil && e == nil {
			keys = append(keys, p.String())
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
	f.Add("10.0.0.0/8:deny\n10.:allow\n[2001:db8::/32]:deny\n:allow", "10.1.2.3", ".", "", true)
	f.Add("10.0.0.0/8:deny\n10.:allow\n[2001:db8::/32]:deny\n::/0:allow", "2001:db8::5", ".", "", true)
	f.Fuzz(func(t *testing.T, text, ip, host, info string, known bool) {
		if strings.Count(ip, ".") > 16 || len(text) > 1<<12 {
			return
		}
		file, r := build(t, text)
		rules := map[string]string{}
		for line := range strings.SplitSeq(text, "\n") {
			if strings.HasPrefix(line, "#") {
				continue
			}
			c := &compiler{warn: func(string, string) {}, add: func(address, data string) error {
				if _, again := rules[address]; !again {
					rules[address] = data
				}
				return nil
			}}
			if bad, _ := c.compile(strings.TrimRight(line, " \t")); bad != nil {
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
