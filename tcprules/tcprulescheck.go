package tcprules

import (
	"context"
	"io"
	"strings"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// Tcprulescheck is tcprulescheck(1).
var Tcprulescheck = proc.Program{Name: "tcprulescheck", Usage: "rules.cdb", Run: tcprulescheck}

func tcprulescheck(_ context.Context, env *proc.Env) error {
	if len(env.Args) < 2 {
		return proc.ErrUsage
	}
	c := Client{IP: "0.0.0.0"}
	if ip, ok := env.Vars.Get("TCPREMOTEIP"); ok {
		c.IP = ip
	}
	c.Host, c.HasHost = env.Vars.Get("TCPREMOTEHOST")
	c.Info, c.HasInfo = env.Vars.Get("TCPREMOTEINFO")
	rule, err := Find(fsys.OS{Root: env.Dir}, env.Args[1], &c)
	if err != nil {
		return strerr.Unable("read", env.Args[1], err)
	}
	if _, err := io.WriteString(env.Files[1], explain(rule)); err != nil {
		return strerr.Unable("write", "output", err)
	}
	return nil
}

// explain says in tcprulescheck's words what a rule does.
func explain(rule *Rule) string {
	if rule == nil {
		return "default:\nallow connection\n"
	}
	var b strings.Builder
	b.WriteString("rule " + rule.Address + ":\n")
	for do := range rule.All() {
		if do.Deny {
			b.WriteString("deny connection\n")
			return b.String()
		}
		b.WriteString("set environment variable " + do.Set + "\n")
	}
	b.WriteString("allow connection\n")
	return b.String()
}
