// Package store is the only code that names queue files. The layout is that of
// qmail 1.03 (INTERNALS section 2); N is the inode number of the message file
// in decimal, S is N modulo 23:
//
//	pid/ANY      a message file without its name yet
//	mess/S/N     the message
//	intd/N       an envelope being written:  u<uid>\0 p<pid>\0 F<sender>\0 T<recipient>\0 …
//	todo/N       a link to it: the message is queued
//	info/S/N     F<sender>\0; its modification time is the message's birth
//	local/S/N    T<recipient>\0 … ; D in place of T for one that is done
//	remote/S/N   the same for the other channel
//	bounce/N     text: what goes back to the sender
//
// and the states a message passes, by the files that exist:
//
//	S1  nothing
//	S2  mess                                    (to be cleaned up if it stays)
//	S3  mess intd                               (the same)
//	S4  mess todo, perhaps intd info local remote   queued
//	S5  mess info, perhaps local remote bounce      preprocessed
package store

import (
	"strconv"

	"paperpath/mta/layout"
)

// ID is a message's number: the inode number of its file.
type ID uint64

func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// Dir returns the directory of dir (mess, info, local or remote) that a
// message's file is in.
func (id ID) Dir(dir string) string {
	return dir + "/" + strconv.FormatUint(uint64(id%layout.Split), 10)
}

// Split returns S/N, the name below mess/ by which the spawners know a message.
func (id ID) Split() string {
	return strconv.FormatUint(uint64(id%layout.Split), 10) + "/" + id.String()
}

func (id ID) split(dir string) string { return dir + "/" + id.Split() }

// Names of a message's files, relative to the queue directory.
func (id ID) Mess() string   { return id.split("mess") }
func (id ID) Info() string   { return id.split("info") }
func (id ID) Local() string  { return id.split("local") }
func (id ID) Remote() string { return id.split("remote") }
func (id ID) Intd() string   { return "intd/" + id.String() }
func (id ID) Todo() string   { return "todo/" + id.String() }
func (id ID) Bounce() string { return "bounce/" + id.String() }

// ParseID reads a file name of the queue. Names with signs, leading zeros or
// anything else that String would not write are not ids.
func ParseID(name string) (ID, bool) {
	n, err := strconv.ParseUint(name, 10, 64)
	return ID(n), err == nil && ID(n).String() == name
}
