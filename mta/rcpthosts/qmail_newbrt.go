package rcpthosts

import (
	"context"

	"paperpath/internal/proc"
)

// QmailNewbrt is the program qmail-newbrt(8), the twin of qmail-newmrh for
// recipients whose mail is refused. It comes from Gentoo's qmail.
var QmailNewbrt = proc.Program{Name: "qmail-newbrt", Run: func(_ context.Context, env *proc.Env) error {
	return compileAt(env, "control/morebadrcptto")
}}
