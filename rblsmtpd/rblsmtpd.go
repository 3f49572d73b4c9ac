// Package rblsmtpd is rblsmtpd: it stands before an SMTP server in the chain
// and lets the client through to it, or talks to the client itself and says no.
//
//	options.go   the command line → sources, in order
//	source.go    what one -r or -a says: zone, zone:message, zone=codes:message
//	reverse.go   an address → the name it has in a list
//	judge.go     all sources asked at once, their answers weighed in order
//	silence.go   the wait before the greeting
//	dialogue.go  the server that says no
//
// What a client is told comes from the first of these that decides:
//
//	$RBLSMTPD set to nothing    let in, nothing asked
//	$RBLSMTPD=-text             553 text
//	$RBLSMTPD=text              451 text
//	a source, in the order of the command line
//	the client spoke too early
//	nothing                     let in
//
// Everything here works with its Env alone: the program may run as a function
// inside a server.
package rblsmtpd

import (
	"context"
	"os"
	"strconv"
	"time"

	"paperpath/internal/dnsq"
	"paperpath/internal/proc"
)

// Rblsmtpd is rblsmtpd(1). Its usage line is the original's, which names a -R
// that it does not know and not the -B, -c and -C that it does.
var Rblsmtpd = proc.Program{
	Name:  "rblsmtpd",
	Usage: "[ -b ] [ -R ] [ -t timeout ] [ -r base ] [ -a base ] smtpd [ arg ... ]",
	Run: func(ctx context.Context, env *proc.Env) error {
		return run(ctx, env, dnsq.New(env.Vars))
	},
}

// verdict is what becomes of the client.
type verdict int

const (
	undecided verdict = iota
	accept
	refuse // 451: the client will try again
	bounce // 553
)

// decision is a verdict, and what the client is told.
type decision struct {
	verdict verdict
	text    string

	// doubt is set once a source could not be asked: what might have been
	// otherwise must not become a bounce.
	doubt bool
}

func run(ctx context.Context, env *proc.Env, dns resolver) error {
	set, err := parseOptions(env)
	if err != nil {
		return err
	}
	start := time.Now()
	client := env.Vars.Value("TCPREMOTEIP")

	d, decided := fromVariable(env.Vars)
	why := "$RBLSMTPD"
	if !decided {
		j := judge(ctx, dns, set, client)
		for _, w := range j.warnings {
			env.Warn(w)
		}
		d, why = j.decision, j.why
	}
	spoken := "" // what the client said before it was greeted
	if d.verdict == undecided && set.silence > 0 {
		var state silence
		if state, spoken, err = listen(env.Files[0], start.Add(set.silence)); err != nil {
			return err
		}
		switch state {
		case gone:
			if set.verbose {
				log(env, client, "gone before the greeting")
			}
			return nil
		case early:
			d.verdict, d.text = set.early, earlyText
			why += ", early"
		}
	}
	if set.verbose {
		log(env, client, d.verdict.String()+": "+why)
	}
	if d.verdict < refuse {
		return env.Next(ctx, env, set.next)
	}
	reply := d.reply()
	log(env, client, reply)
	return sayNo(env.Files[0], env.Files[1], spoken, reply, set.timeout)
}

// fromVariable decides as tcprules(1) may have decided.
func fromVariable(vars proc.Vars) (d decision, ok bool) {
	text, ok := vars.Get("RBLSMTPD")
	switch {
	case !ok:
	case text == "":
		d.verdict = accept
	case text[0] == '-':
		d.verdict, d.text = bounce, text[1:]
	default:
		d.verdict, d.text = refuse, text
	}
	return d, ok
}

func (v verdict) String() string {
	if v < refuse {
		return "accepted"
	}
	return "refused"
}

// maxText is how much of a source's text the client and the log get to see.
const maxText = 200

// reply is the line for the client, fit to be sent and to be logged.
func (d decision) reply() string {
	code := "553 "
	if d.doubt || d.verdict == refuse {
		code = "451 "
	}
	b := []byte(code + d.text[:min(len(d.text), maxText)])
	for i, c := range b {
		if c < 32 || c > 126 {
			b[i] = '?'
		}
	}
	return string(b)
}

// log prints "rblsmtpd: 10.0.0.1 pid 123: text".
func log(env *proc.Env, client, text string) {
	pid := env.PID
	if pid == 0 {
		pid = os.Getpid()
	}
	env.Say(client + " pid " + strconv.Itoa(pid) + ": " + text)
}
