package maildir

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
	"paperpath/internal/proc/proctest"
)

func TestParseLimits(t *testing.T) {
	for text, want := range map[string]limits{
		"1000S":            {1000, 0},
		"10C":              {0, 10},
		"1000S,10C":        {1000, 10},
		"10C,1000S":        {1000, 10},
		"1000":             {1000, 0}, // as qmail-maildir++.patch has it
		"0S,0C":            {},        // no limits, but counted
		"7S,5S,0S":         {5, 0},
		"100B":             {}, // blocks: nobody knows them
		"999999999999999S": {999999999999999, 0},
	} {
		if got, ok := parseLimits(text); !ok || got != want {
			t.Errorf("%q: %v %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "S", "x", "1000 S", "1000s", "-5S", "10MB", "1000S,", ",1000S", "1000S 10C",
		"9999999999999999S", "99999999999999999999S", "1000S\r", "\x00", "100 ways to cook", "+5S"} {
		if got, ok := parseLimits(text); ok {
			t.Errorf("%q is a quota: %v", text, got)
		}
	}
}

func TestReadMaildirsize(t *testing.T) {
	long := strings.Repeat("1 1\n", maxMaildirsize/4)
	for text, want := range map[string]struct {
		used    usage
		lines   int
		damaged bool
	}{
		"9S\n":                              {usage{}, 0, true},
		"9S\n100 1\n":                       {usage{100, 1}, 1, false},
		"9S\n        100     2\n-40  -1\n":  {usage{60, 1}, 2, false}, // maildrop's columns
		"9S":                                {usage{}, 0, true},       // cut
		"9S\n100 1\n20":                     {usage{100, 1}, 1, true},
		"9S\n100 1\n20 1":                   {usage{100, 1}, 1, true},
		"9S\n100 1\n\x00\x00\x00\x00":       {usage{100, 1}, 1, true},
		"9S\nwhat?\n100 1\n":                {usage{}, 0, true},
		"9S\n1 1 1\n":                       {usage{}, 0, true},
		"9S\n\n":                            {usage{}, 0, true},
		"9S\n1 1\n-2 0\n":                   {usage{-1, 1}, 2, true},
		"9S\n99999999999999999999 1\n":      {usage{}, 0, true},
		("9S\n" + long)[:maxMaildirsize-1]:  {usage{1279, 1279}, 1279, false},
		"9S\n" + strings.Repeat(long, 1000): {usage{}, 0, true},
	} {
		name := t.TempDir() + "/maildirsize"
		put(t, name, text)
		got, ok := readMaildirsize(fsys.OS{}, name)
		if !ok || got.definition != "9S" || got.used != want.used || got.lines != want.lines || got.damaged != want.damaged {
			t.Errorf("%.50q: %+v, want %+v", text, got, want)
		}
	}
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What a delivery of ten bytes makes of a maildirsize file.
func TestQuota(t *testing.T) {
	const there = "new/1.a.h,S=20 cur/2.a.h:2,S cur/3.a.h,S=1000:2,ST .F/new/4.a.h,S=3 .Trash/cur/5.a.h,S=1000 .F/cur/.x" // 20+5+3 bytes
	const full = "new/1.a.h,S=20"
	for name, c := range map[string]struct {
		messages, before string
		old              bool // the file
		refused          bool
		after            string
	}{
		"room":                          {"", "100S\n", false, false, "100S\n0 0\n10 1\n"},
		"exactly":                       {"", "10S,1C\n", false, false, "10S,1C\n0 0\n10 1\n"},
		"the sum has room":              {full, "30S\n5 1\n", false, false, "30S\n5 1\n10 1\n"},
		"the sum is wrong, uncounted":   {full, "30S\n25 1\n1 0\n", false, false, "30S\n20 1\n10 1\n"},
		"the sum is wrong, long ago":    {full, "30S\n25 1\n", true, false, "30S\n20 1\n10 1\n"},
		"counted just now":              {full, "30S\n25 1\n", false, true, "30S\n25 1\n"},
		"too many bytes":                {full, "29S\n20 1\n", true, true, "29S\n20 1\n"},
		"too many bytes, uncounted":     {full, "29S\n", false, true, "29S\n20 1\n"},
		"too many messages":             {full, "99S,1C\n20 1\n", true, true, "99S,1C\n20 1\n"},
		"too large for any":             {"", "9S\n0 0\n", true, true, "9S\n0 0\n"},
		"no limits":                     {full, "0S,0C\n20 1\n", false, false, "0S,0C\n20 1\n10 1\n"},
		"damaged":                       {there, "100S\n20 ?\n", false, false, "100S\n28 3\n10 1\n"},
		"the end is missing":            {there, "100S", false, false, "100S\n28 3\n10 1\n"},
		"damaged and full":              {there, "37S\n1 1", false, true, "37S\n28 3\n"},
		"negative":                      {there, "100S\n-5 0\n", false, false, "100S\n28 3\n10 1\n"},
		"too long":                      {there, "100S\n" + strings.Repeat("0 0\n", 2000), false, false, "100S\n28 3\n10 1\n"},
		"nothing":                       {full, "", false, false, ""},
		"somebody's notes":              {full, "10 things to do\n1. ", false, false, "10 things to do\n1. "},
		"a name that claims too much":   {"new/1.a.h,S=99999999999999999999", "100S\n?\n", false, false, "100S\n5 1\n10 1\n"},
		"names that claim all they can": {"new/1,S=999999999999999 new/2,S=999999999999999", "9S\n?\n", false, true, "9S\n1999999999999998 2\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := newMaildir(t)
			for _, folder := range []string{".F", ".Trash"} {
				if err := makeFolder(fsys.OS{}, dir, folder[1:]); err != nil {
					t.Fatal(err)
				}
			}
			for name := range strings.FieldsSeq(c.messages) {
				put(t, dir+"/"+name, "12345")
			}
			file := dir + "/maildirsize"
			put(t, file, c.before)
			if c.old {
				at := time.Now().Add(-time.Hour)
				os.Chtimes(file, at, at)
			}
			err := Deliver(fsys.OS{}, dir, []byte("head\n"), strings.NewReader("body\n"))
			if c.refused && err != ErrOverQuota || !c.refused && err != nil {
				t.Errorf("error %v", err)
			}
			if got := get(t, file); got != c.after {
				t.Errorf("%q, want %q", got, c.after)
			}
			delivered := 0
			for _, name := range list(t, dir+"/new") {
				if strings.Contains(name, "Q") { // ours
					delivered++
					if _, counts := parseLimits(strings.SplitN(c.before, "\n", 2)[0]); strings.HasSuffix(name, ",S=10") != counts {
						t.Errorf("delivered as %s", name)
					}
				}
			}
			if delivered != btoi(!c.refused) || len(list(t, dir+"/tmp")) != 0 {
				t.Errorf("%d in new/, in tmp/: %q", delivered, list(t, dir+"/tmp"))
			}
		})
	}
}

// What somebody removed without a word makes room at once.
func TestQuotaAfterUncountedRemoval(t *testing.T) {
	const quota = "12S"
	for name, c := range map[string]struct{ message, removed string }{
		"a message that was new": {"new/1.a.h", "new/1.a.h"},
		"a message":              {"cur/1.a.h:2,S", "cur/1.a.h:2,S"},
		"a folder's new message": {".F/new/1.a.h", ".F/new/1.a.h"},
		"a folder's message":     {".F/cur/1.a.h:2,S", ".F/cur/1.a.h:2,S"},
		"a folder":               {".F/cur/1.a.h:2,S", ".F"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := newMaildir(t)
			if err := makeFolder(fsys.OS{}, dir, "F"); err != nil {
				t.Fatal(err)
			}
			put(t, dir+"/"+c.message, "12345")
			if err := setQuota(fsys.OS{}, dir, quota); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the first may count
				if err := Deliver(fsys.OS{}, dir, nil, strings.NewReader("ten bytes.")); err != ErrOverQuota {
					t.Fatal(err)
				}
			}
			removed := dir + "/" + c.removed
			if err := os.RemoveAll(removed); err != nil {
				t.Fatal(err)
			}
			later := time.Now().Add(time.Second) // than the resolution of the clock
			os.Chtimes(filepath.Dir(removed), later, later)
			if err := Deliver(fsys.OS{}, dir, nil, strings.NewReader("ten bytes.")); err != nil {
				t.Fatal(err)
			}
			if got := get(t, dir+"/maildirsize"); got != quota+"\n0 0\n10 1\n" {
				t.Errorf("%q", got)
			}
		})
	}
}

