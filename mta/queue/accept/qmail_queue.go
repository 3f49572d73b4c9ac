package accept

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/mta/control"
	"paperpath/mta/layout"
	"paperpath/mta/queue/answer"
	"paperpath/mta/queue/resident"
	"paperpath/mta/queue/store"
)

// QmailQueue reads a message from descriptor 0 and its envelope from
// descriptor 1 and queues them; or, for the clients that know about it, one
// message after another from a socket (stay.go).
var QmailQueue = proc.Program{
	Name: "qmail-queue",
	Run:  qmailQueue,
}

func qmailQueue(_ context.Context, env *proc.Env) (err error) {
	defer func() {
		if recover() != nil {
			err = proc.Exit(answer.Bug) // the trace would go to the caller
		}
	}()
	if runtime.GOMAXPROCS(0) > runtime.NumCPU() {
		runtime.GOMAXPROCS(1) // a caller set $GOMAXPROCS to have us start thousands of threads
	}
	ignoreSignals()
	syscall.Umask(0o033)
	home := layout.Home(env.Vars)
	client := Client{UID: os.Getuid(), PID: os.Getpid(), Time: time.Now()}
	queue, err := enter(home) // which may change the uid
	if err != nil {
		return err
	}
	client.By = invokedBy(client.UID)
	if resident.Asked(env.Args) {
		return stay(func() (Queue, error) { return enter(home) }, client, env.Files[resident.Descriptor])
	}
	message, envelope := env.Files[0], env.Files[1]
	if !readable(message) || !readable(envelope) {
		return proc.Exit(answer.Read)
	}
	message.SetReadDeadline(client.Time.Add(death))
	envelope.SetReadDeadline(client.Time.Add(death))
	if err := Accept(queue, client, message, envelope); err != nil {
		return err
	}
	pullTrigger()
	return nil
}

// enter makes the queue the current directory.
func enter(home string) (q Queue, err error) {
	if os.Chdir(home) != nil {
		return q, proc.Exit(answer.Home)
	}
	dir := control.Open(fsys.OS{})
	if q.Extra, err = readExtra(dir); err != nil {
		return q, err
	}
	if q.Zone, err = dir.DateZone(nil); err != nil { // the system's: the caller's TZ is not to be read
		return q, proc.Exit(answer.Config)
	}
	if os.Chdir("queue") != nil || becomeOwner() != nil {
		return q, proc.Exit(answer.Queue)
	}
	q.FS = fsys.OS{}
	if q.Form, err = store.FindForm(q.FS); err != nil {
		return q, proc.Exit(answer.Todo)
	}
	return q, nil
}

// becomeOwner gives up root's rights for those of the queue's owner, whom the
// other programs expect the message to belong to. Installed setuid, this program
// has them already. It has not where root calls it in a rootless installation, or
// where a copy of the files lost the mode; C then queues what is never delivered.
func becomeOwner() error {
	if os.Geteuid() != 0 {
		return nil
	}
	mess, err := fsys.OS{}.Stat("mess")
	if err != nil || mess.UID == 0 {
		return nil // without it nothing can be queued, and the answer says so
	}
	if err := sys.BecomeGroup(int(mess.GID)); err != nil {
		return err
	}
	return sys.BecomeUser(int(mess.UID))
}

// readExtra reads the recipients that every message gets, from the file by
// which indimail's qmail-queue knows them.
func readExtra(dir *control.Dir) (extra []string, err error) {
	extra, _, err = dir.List("extraqueue")
	if err != nil || slices.ContainsFunc(extra, func(addr string) bool { return len(addr) >= answer.MaxAddress }) {
		return nil, proc.Exit(answer.Config)
	}
	return extra, nil
}

// readable reports whether f is open for reading. A wait with a deadline would
// not find out: nothing ever arrives at the writing end of a pipe.
func readable(f proc.File) bool {
	fd, ok := proc.Descriptor(f)
	if !ok {
		return false
	}
	_, err := syscall.Read(fd, nil)
	return err == nil
}

// ignoreSignals: what a terminal or a limit sends must not end the program
// half way (sig_misc.c). A file size limit then is a write error.
func ignoreSignals() {
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGVTALRM,
		syscall.SIGPROF, syscall.SIGXCPU, syscall.SIGXFSZ, syscall.SIGPIPE, syscall.SIGALRM)
}

// invokedBy returns the words of the Received line. An account that cannot be
// looked up is nobody special.
func invokedBy(uid int) string {
	for _, special := range []struct{ account, words string }{
		{layout.UserAlias, "by alias"},
		{layout.UserDaemon, "from network"},
		{layout.UserSend, "for bounce"},
	} {
		if a, err := sys.LookupAccount(special.account); err == nil && a.UID == uid {
			return special.words
		}
	}
	return "by uid " + strconv.Itoa(uid)
}

// pullTrigger wakes qmail-send. If it is not there, or was woken a moment ago
// and has not yet looked (the fifo is full), the message waits for its next
// look into todo. Nothing here may block.
func pullTrigger() {
	fd, err := sys.Open("lock/trigger", os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer fd.Close()
	fd.SetWriteDeadline(time.Unix(0, 1)) // long ago: do not wait for room either
	fd.Write([]byte{0})
}
