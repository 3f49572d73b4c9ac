package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// BecomeGroup makes gid the only group of this process. It comes before
// BecomeUser: afterwards nobody may do it any more. (The syscall package, unlike
// x/sys, changes every thread.)
func BecomeGroup(gid int) error {
	if err := syscall.Setgroups([]int{gid}); err != nil {
		return err
	}
	return syscall.Setgid(gid)
}

// BecomeUser gives this process the rights of uid, for good: if root can be had
// back afterwards, the error is EPERM and the caller must not go on.
func BecomeUser(uid int) error {
	if err := syscall.Setuid(uid); err != nil {
		return err
	}
	if uid != 0 && syscall.Setuid(0) == nil {
		return unix.EPERM
	}
	return nil
}

// BecomeCaller gives up, for good, the rights that the set-id bits of this
// program's file gave it beyond those of its caller.
func BecomeCaller() error {
	uid, gid := unix.Getuid(), unix.Getgid()
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return err
	}
	return syscall.Setresuid(uid, uid, uid)
}
