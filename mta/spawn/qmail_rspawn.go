package spawn

import (
	"bytes"
	"context"

	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/mta/layout"
	"paperpath/mta/tcpto"
)

// QmailRspawn is the program.
var QmailRspawn = proc.Program{Name: "qmail-rspawn", Run: rspawn}

func rspawn(_ context.Context, env *proc.Env) error {
	sys.IgnoreSIGPIPE()
	sys.CloseOnExecFrom(3)
	s, err := newSpawner(env)
	if err != nil {
		return err
	}
	home := layout.Home(env.Vars)
	tcpto.Of(home).Clear() // hosts get a new chance; if it fails, they wait
	r := &remotes{vars: env.Vars, dir: s.queue.Root, argv0: "qmail-remote", path: home + "/bin/qmail-remote"}
	if program, ok := env.Vars.Get("QMAILREMOTE"); ok {
		r.argv0, r.path = program, "" // looked for along $PATH
	}
	if r.processes, err = watch(); err != nil {
		return err
	}
	s.with = r
	s.serve(env.Files[0])
	return nil
}

// remotes delivers by qmail-remote, one process a delivery.
type remotes struct {
	vars        proc.Vars
	dir         string
	argv0, path string
	*processes
}

// remoteOutput is many times what qmail-remote says about one recipient.
var remoteOutput = output{max: 64 << 10}

func (r *remotes) begin(d *delivery, done func(string)) {
	c := &child.Command{
		Argv:  []string{r.argv0, d.host(), d.sender, d.recipient},
		Path:  r.path,
		Vars:  r.vars,
		Dir:   r.dir,
		Files: []int{d.descriptor(), -1, -1},
	}
	err := r.run(c, true, remoteOutput, func(status child.Status, text []byte) {
		done(remoteReport(status, text))
	})
	d.message.Close()
	if err != nil {
		done(startRefusal(err, "qmail-remote"))
	}
}

// remoteReport folds the reports of a qmail-remote that ended, each closed by
// a NUL, into one:
//
//	r… h… s…   of the recipient: accepted, never, not now
//	K… Z… D…   of the message, last
//
// The worse of the two counts. The recipient's text is always part of it, the
// message's unless the recipient fared worse (report in qmail-rspawn.c).
func remoteReport(status child.Status, text []byte) string {
	switch {
	case crashed(status):
		return "Zqmail-remote crashed.\n"
	case status.Code() == 111:
		return "ZUnable to run qmail-remote.\n"
	case status.Code() != 0:
		return "DUnable to run qmail-remote.\n"
	case len(text) == 0:
		return "Zqmail-remote produced no output.\n"
	}
	const never, notNow, accepted = -1, 0, 1
	message := never
	for rest := text; ; {
		report, after, ended := bytes.Cut(rest, []byte{0})
		if !ended {
			break
		}
		rest = after
		verdict := byte(0)
		if len(report) > 0 {
			verdict = report[0]
		}
		if verdict == 'K' {
			message = accepted
		} else if verdict == 'Z' {
			message = notNow
		}
		if verdict == 'K' || verdict == 'Z' || verdict == 'D' {
			break
		}
	}
	all := message
	switch text[0] {
	case 's':
		all = notNow
	case 'h':
		all = never
	}
	folded := map[int]string{accepted: "K", notNow: "Z", never: "D"}[all]

	// The first byte may be anything, a NUL too.
	recipient, after, ended := bytes.Cut(text[1:], []byte{0})
	if !ended {
		return folded
	}
	folded += string(recipient)
	if message <= all && len(after) > 0 && bytes.IndexByte([]byte("KZD"), after[0]) >= 0 {
		report, _, _ := bytes.Cut(after[1:], []byte{0})
		folded += string(report)
	}
	return folded
}
