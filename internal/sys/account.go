package sys

import (
	"bufio"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Account is an entry of the user database.
type Account struct {
	Name     string
	UID, GID int
	Home     string
	Shell    string
}

// ErrNoAccount means that the database was read and has no such entry; any
// other error means that nobody knows.
var ErrNoAccount = errors.New("no such account")

// LookupAccount finds a user by name.
func LookupAccount(name string) (*Account, error) {
	fields, err := lookup("/etc/passwd", name, 7)
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(fields[2], 10, 32)
	gid, err2 := strconv.ParseUint(fields[3], 10, 32)
	if err1 != nil || err2 != nil {
		return nil, ErrNoAccount
	}
	return &Account{name, int(uid), int(gid), fields[5], fields[6]}, nil
}

// LookupGroup finds the id of a group by name.
func LookupGroup(name string) (int, error) {
	fields, err := lookup("/etc/group", name, 4)
	if err != nil {
		return 0, err
	}
	gid, err := strconv.ParseUint(fields[2], 10, 32)
	if err != nil {
		return 0, ErrNoAccount
	}
	return int(gid), nil
}

func lookup(file, name string, want int) ([]string, error) {
	if name == "" || strings.ContainsAny(name, ":\n") {
		return nil, ErrNoAccount
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		if fields := strings.Split(s.Text(), ":"); len(fields) == want && fields[0] == name {
			return fields, nil
		}
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	return nil, ErrNoAccount
}

// LookupGroups finds the groups that list a user as a member.
func LookupGroups(user string) ([]int, error) {
	f, err := os.Open("/etc/group")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var gids []int
	s := bufio.NewScanner(f)
	for s.Scan() {
		fields := strings.Split(s.Text(), ":")
		if len(fields) != 4 || !slices.Contains(strings.Split(fields[3], ","), user) {
			continue
		}
		if gid, err := strconv.ParseUint(fields[2], 10, 32); err == nil {
			gids = append(gids, int(gid))
		}
	}
	return gids, s.Err()
}
