package filter

import (
	"context"

	"paperpath/internal/proc"
)

// Fixcrio is fixcrio(1): it runs a program whose lines end with LF for clients
// whose lines should end with CR LF but sometimes do not: in both directions an
// LF without a CR gets one.
var Fixcrio = proc.Program{Name: "fixcrio", Usage: fixcrioUsage, Run: fixcrio}

// FixcrioInside is Fixcrio within a server.
var FixcrioInside = proc.Program{Name: "fixcrio", Usage: fixcrioUsage, Run: fixcrioInside}

const fixcrioUsage = "program [ arg ... ]"

// fixcrioRelay is argv[0] of the relay's process.
const fixcrioRelay = "fixcrio-relay"

func fixcrio(ctx context.Context, env *proc.Env) error {
	if env.Args[0] == fixcrioRelay {
		return serve(&fixer{})
	}
	if len(env.Args) < 2 {
		return proc.ErrUsage
	}
	return precede(ctx, env, []string{fixcrioRelay}, env.Args[1:])
}

func fixcrioInside(ctx context.Context, env *proc.Env) error {
	if len(env.Args) < 2 {
		return proc.ErrUsage
	}
	return between(ctx, env, &fixer{}, env.Args[1:])
}

// fixer is the tap that completes line ends.
type fixer struct{ client, program fixCR }

func (f *fixer) fromClient(out, in []byte) []byte  { return f.client.append(out, in) }
func (f *fixer) fromProgram(out, in []byte) []byte { return f.program.append(out, in) }
func (f *fixer) clientEnd()                        {}
func (f *fixer) programEnd()                       {}