// A folder's messages count for its Maildir, but for those thrown away.
func TestQuotaOfFolders(t *testing.T) {
	dir := newMaildir(t)
	put(t, dir+"/maildirsize", "20S\n0 0\n")
	for _, folder := range []string{"F", "F.G", "Trash"} {
		if err := makeFolder(fsys.OS{}, dir, folder); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ folder, want string }{
		{".F/", "20S\n0 0\n4 1\n"}, {".F.G", "20S\n0 0\n4 1\n4 1\n"}, {".Trash/", "20S\n0 0\n4 1\n4 1\n"},
	} {
		if err := Deliver(fsys.OS{Root: dir}, "./"+c.folder, nil, strings.NewReader("body")); err != nil {
			t.Error(err)
		}
		if got := get(t, dir+"/maildirsize"); got != c.want {
			t.Errorf("%s: %q, want %q", c.folder, got, c.want)
		}
	}
	err := Deliver(fsys.OS{Root: dir}, "./.F", nil, strings.NewReader("a longer body"))
	if got := get(t, dir+"/maildirsize"); err != ErrOverQuota || got != "20S\n8 2\n" {
		t.Errorf("%v, %q", err, got)
	}
}

// Whatever lies where maildirsize should: the message is delivered as if there
// were nothing, and nothing happens to it.
func TestNoQuota(t *testing.T) {
	for name, make := range map[string]func(name string) error{
		"a link":           func(name string) error { return os.Symlink("../elsewhere", name) },
		"a link to itself": func(name string) error { return os.Symlink("maildirsize", name) },
		"a fifo":           func(name string) error { return syscall.Mkfifo(name, 0o600) },
		"a directory":      func(name string) error { return os.Mkdir(name, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := newMaildir(t)
			elsewhere := filepath.Dir(dir) + "/elsewhere"
			put(t, elsewhere, "1S\n0 0\n")
			if err := make(dir + "/maildirsize"); err != nil {
				t.Fatal(err)
			}
			before := tree(t, filepath.Dir(dir))
			if err := Deliver(fsys.OS{}, dir, nil, strings.NewReader(body)); err != nil {
				t.Fatal(err)
			}
			if name := list(t, dir+"/new")[0]; strings.Contains(name, ",") {
				t.Errorf("delivered as %s", name)
			}
			os.Remove(dir + "/new/" + list(t, dir+"/new")[0])
			if after := tree(t, filepath.Dir(dir)); after != before || get(t, elsewhere) != "1S\n0 0\n" {
				t.Errorf("left:\n%s", after)
			}
		})
	}
}

