package checkpassword

import (
	"cmp"
	"errors"
	"time"

	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// system is the accounts of the system: passwd(5), shadow(5), and what
// nsswitch.conf(5) names beside them.
type system struct {
	account  func(name string) (*sys.Account, error)
	shadow   func(name string) (*sys.Shadow, error)
	each     func(f func(password string) (more bool)) error
	now      func() time.Time
	fallback string
}

var systemAccounts = &system{
	account: sys.LookupAccount,
	shadow:  sys.LookupShadow,
	each:    sys.EachPassword,
	now:     time.Now,
	// Of no password that anybody knows; Debian's method and cost.
	fallback: "$y$j9T$VPt4uGt2avJ4uR9an6yDI.$723GV2lngPmTwM1T0GeM7zamm0I5PIpEyjDQW73Iw66",
}

func (s *system) find(login string) (*account, error) {
	a, err := s.account(login)
	if errors.Is(err, sys.ErrNoAccount) {
		return nil, nil
	}
	if err != nil {
		return nil, strerr.Unable("look up account", login, err)
	}
	p, err := s.shadow(a.Name)
	if errors.Is(err, sys.ErrNoAccount) {
		return nil, nil
	}
	if err != nil {
		return nil, strerr.Unable("look up the password of", login, err)
	}
	return &account{
		name: a.Name, password: p.Password, closed: over(p, s.now()),
		uid: a.UID, gid: a.GID, home: a.Home, shell: a.Shell,
	}, nil
}

// over reports whether an account has ended: on its day, or because its
// password was not changed for so long that it may not be used any more
// (shadow(5); checkpassword 0.90 lets both in). A password that is due for a
// change, but has time still, is good: mail readers cannot change it.
func over(p *sys.Shadow, now time.Time) bool {
	today := int(now.Unix() / 86400)
	if p.Expire >= 0 && today >= p.Expire {
		return true
	}
	return p.LastChange > 0 && p.Max >= 0 && p.Inactive >= 0 && today-p.LastChange > p.Max+p.Inactive
}

// decoy is the first password that can be compared: accounts of one system are mostly hashed
// by one method.
func (s *system) decoy() (found string, err error) {
	err = s.each(func(password string) (more bool) {
		if known(password) {
			found = password
		}
		return found == ""
	})
	if err != nil {
		return "", strerr.Unable("look up a password", "", err)
	}
	return cmp.Or(found, s.fallback), nil
}
