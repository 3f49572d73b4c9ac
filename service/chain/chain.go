// Package chain holds the programs that change one thing about the process and
// then execute the program that the rest of their arguments names: its user
// (setuidgid, setuser), its environment (envdir, envuidgid), its limits
// (softlimit), a lock that it holds (setlock), its session (pgrphack), its name
// (argv0), its standard error (errorsto). Only fghack stays, and waits for the
// program.
//
//	exec envdir ./env setuidgid qmaild softlimit -m 40000000 tcpserver …
package chain

import (
	"io"
	"strings"

	"paperpath/internal/opt"
	"paperpath/internal/proc"
)

// refuse complains about an option, before the usage line. The complaint begins
// with the name that the program was called by (sgetopt.c).
func refuse(env *proc.Env, options *opt.Set) error {
	name := env.Args[0][strings.LastIndexByte(env.Args[0], '/')+1:]
	io.WriteString(env.Files[2], name+": "+options.Problem()+"\n")
	return proc.ErrUsage
}

// in returns the path of a file that a program whose directory is dir calls name.
func in(dir, name string) string {
	if dir == "" || name == "" || name[0] == '/' {
		return name
	}
	return dir + "/" + name
}

// put sets or removes one variable. It leaves the same order as the C programs:
// the last variable moves to the place of a removed one, and a new value comes
// last. If name contains a "=", what follows it is part of the value
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
