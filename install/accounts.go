package install

import (
	"errors"
	"os"
	"path"
	"strconv"
	"strings"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
	"paperpath/mta/layout"
)

// The accounts of INSTALL.ids. Nobody logs in as one of them; alias alone has a
// home that is its own, and so gets mail.
var (
	groups   = []string{layout.GroupNofiles, layout.GroupQmail}
	accounts = []struct{ name, group, home string }{
		{layout.UserAlias, layout.GroupNofiles, "/alias"},
		{layout.UserDaemon, layout.GroupNofiles, ""},
		{layout.UserLog, layout.GroupNofiles, ""},
		{layout.UserPasswd, layout.GroupNofiles, ""},
		{layout.UserQueue, layout.GroupQmail, ""},
		{layout.UserRemote, layout.GroupQmail, ""},
		{layout.UserSend, layout.GroupQmail, ""},
	}
)

const noShell = "/bin/false"

// ids knows the numbers of users and groups: this host's or, below another root
// directory, those of the passwd and group files there.
type ids struct {
	root        string // "" for this host
	users, gids map[string]int
}

func newIDs(root string) *ids {
	return &ids{root: root, users: map[string]int{}, gids: map[string]int{}}
}

func (x *ids) account(name string) (uid, gid int, home string, err error) {
	if x.root == "" {
		a, err := sys.LookupAccount(name)
		if err != nil {
			return 0, 0, "", err
		}
		return a.UID, a.GID, a.Home, nil
	}
	f, err := entry(x.root+"/etc/passwd", name, 6)
	if err != nil {
		return 0, 0, "", err
	}
	uid, err1 := strconv.Atoi(f[2])
	gid, err2 := strconv.Atoi(f[3])
	return uid, gid, f[5], errors.Join(err1, err2)
}

func (x *ids) group(name string) (int, error) {
	if x.root == "" {
		return sys.LookupGroup(name)
	}
	f, err := entry(x.root+"/etc/group", name, 3)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(f[2])
}

// entry returns the fields, least of them or more, of name's line in a passwd or
// group file.
func entry(file, name string, least int) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); f[0] == name && len(f) >= least {
			return f, nil
		}
	}
	return nil, sys.ErrNoAccount
}

// of returns the ids of an owner of the tables, "user:group". Below another root
// directory it may be that nobody knows them yet: sys.ErrNoAccount.
func (x *ids) of(owner string) (uid, gid int, err error) {
	user, group, _ := strings.Cut(owner, ":")
	uid, err = known(x.users, user, func(name string) (int, error) {
		uid, _, _, err := x.account(name)
		return uid, err
	})
	if err != nil {
		return 0, 0, strerr.Unable("find account", user, err)
	}
	gid, err = known(x.gids, group, x.group)
	if err != nil {
		return 0, 0, strerr.Unable("find group", group, err)
	}
	return uid, gid, nil
}

func known(found map[string]int, name string, look func(string) (int, error)) (int, error) {
	if name == "root" {
		return 0, nil
	}
	id, ok := found[name]
	if ok {
		return id, nil
	}
	id, err := look(name)
	if err == nil {
		found[name] = id
	}
	return id, err
}

// makeAccounts makes the groups and accounts of this host that do not exist, by
// the programs that its other accounts were made by.
func makeAccounts(env *proc.Env, home string, say func(string)) error {
	for _, name := range groups {
		if _, err := sys.LookupGroup(name); !errors.Is(err, sys.ErrNoAccount) {
			if err != nil {
				return strerr.Unable("look up group", name, err)
			}
			continue
		}
		if err := run(env, "groupadd", "-r", name); err != nil {
			return strerr.Unable("make group", name, err)
		}
		say("made group " + name)
	}
	for _, a := range accounts {
		if _, err := sys.LookupAccount(a.name); !errors.Is(err, sys.ErrNoAccount) {
			if err != nil {
				return strerr.Unable("look up account", a.name, err)
			}
			continue
		}
		if err := run(env, "useradd", "-r", "-M", "-g", a.group, "-d", path.Join(home, a.home), "-s", noShell, a.name); err != nil {
			return strerr.Unable("make account", a.name, err)
		}
		say("made account " + a.name)
	}
	return nil
}

// run runs a command whose output is for whoever installs.
func run(env *proc.Env, argv ...string) error {
	fd := func(i int) int {
		n, _ := proc.Descriptor(env.Files[i])
		return n
	}
	vars := env.Vars.Clone()
	vars.Set("PATH", "/usr/sbin:/usr/bin:/sbin:/bin") // su leaves a user's
	p, err := child.Start(&child.Command{Argv: argv, Vars: vars, Files: []int{fd(0), fd(2), fd(2)}})
	if err != nil {
		return strerr.Unable("run", argv[0], err)
	}
	status, err := p.Wait()
	if err != nil {
		return err
	}
	if status != 0 {
		return errors.New(strings.Join(argv, " ") + " failed")
	}
	return nil
}
