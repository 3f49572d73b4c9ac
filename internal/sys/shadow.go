package sys

import (
	"cmp"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Shadow is an entry of shadow(5), the passwords of accounts.
type Shadow struct {
	Password string // crypt(5); what cannot be a hash, such as "!" or "*", locks the account
	// Days since 1970-01-01, or numbers of days; -1 where the field is empty.
	LastChange, Max, Inactive, Expire int
}

// LookupShadow finds the password of an account. One that the shadow file does
// not have may have its password in passwd(5), as in old systems.
func LookupShadow(name string) (*Shadow, error) { return system.password(name) }

// EachPassword calls f with the passwords of the shadow file until it has
// enough.
func EachPassword(f func(password string) (more bool)) error { return system.eachPassword(f) }

// The last four of shadow(5)'s nine fields were not there in the beginning.
const leastShadow = 5

// name:password:last change:minimum:maximum:warning:inactive:expire:reserved
func (a *accounts) password(name string) (*Shadow, error) {
	f, err := a.find("shadow", a.shadow, name, leastShadow, 9)
	if err == ErrNoAccount || errors.Is(err, unix.ENOENT) {
		if f, err = a.find("passwd", a.passwd, name, 4, 7); err != nil {
			return nil, err
		}
		return &Shadow{Password: f[1], LastChange: -1, Max: -1, Inactive: -1, Expire: -1}, nil
	}
	if err != nil {
		return nil, err
	}
	s := &Shadow{Password: f[1]}
	lastChange, err1 := days(f[2])
	longest, err2 := days(f[4])
	inactive, err3 := days(f[6])
	expire, err4 := days(f[7])
	// An account may have ended on a day that cannot be read: nobody knows.
	if err := cmp.Or(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	s.LastChange, s.Max, s.Inactive, s.Expire = lastChange, longest, inactive, expire
	return s, nil
}

var errShadow = errors.New("broken entry")

func days(field string) (int, error) {
	if field == "" {
		return -1, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(field), 10, 32)
	if err != nil {
		return 0, errShadow
	}
	return int(n), nil
}

func (a *accounts) eachPassword(f func(password string) (more bool)) error {
	err := eachLine(a.shadow, func(line string) (more bool) {
		e := entry(line, leastShadow, 9)
		return e == nil || f(e[1])
	})
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
