// Package answer says how qmail-queue answers its client: by its exit status.
// It is apart from the client's side (package queue) because qmail-queue is
// setuid and links nothing that it does not need.
//
//	0        queued: the message survives a power cut
//	11       an address is longer than 1003 bytes, its NUL included
//	31       refused for good          71  refused for now
//	51 52    out of memory             timeout
//	53 54    write error, disk full    read error, or the envelope broke off
//	55 56    configuration             network (of stand-ins like qmail-qmqpc)
//	61       trouble in the home directory
//	62–66    trouble creating files in the queue
//	72 73 74 connection timed out, rejected, broke off (stand-ins)
//	81 91    a bug; bytes that are no envelope
//	82       the text on descriptor 6 says it: D… for good, Z… for now
//	120      the client could not run the program
//	11–40    for good, whatever the number; every other status for now
package answer

// Exit statuses of qmail-queue.
const (
	Queued      = 0
	TooLong     = 11 // an address of more than MaxAddress bytes
	Memory      = 51
	Timeout     = 52
	Write       = 53
	Read        = 54
	Config      = 55 // control files cannot be read
	Home        = 61 // no qmail home directory
	Queue       = 62 // no queue directory
	Pid         = 63 // pid/…: create, stat, remove
	Mess        = 64 // mess/…
	Intd        = 65 // intd/…
	Todo        = 66 // todo/…
	Bug         = 81
	NotEnvelope = 91
)

// Exit statuses of others in its place.
const (
	RefusedForGood = 31
	Network        = 56 // no socket
	Refused        = 71 // for now
	ConnectTimeout = 72
	ConnectRefused = 73
	ConnectionLost = 74
	Custom         = 82  // the answer is on descriptor 6
	NotRun         = 120 // of the client's child: the program could not be executed
)

// MaxAddress is the longest sender or recipient, with its final NUL, that
// qmail-queue takes.
const MaxAddress = 1003

// Text returns what a client tells its own client about an exit status:
// "" for queued, or D (for good) or Z (for now) and a text that ends in an
// enhanced status code (RFC 3463). The words are qmail.c's; people and log
// readers know them.
func Text(status int) string {
	switch status {
	case Queued:
		return ""
	case 115, TooLong: // 115: qmail 1.00's number
		return "Denvelope address too long for qq (#5.1.3)"
	case RefusedForGood:
		return "Dmail server permanently rejected message (#5.3.0)"
	case Memory:
		return "Zqq out of memory (#4.3.0)"
	case Timeout:
		return "Zqq timeout (#4.3.0)"
	case Write:
		return "Zqq write error or disk full (#4.3.0)"
	case Read:
		return "Zqq read error (#4.3.0)"
	case Config:
		return "Zqq unable to read configuration (#4.3.0)"
	case Network:
		return "Zqq trouble making network connection (#4.3.0)"
	case Home:
		return "Zqq trouble in home directory (#4.3.0)"
	case Queue, Pid, Mess, Intd, Todo:
		return "Zqq trouble creating files in queue (#4.3.0)"
	case Refused:
		return "Zmail server temporarily rejected message (#4.3.0)"
	case ConnectTimeout:
		return "Zconnection to mail server timed out (#4.4.1)"
	case ConnectRefused:
		return "Zconnection to mail server rejected (#4.4.1)"
	case ConnectionLost:
		return "Zcommunication with mail server failed (#4.4.2)"
	case Bug, NotEnvelope:
		return "Zqq internal bug (#4.3.0)"
	case NotRun:
		return "Zunable to exec qq (#4.3.0)"
	}
	if status >= 11 && status <= 40 {
		return "Dqq permanent problem (#5.3.0)"
	}
	return "Zqq temporary problem (#4.3.0)"
}
