package user

import (
	"context"

	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

// Preline is the program preline(1): it gives procmail and its like the message
// as they would find it in an mbox, with "From ", Return-Path and Delivered-To.
var Preline = proc.Program{Name: "preline", Usage: "cmd [ arg ... ]", Run: preline}

func preline(_ context.Context, env *proc.Env) error {
	sys.IgnoreSIGPIPE()
	lines := []struct {
		letter byte
		name   string
		on     bool
		text   string
	}{{'f', "UFLINE", true, ""}, {'r', "RPLINE", true, ""}, {'d', "DTLINE", true, ""}}
	for i := range lines {
		text, ok := env.Vars.Get(lines[i].name)
		if !ok {
			return proc.ErrUsage
		}
		lines[i].text = text
	}
	options := opt.Parse(env.Args[1:], "frdFRD")
	for options.Next() {
		if options.Letter == '?' {
			env.Say(options.Problem())
			return proc.ErrUsage
		}
		for i := range lines {
			if lines[i].letter == options.Letter|0x20 { // a capital letter: do
				lines[i].on = options.Letter < 'a'
			}
		}
	}
	argv := options.Rest()
	if len(argv) == 0 {
		return proc.ErrUsage
	}
	head := ""
	for _, line := range lines {
		if line.on {
			head += line.text
		}
	}
	return feed(env, argv, head, true)
}
