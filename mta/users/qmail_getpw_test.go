package users

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"paperpath/internal/fsys"
	"paperpath/internal/proc/proctest"
	"paperpath/internal/sys"
)

// accounts is a user database; a nil account cannot be read.
type accounts map[string]*sys.Account

func (a accounts) lookup(name string) (*sys.Account, error) {
	account, ok := a[name]
	switch {
	case !ok:
		return nil, sys.ErrNoAccount
	case account == nil:
		return nil, syscall.ETXTBSY
	}
	return account, nil
}

// away has homes on a server that does not answer now.
type away struct{ fsys.OS }

func (away) Stat(name string) (fsys.Info, error) {
	if name == "/away" {
		return fsys.Info{}, syscall.ESTALE
	}
	return fsys.OS{}.Stat(name)
}

func TestPasswdUser(t *testing.T) {
	dir := t.TempDir()
	uid := os.Getuid()
	if uid == 0 { // root is no user
		uid = 12345
		if err := os.Chown(dir, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0600); err != nil {
		t.Fatal(err)
	}
	longest := strings.Repeat("l", 31)
	db := accounts{
		"joe":         {Name: "joe", UID: uid, GID: 7, Home: dir},
		"joe-list":    {Name: "joe-list", UID: uid, GID: 8, Home: dir},
		"Upper":       {Name: "Upper", UID: uid, GID: 7, Home: dir},
		"root":        {Name: "root", UID: 0, Home: "/"},
		"other":       {Name: "other", UID: uid + 1, Home: dir},
		"homeless":    {Name: "homeless", UID: uid, Home: dir + "/none"},
		"badly":       {Name: "badly", UID: uid, Home: file + "/below"},
		longest:       {Name: longest, UID: uid, Home: dir},
		longest + "l": {Name: longest + "l", UID: uid, Home: dir},
		"":            {Name: "nobody", UID: uid, Home: dir},
		"broken":      nil,
		"away":        {Name: "away", UID: uid, Home: "/away"},
		"root-away":   {Name: "root-away", UID: 0, Home: "/away"},
		"alias":       {Name: "alias", UID: 0, GID: 3, Home: "/var/qmail/alias"}, // not checked
	}
	for _, c := range []struct {
		local     string
		user      string
		dash, ext string
		err       error
	}{
		{"joe", "joe", "", "", nil},
		{"JoE", "joe", "", "", nil},
		{"joe-", "joe", "-", "", nil},
		{"JOE-Some-Thing", "joe", "-", "Some-Thing", nil},
		{"joe-list", "joe-list", "", "", nil},
		{"joe-list-x", "joe-list", "-", "x", nil},
		{"joe-lists", "joe", "-", "lists", nil},
		{"joes", "alias", "-", "joes", nil},
		{"Upper", "alias", "-", "Upper", nil},
		{"root", "alias", "-", "root", nil},
		{"root-x", "alias", "-", "root-x", nil},
		{"other", "alias", "-", "other", nil},
		{"homeless-x", "alias", "-", "homeless-x", nil},
		{"badly", "alias", "-", "badly", nil},
		{longest, longest, "", "", nil},
		{longest + "-x", longest, "-", "x", nil},
		{longest + "l", "alias", "-", longest + "l", nil},
		{"-x", "alias", "-", "-x", nil},
		{"", "alias", "-", "", nil},
		{"broken", "", "", "", exitSys},
		{"broken-x", "", "", "", exitSys},
		{"away", "", "", "", exitNFS}, // and nothing for alias
		{"away-x-y", "", "", "", exitNFS},
		{"root-away", "alias", "-", "root-away", nil}, // whose home is not asked for
	} {
		account, dash, ext, err := passwdUser(db.lookup, away{}, c.local)
		if err != c.err {
			t.Errorf("%q: %v", c.local, err)
		} else if err == nil && (account.Name != c.user || dash != c.dash || ext != c.ext) {
			t.Errorf("%q: %s %q %q", c.local, account.Name, dash, ext)
		}
	}
	if _, _, _, err := passwdUser(accounts{}.lookup, away{}, "joe"); err != exitNoAlias {
		t.Errorf("without alias: %v", err)
	}
	if _, _, _, err := passwdUser(accounts{"alias": nil}.lookup, away{}, "joe"); err != exitSys {
		t.Errorf("alias cannot be read: %v", err)
	}
}

func TestQmailGetpwUsage(t *testing.T) {
	if r := proctest.Run(&QmailGetpw, proctest.Case{}); r.Status != 100 || r.Out+r.Err != "" {
		t.Errorf("status %d, %q", r.Status, r.Out+r.Err)
	}
	if exitNFS != 115 || exitNoAlias != 116 || exitSys != 118 {
		t.Error("qmail-lspawn knows other statuses")
	}
}
