package inject

import (
	"context"
	"errors"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"paperpath/internal/gobinary"
	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/mta/layout"
)

// Sendmail takes the command line of the program that all Unix software calls
// to send mail.
var Sendmail = proc.Program{
	Name:  "sendmail",
	Usage: "[ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]",
	Run:   sendmail,
}

// options of sendmail. Most of them are accepted because callers give them and
// mean nothing here: -B body type, -e error mode, -i a dot alone is no end,
// -m me too, -o settings, -p protocol and host, -v verbose, -x; -E and -J are
// Sony NEWS-OS's; -N is for delivery status notifications (RFC 3461), which
// mutt and others ask for.
const sendmailOptions = "vimte:f:p:o:B:F:E::J::xb:N:R:V:"

func sendmail(ctx context.Context, env *proc.Env) error {
	home := layout.Home(env.Vars)
	if _, err := os.Stat(home + "/."); err != nil {
		return errors.New("unable to switch to qmail home directory")
	}
	env.Dir = home

	argv := []string{"bin/qmail-inject", "-a"}
	sender, hasSender := "", false
	options := opt.Parse(env.Args[1:], sendmailOptions)
	for options.Next() {
		switch options.Letter {
		case 't':
			argv[1] = "-H"
		case 'f':
			sender, hasSender = options.Arg, true
		case 'F':
			env.Vars.Set("MAILNAME", options.Arg)
		case 'b':
			switch mode := options.Arg; {
			case strings.HasPrefix(mode, "m"): // as if it were not there
			case strings.HasPrefix(mode, "p"):
				return become(ctx, env, "bin/qmail-qread")
			case strings.HasPrefix(mode, "s"):
				return smtpDialogue(ctx, env)
			default:
				return proc.ErrUsage
			}
		case '?':
			env.Say(options.Problem())
			return proc.ErrUsage
		}
	}
	switch path.Base(env.Args[0]) {
	case "mailq":
		return become(ctx, env, "bin/qmail-qread")
	case "newaliases":
		return proc.Permanent(errors.New("please use fastforward/newaliases instead"))
	}
	if hasSender {
		argv = append(argv, "-f", sender)
		setAuthor(&env.Vars, sender)
	}
	argv = append(argv, "--")
	return inject(ctx, env, append(argv, options.Rest()...))
}

// inject goes on as qmail-inject. Where that is this very program's sibling,
// by the files' own words, it need not be loaded: half of what sendmail costs.
// Anything else by that name is executed.
func inject(ctx context.Context, env *proc.Env, argv []string) error {
	self, err := os.Executable()
	if err != nil || !siblings(self, env.Dir+"/"+argv[0]) {
		return become(ctx, env, argv...)
	}
	next := *env
	next.Args = argv
	return proc.Exit(proc.Run(ctx, &QmailInject, &next))
}

// siblings reports whether file is qmail-inject of the build that the program
// self is of, with no rights that a caller lacks, and the caller may run it.
func siblings(self, file string) bool {
	stat, err := os.Stat(file)
	if err != nil || stat.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 || unix.Access(file, unix.X_OK) != nil {
		return false
	}
	ours, err := gobinary.Info(self)
	if err != nil {
		return false
	}
	theirs, err := gobinary.Info(file)
	return err == nil && gobinary.Main(theirs) == "paperpath/cmd/qmail-inject" && gobinary.SameBuild(ours, theirs)
}

// setAuthor makes the sender of option -f also the author of a message without
// From, whatever the environment says.
func setAuthor(vars *proc.Vars, sender string) {
	for _, name := range []string{"QMAILNAME", "MAILNAME", "NAME", "QMAILHOST", "MAILHOST"} {
		vars.Unset(name)
	}
	if at := strings.LastIndexByte(sender, '@'); at >= 0 {
		vars.Set("QMAILHOST", sender[at+1:])
		sender = sender[:at]
	}
	vars.Set("QMAILUSER", sender)
}

// smtpDialogue is -bs: SMTP on descriptors 0 and 1, with a client who may
// relay. Under a tcpserver, which sets PROTO, its word counts.
func smtpDialogue(ctx context.Context, env *proc.Env) error {
	if _, ok := env.Vars.Get("PROTO"); !ok {
		for _, v := range [][2]string{
			{"RELAYCLIENT", ""},
			{"DATABYTES", "0"},
			{"PROTO", "TCP"},
			{"TCPLOCALIP", "127.0.0.1"},
			{"TCPLOCALHOST", "localhost"},
			{"TCPREMOTEIP", "127.0.0.1"},
			{"TCPREMOTEHOST", "localhost"},
			{"TCPREMOTEINFO", "sendmail-bs"},
		} {
			env.Vars.Set(v[0], v[1])
		}
	}
	return become(ctx, env, "bin/qmail-smtpd")
}

// become runs a program of the home directory in sendmail's place.
func become(ctx context.Context, env *proc.Env, argv ...string) error {
	if err := env.Next(ctx, env, argv); err != nil {
		return errors.New("unable to run " + path.Base(argv[0]))
	}
	return nil
}
