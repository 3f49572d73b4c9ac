// Package queue is the door to the mail queue: what a program says to
// qmail-queue, and what qmail-queue answers by the way it ends.
//
// A client starts one qmail-queue for one message and writes to two pipes
// (qmail-queue(8), qmail.c):
//
//	descriptor 0   the message, to the end of the pipe
//	descriptor 1   the envelope:  F sender \0  ( T recipient \0 )*  \0
//	descriptor 6   the other way: one line of text that goes with status 82
//
// The last NUL of the envelope is the client's word that message and
// recipients are complete. A client that dies or gives up closes the pipe
// without it, and nothing is queued. The answer is an exit status:
//
//	0        queued: the message survives a power cut
//	11       an address is longer than 1003 bytes
//	31       refused for good          71  refused for now
//	51 52    out of memory             timeout
//	53 54    write error, disk full    read error, or the envelope broke off
//	55 56    configuration             network (qmail-qmqpc and other stand-ins)
//	61       trouble in the home directory
//	62–66    trouble creating files in the queue
//	72 73 74 connection timed out, rejected, broke off (stand-ins)
//	81 91    a bug; bytes that are no envelope
//	82       the text on descriptor 6 says it: D… for good, Z… for now
//	11–40    for good, whatever the number; every other status for now
//
// $QMAILQUEUE names a program to run in qmail-queue's place: a filter, or a
// client of another queue.
package queue

// Statuses that qmail-queue itself ends with.
const (
	StatusTooLong  = 11 // an address of more than MaxAddress bytes
	StatusMemory   = 51
	StatusTimeout  = 52
	StatusWrite    = 53
	StatusRead     = 54
	StatusHome     = 61 // no qmail home directory
	StatusQueue    = 62 // no queue directory
	StatusPid      = 63 // pid/…: create, stat, remove
	StatusMess     = 64 // mess/…
	StatusIntd     = 65 // intd/…
	StatusTodo     = 66 // todo/…
	StatusBug      = 81
	StatusEnvelope = 91 // not an envelope

	statusText = 82  // the answer is on descriptor 6
	statusExec = 120 // the child of the C client could not run the program
)

// MaxAddress is the longest sender or recipient, with its final NUL, that
// qmail-queue takes.
const MaxAddress = 1003

// Answer returns what a client tells its own client about an exit status:
// "" for queued, or D (for good) or Z (for now) and a text that ends in an
// enhanced status code (RFC 3463). The words are qmail.c's; people and log
// readers know them.
func Answer(status int) string {
	switch status {
	case 0:
		return ""
	case 115, StatusTooLong: // 115: qmail 1.00's number
		return "Denvelope address too long for qq (#5.1.3)"
	case 31:
		return "Dmail server permanently rejected message (#5.3.0)"
	case StatusMemory:
		return "Zqq out of memory (#4.3.0)"
	case StatusTimeout:
		return "Zqq timeout (#4.3.0)"
	case StatusWrite:
		return "Zqq write error or disk full (#4.3.0)"
	case StatusRead:
		return "Zqq read error (#4.3.0)"
	case 55:
		return "Zqq unable to read configuration (#4.3.0)"
	case 56:
		return "Zqq trouble making network connection (#4.3.0)"
	case StatusHome:
		return "Zqq trouble in home directory (#4.3.0)"
	case StatusQueue, StatusPid, StatusMess, StatusIntd, StatusTodo:
		return "Zqq trouble creating files in queue (#4.3.0)"
	case 71:
		return "Zmail server temporarily rejected message (#4.3.0)"
	case 72:
		return "Zconnection to mail server timed out (#4.4.1)"
	case 73:
		return "Zconnection to mail server rejected (#4.4.1)"
	case 74:
		return "Zcommunication with mail server failed (#4.4.2)"
	case StatusBug, StatusEnvelope:
		return "Zqq internal bug (#4.3.0)"
	case statusExec:
		return "Zunable to exec qq (#4.3.0)"
	}
	if status >= 11 && status <= 40 {
		return "Dqq permanent problem (#5.3.0)"
	}
	return "Zqq temporary problem (#4.3.0)"
}
