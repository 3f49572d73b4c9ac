// Package user is what people write in .qmail files.
//
//	|forward ADDRESS …               a new copy to other addresses
//	|condredirect ADDRESS PROGRAM …  the same, and no more, if PROGRAM says so
//	|bouncesaying TEXT [PROGRAM …]   back to the sender, if PROGRAM says so
//	|except PROGRAM …                PROGRAM's answer turned round
//	|preline PROGRAM …               PROGRAM with the mbox header in front
//	|qreceipt ADDRESS                a notice of delivery, if one is asked for
//	|qbiff                           a line on the user's terminal
//
// These programs are qmail-local's commands (qmail-command(8)): the message on
// descriptor 0, its addresses in the environment, and the exit status says
// what becomes of the delivery. Others of the same kind are for people's scripts:
//
//	predate PROGRAM …                a Date field with the local time in front
//	datemail …                       sendmail, with that
//	mailsubj SUBJECT RECIPIENT …     a message with a subject
//	maildir2mbox                     messages of a Maildir moved to an mbox
package user

import (
	"errors"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// statusStop is the exit status for "done, and skip the rest of .qmail".
const statusStop = 99

// ask runs a program on the message and reports whether it ended with 0: yes.
// 111 is an error, any other status no (condredirect.c). A program that cannot be
// run is an error, too, where C takes a missing one for a no: it may be back soon.
func ask(env *proc.Env, argv []string) (yes bool, err error) {
	p, err := child.Start(&child.Command{
		Argv: argv, Vars: env.Vars, Dir: env.Dir,
		Files:  descriptors(env, 0, 1, 2),
		Script: true,
	})
	switch {
	case err == nil:
	case child.Exhausted(err):
		return false, strerr.Unable("fork", "", err)
	default:
		return false, strerr.Unable("run", argv[0], err)
	}
	status, err := p.Wait()
	switch {
	case err != nil:
		return false, errors.New("wait failed")
	case status.Crashed():
		return false, errors.New("child crashed")
	case status.Code() == proc.StatusTemporary:
		return false, errors.New("temporary child error")
	}
	return status.Code() == 0, nil
}

// descriptors returns the kernel's numbers for some of the program's own; -1
// leaves one closed.
func descriptors(env *proc.Env, files ...int) []int {
	for i, n := range files {
		files[i], _ = proc.Descriptor(env.Files[n])
	}
	return files
}
