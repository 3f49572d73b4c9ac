package users

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"syscall"

	"paperpath/internal/decimal"
	"paperpath/internal/fsys"
	"paperpath/internal/line"
	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/mta/control"
	"paperpath/mta/layout"
)

// QmailPw2u is the program: passwd(5) lines in, users/assign lines out.
var QmailPw2u = proc.Program{Name: "qmail-pw2u", Usage: "[ -/ohHuUC ] [ -cchar ]", Run: pw2u}

// pw2uTable is what makes assignments of accounts.
type pw2uTable struct {
	dash  string // the fields dash and ext of a user's wildcard
	split string // what separates user and extension; "" for no extensions
	upper bool   // take accounts with capital letters too
	homes int    // what becomes of accounts whose home is not theirs

	include, exclude *control.Map
	names            control.Map // account → mail names
	seen             control.Map // account → its fields, for subusers
	hasAlias         bool
	out              *bufio.Writer
}

// What a missing home directory means: nothing (-H), the end (-h), or that this
// is no user for mail (-o).
const (
	ignoreHomes = iota
	needHomes
	skipHomeless
)

func pw2u(_ context.Context, env *proc.Env) error {
	t := &pw2uTable{dash: "-:", split: string(rune(layout.Break)), homes: skipHomeless, seen: control.Map{}}
	options := opt.Parse(env.Args[1:], "/ohHuUc:C")
	for options.Next() {
		switch options.Letter {
		case '/':
			t.dash = "-/:"
		case 'o':
			t.homes = skipHomeless
		case 'h':
			t.homes = needHomes
		case 'H':
			t.homes = ignoreHomes
		case 'u', 'U':
			t.upper = options.Letter == 'u'
		case 'c':
			t.split = options.Arg[:min(1, len(options.Arg))]
		case 'C':
			t.split = ""
		default:
			env.Say(options.Problem())
			return proc.Exit(proc.StatusPermanent)
		}
	}
	home := fsys.OS{Root: layout.Home(env.Vars)}
	if info, err := home.Stat("."); err != nil || !info.IsDir() {
		return errChdir
	}
	if err := t.configure(home); err != nil {
		return errControls
	}
	t.out = bufio.NewWriter(env.Files[1])
	if err := t.write(home, env.Files[0]); err != nil {
		return err
	}
	if t.out.Flush() != nil {
		return errOutput
	}
	return nil
}

var (
	errControls = errors.New("unable to read controls")
	errInput    = errors.New("unable to read input")
	errOutput   = errors.New("unable to write output")
	errNoAlias  = errors.New("unable to find " + layout.UserAlias + " user")
)

// configure reads which accounts count, and their mail names.
func (t *pw2uTable) configure(home fsys.FS) error {
	for _, c := range []struct {
		name string
		set  **control.Map
	}{{"users/include", &t.include}, {"users/exclude", &t.exclude}} {
		lines, ok, err := control.ReadList(home, c.name)
		if err != nil {
			return err
		}
		if ok {
			set := control.Set(lines)
			*c.set = &set
		}
	}
	lines, _, err := control.ReadList(home, "users/mailnames")
	t.names = control.Colon(lines)
	return err
}

func (t *pw2uTable) write(home fsys.FS, passwd io.Reader) error {
	if err := eachAccount(passwd, t.account); err != nil {
		return err
	}
	if !t.hasAlias {
		return errNoAlias
	}
	if err := t.file(home, "users/subusers", t.subuser); err != nil {
		return err
	}
	err := t.file(home, "users/append", func(text []byte) error {
		t.out.Write(text)
		return nil
	})
	t.out.WriteString(".\n")
	return err
}

// eachAccount calls f with each line, its line feed included.
func eachAccount(r io.Reader, f func([]byte) error) error {
	in := bufio.NewReader(r)
	for {
		text, err := line.Read(in, '\n', maxLine)
		if err != nil && err != io.EOF {
			return errInput
		}
		if fault := f(text); fault != nil || err == io.EOF {
			return fault
		}
	}
}

// file calls f with each line of a file, which need not exist.
func (t *pw2uTable) file(home fsys.FS, name string, f func([]byte) error) error {
	text, err := home.Open(name, fsys.RDONLY, 0)
	if err == syscall.ENOENT {
		return nil
	}
	if err != nil {
		return errControls
	}
	defer text.Close()
	return eachAccount(text, f)
}

// account makes the assignments of an account: name:password:uid:gid:gecos:home:…
func (t *pw2uTable) account(text []byte) error {
	f := strings.SplitN(string(text), ":", 7)
	if len(f) < 7 || bytes.IndexByte(text, 0) >= 0 {
		return nil
	}
	name, home := f[0], f[5]
	uid, _ := decimal.Prefix(f[2])
	if uid == 0 || !t.upper && strings.ContainsFunc(name, capital) {
		return nil
	}
	if t.include != nil && !t.include.Has(name) || t.exclude != nil && t.exclude.Has(name) {
		return nil
	}
	if has, err := t.hasHome(home, uid); !has {
		return err
	}
	account := ":" + name + ":" + f[2] + ":" + f[3] + ":" + home + ":"
	t.seen[control.Lower(name)] = account
	if name == layout.UserAlias {
		t.out.WriteString("+" + account + t.dash + ":\n")
		t.hasAlias = true
	}
	names, ok := t.names.Get(name)
	if !ok {
		names = name
	}
	for _, n := range strings.FieldsFunc(names, func(r rune) bool { return r == ':' }) {
		t.out.WriteString("=" + n + account + "::\n")
		t.wildcard(n, account, t.dash+":")
	}
	return nil
}

// wildcard assigns the extensions of a name.
func (t *pw2uTable) wildcard(name, account, rest string) {
	if t.split != "" {
		t.out.WriteString("+" + name + t.split + account + rest + "\n")
	}
}

func (t *pw2uTable) hasHome(home string, uid uint64) (bool, error) {
	if t.homes == ignoreHomes {
		return true, nil
	}
	var st syscall.Stat_t
	err := syscall.Stat(home, &st)
	if err != nil && (err != syscall.ENOENT || t.homes == needHomes) {
		return false, errors.New("unable to stat " + home)
	}
	return err == nil && uint64(st.Uid) == uid, nil
}

// subuser gives a name to somebody's extension: sub:user:ext:
func (t *pw2uTable) subuser(text []byte) error {
	f := strings.SplitN(string(text), ":", 4)
	if len(f) < 3 {
		return nil
	}
	account, ok := t.seen.Get(f[1])
	if !ok {
		return errors.New("unable to find " + f[1] + " user for subuser")
	}
	if len(f) < 4 {
		return nil
	}
	t.out.WriteString("=" + f[0] + account + t.dash + f[2] + ":\n")
	t.wildcard(f[0], account, t.dash+f[2]+"-:")
	return nil
}

func capital(r rune) bool { return 'A' <= r && r <= 'Z' }