// A maildirsize that root made for a user is replaced by the user's own.
func TestQuotaOfRoot(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everything")
	}
	dir := newMaildir(t)
	put(t, dir+"/new/1.a.h", "12345")
	put(t, dir+"/maildirsize", "100S\n0 0\n")
	os.Chmod(dir+"/maildirsize", 0o444)
	if err := Deliver(fsys.OS{}, dir, nil, strings.NewReader("ten bytes.")); err != nil {
		t.Fatal(err)
	}
	if got := get(t, dir+"/maildirsize"); got != "100S\n5 1\n10 1\n" {
		t.Errorf("%q", got)
	}
}

func TestQuotaDeliveriesAtOnce(t *testing.T) {
	dir := newMaildir(t)
	put(t, dir+"/maildirsize", "5000000S,50C\n0 0\n")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := Deliver(fsys.OS{}, dir, []byte(head), strings.NewReader(body)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	m, ok := readMaildirsize(fsys.OS{}, dir+"/maildirsize")
	if want := (usage{int64(50 * len(head+body)), 50}); !ok || m.damaged || m.used != want {
		t.Errorf("%+v, want %v", m, want)
	}
	if err := Deliver(fsys.OS{}, dir, nil, strings.NewReader(body)); err != ErrOverQuota {
		t.Errorf("the 51st: %v", err)
	}
}

// A delivery that fails is not counted.
func TestQuotaOfFailures(t *testing.T) {
	dir := newMaildir(t)
	put(t, dir+"/maildirsize", "1000S\n0 0\n")
	Deliver(fsys.OS{}, dir, nil, io.MultiReader(strings.NewReader(body), iotest.ErrReader(syscall.EIO)))
	if got := get(t, dir+"/maildirsize"); got != "1000S\n0 0\n" {
		t.Errorf("read error: %q", got)
	}
	for _, op := range []string{"sync", "link"} {
		fs := quotaGround(t, "1000S\n0 0\n")
		fs.Fault = func(c crashfs.Call) error {
			if c.Op == op {
				return syscall.EIO
			}
			return nil
		}
		if err := Deliver(fs, "Maildir", nil, strings.NewReader("body")); err == nil || err == ErrOverQuota {
			t.Errorf("%s: %v", op, err)
		}
		if m, ok := readMaildirsize(fs, "Maildir/maildirsize"); !ok || m.used != (usage{}) {
			t.Errorf("%s: %+v", op, m)
		}
	}
}

func quotaGround(t *testing.T, text string) *crashfs.FS {
	t.Helper()
	fs := ground()
	file, err := fs.Open("Maildir/maildirsize", fsys.WRONLY|fsys.CREATE, 0o600)
	if err == nil {
		_, err = file.Write([]byte(text))
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = file.Close()
	}
	if err == nil {
		err = fs.SyncDir("Maildir")
	}
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

// Counting may fail at any point: the message is delivered all the same, or
// refused because the sum said so; nothing else.
func TestQuotaFaults(t *testing.T) {
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC, syscall.EACCES} {
		for n := 1; ; n++ {
			fs := quotaGround(t, "1000S\n2000 1\n5 1\n") // has to be counted
			calls, reached := 0, false
			fs.Fault = func(c crashfs.Call) error {
				if strings.HasPrefix(c.Name, "Maildir/tmp/") && calls < 1 || c.Op == "syncdir" && c.Name == "Maildir/new" || c.Op == "link" {
					return nil // the message's own
				}
				calls++
				if calls == n && c.Op != "write" && c.Op != "sync" {
					reached = true
					return fault
				}
				return nil
			}
			err := Deliver(fs, "Maildir", nil, strings.NewReader("body"))
			if !reached && calls < n {
				break
			}
			if err != nil && strings.HasPrefix(err.Error(), "over") {
				t.Errorf("%v at call %d: %v", fault, n, err)
			}
			if m, ok := readMaildirsize(fs, "Maildir/maildirsize"); !ok || m.definition != "1000S" {
				t.Errorf("%v at call %d: the quota is lost", fault, n)
			}
		}
	}
}

// Whenever the power goes, the quota stays defined and messages stay whole.
func TestQuotaCuts(t *testing.T) {
	fs := quotaGround(t, "1000S\n2000 1\n5 1\n")
	begin := fs.Calls()
	if err := Deliver(fs, "Maildir/", []byte(head), strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	done, states := fs.Calls(), 0
	for _, model := range []crashfs.Model{crashfs.Strict, crashfs.Journal} {
		for c := range fs.Crashes(model, 200, 1) {
			if c.At < begin {
				continue
			}
			states++
			checkWhole(t, c, head+body, c.At >= done)
			if m, ok := readMaildirsize(c.FS, "Maildir/maildirsize"); !ok || m.definition != "1000S" {
				t.Fatalf("%v: the quota is lost: %+v\n%s", c, m, c.Dump())
			}
		}
	}
	if states < 30 {
		t.Errorf("only %d states", states)
	}
}

func TestRemoved(t *testing.T) {
	dir := newMaildir(t)
	gone := []Entry{{Name: "cur/1.a.h,S=10:2,S", Size: 9}, {Name: "new/2.a.h", Size: 5}, {Name: "cur/3.a.h:2,T", Size: 7}}
	Removed(fsys.OS{}, dir, gone)
	if _, err := os.Stat(dir + "/maildirsize"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a quota: %v", err)
	}
	put(t, dir+"/maildirsize", "100S\n50 9\n")
	Removed(fsys.OS{}, dir, gone)
	Removed(fsys.OS{}, dir, gone[2:])
	Removed(fsys.OS{}, dir, nil)
	if got := get(t, dir+"/maildirsize"); got != "100S\n50 9\n-15 -2\n" {
		t.Errorf("%q", got)
	}
}

func TestMaildirmakeOptions(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) string {
		r := proctest.Run(&Maildirmake, proctest.Case{Args: args, Dir: dir})
		return strconv.Itoa(r.Status) + " " + r.Out + strings.TrimPrefix(r.Err, "maildirmake: ")
	}
	for _, c := range []struct{ args, want string }{
		{"-q 100S A", "0 "}, // makes it
		{"-q 1000S,5C A", "0 "},
		{"-f Drafts A", "0 "},
		{"-f Drafts.Old A/", "0 "},
		{"-f Drafts A", "111 fatal: unable to mkdir A/.Drafts: file already exists\n"},
		{"-f Drafts B", "111 fatal: unable to stat B/cur: file does not exist\n"},
		{"-f .x A", "100 fatal: invalid folder name: .x\n"},
		{"-f x. A", "100 fatal: invalid folder name: x.\n"},
		{"-f .. A", "100 fatal: invalid folder name: ..\n"},
		{"-f a/b A", "100 fatal: invalid folder name: a/b\n"},
		{"-q lots A", "100 fatal: invalid quota: lots\n"},
		{"-q 1S -f x A", "100 usage: maildirmake [ -q quota | -f folder ] name\n"},
		{"-q 1S", "100 usage: maildirmake [ -q quota | -f folder ] name\n"},
		{"-- -x", "0 "},
	} {
		if got := run(strings.Fields(c.args)...); got != c.want {
			t.Errorf("%s: %q, want %q", c.args, got, c.want)
		}
	}
	const folder = ". drwx------\ncur drwx------\nmaildirfolder -rw-------\nnew drwx------\ntmp drwx------\n"
	if got := tree(t, dir+"/A/.Drafts"); got != folder {
		t.Errorf("folder:\n%s", got)
	}
	put(t, dir+"/A/new/1", "12345")
	if got := run("-q", "50S", "A"); got != "0 " || get(t, dir+"/A/maildirsize") != "50S\n5 1\n" {
		t.Errorf("%q, %q", got, get(t, dir+"/A/maildirsize"))
	}
	if info, err := os.Stat(dir + "/A/maildirsize"); err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func FuzzMaildirsize(f *testing.F) {
	for _, seed := range []string{"9S\n", "100S,5C\n1 1\n-1 -1\n", "9S", "9S\n \x00\n", "x\n", "\n\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name := t.TempDir() + "/maildirsize"
		put(t, name, text)
		m, ok := readMaildirsize(fsys.OS{}, name)
		if !ok {
			return
		}
		if !m.damaged && (m.used.bytes < 0 || m.used.messages < 0) {
			t.Errorf("negative: %+v", m)
		}
		// What is written anew is read again.
		m.used = usage{5, 1}
		put(t, name, string(m.used.appendLine([]byte(m.definition+"\n"))))
		again, ok := readMaildirsize(fsys.OS{}, name)
		if !ok || again.damaged || again.limits != m.limits || again.used != m.used || again.lines != 1 {
			t.Errorf("%+v became %+v", m, again)
		}
	})
}
