package sys

import (
	"bufio"
	"os"
	"slices"
	"strconv"
	"strings"
)

// LookupGroups returns the ids of the groups that list a user as a member
// (initgroups(3)), from the group file alone.
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
