// Package users is the table of who gets the mail for which local address:
//
//	users/assign    =local:user:uid:gid:home:dash:ext:    one address
//	                +loc:user:uid:gid:home:dash:pre:      all that begin so
//	                .                                     the end
//	users/cdb       !local\0  →  user\0uid\0gid\0home\0dash\0ext
//	                !loc      →  user\0uid\0gid\0home\0dash\0pre
//	                (empty)   →  the last characters of every loc
//
// and, for what is not in there, the system's accounts (qmail-users(5)).
// Addresses are the same in upper and lower case.
package users

import (
	"bytes"
	"errors"
	"syscall"

	"paperpath/internal/cdb"
	"paperpath/internal/fsys"
	"paperpath/mta/control"
)

// errDatabase means that users/cdb is not what qmail-newu writes.
var errDatabase = errors.New("users/cdb has no wildcard record")

// Find looks local up in users/cdb below the qmail home fs: a simple
// assignment first, then the longest wildcard. The record is user, uid, gid,
// home, dash and ext, each with a NUL after it; ext is complete. found is
// false, without an error, if nobody is assigned or there is no database.
func Find(fs fsys.FS, local string) (record []byte, found bool, err error) {
	db, err := cdb.Open(fs, "users/cdb")
	if err == syscall.ENOENT {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer db.Close()
	ends, found, err := db.Get(nil)
	if err != nil {
		return nil, false, err
	}
	if !found {
		return nil, false, errDatabase
	}
	key := []byte("!" + control.Lower(local) + "\x00")
	if record, found, err = db.Get(key); err != nil || found {
		return append(record, 0), found, err
	}
	for n := len(key) - 1; n > 0; n-- {
		// A prefix that ends in a character that no wildcard ends in is not
		// worth a look; the empty one always is.
		if n > 1 && bytes.IndexByte(ends, key[n-1]) < 0 {
			continue
		}
		if record, found, err = db.Get(key[:n]); err != nil || found {
			record = append(record, local[n-1:]...)
			return append(record, 0), found, err
		}
	}
	return nil, false, nil
}
