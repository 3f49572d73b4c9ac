// Package chain holds the programs that change one thing about the process and
// become the program that the rest of their arguments names: who it is
// (setuidgid, setuser), its environment (envdir, envuidgid), its limits
// (softlimit), a lock that it holds (setlock), its session (pgrphack). fghack
// alone stays, to wait for it.
//
//	exec envdir ./env setuidgid qmaild softlimit -m 40000000 tcpserver …
package chain

import (
	"io"
	"strings"

	"paperpath/internal/opt"
	"paperpath/internal/proc"
)

// refuse complains about an option, in the name that the program was called by
// (sgetopt.c), before the usage line.
func refuse(env *proc.Env, options *opt.Set) error {
	name := env.Args[0][strings.LastIndexByte(env.Args[0], '/')+1:]
	io.WriteString(env.Files[2], name+": "+options.Problem()+"\n")
	return proc.ErrUsage
}

// in is the name of a file that a program in the directory dir calls name.
func in(dir, name string) string {
	if dir == "" || name == "" || name[0] == '/' {
		return name
	}
	return dir + "/" + name
}

// put sets or removes one variable. It keeps the order that the C programs
// leave: the last variable takes the place of one that goes, and a new value is
// the last. What a name says after a "=" has always been part of the value
// (pathexec_env.c joins first and splits then).
func put(vars *proc.Vars, name, value string, set bool) {
	text := name
	if set {
		text += "=" + value
	}
	name, _, set = strings.Cut(text, "=")
	v, prefix := *vars, name+"="
	for i := 0; i < len(v); {
		if strings.HasPrefix(v[i], prefix) {
			v[i] = v[len(v)-1]
			v = v[:len(v)-1]
		} else {
			i++
		}
	}
	if set {
		v = append(v, text)
	}
	*vars = v
}
