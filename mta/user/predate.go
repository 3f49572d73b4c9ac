package user

import (
	"context"
	"strings"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/internal/zone"
	"paperpath/mta/layout"
)

// Predate is the program predate(1): it puts a Date field with the local time in
// front of a message. (qmail's own are in UTC.)
var Predate = proc.Program{Name: "predate", Usage: "child", Run: predate}

func predate(_ context.Context, env *proc.Env) error {
	sys.IgnoreSIGPIPE()
	if len(env.Args) < 2 {
		return proc.ErrUsage
	}
	now := time.Now().In(zone.Of(env.Vars))
	return feed(env, env.Args[1:], now.Format("Date: 2 Jan 2006 15:04:05 -0700\n"), false)
}

// Datemail is the program datemail(1): sendmail with the local time.
var Datemail = proc.Program{Name: "datemail", Usage: "[ arg ... ]", Run: datemail}

func datemail(ctx context.Context, env *proc.Env) error {
	bin := layout.Home(env.Vars) + "/bin/"
	return env.Next(ctx, env, append([]string{bin + "predate", bin + "sendmail"}, env.Args[1:]...))
}

// Mailsubj is the program mailsubj(1): a message with a subject.
var Mailsubj = proc.Program{Name: "mailsubj", Usage: "subject recip ...", Run: mailsubj}

func mailsubj(_ context.Context, env *proc.Env) error {
	sys.IgnoreSIGPIPE()
	if len(env.Args) < 2 {
		return proc.ErrUsage
	}
	head := "Subject: " + env.Args[1] + "\nTo:"
	if recipients := env.Args[2:]; len(recipients) > 0 {
		head += " " + strings.Join(recipients, " ")
	}
	return feed(env, []string{layout.Home(env.Vars) + "/bin/qmail-inject"}, head+"\n\n", false)
}
