package user

import (
	"context"

	"paperpath/internal/proc"
)

// Forward is the program forward(1).
var Forward = proc.Program{Name: "forward", Usage: "address ...", Run: forward}

func forward(_ context.Context, env *proc.Env) error {
	sender, err := required(env, "NEWSENDER")
	if err != nil {
		return err
	}
	delivered, err := required(env, "DTLINE")
	if err != nil {
		return err
	}
	qp, err := requeue(env, delivered, sender, env.Args[1:]...)
	if err == nil {
		env.Say(qp)
	}
	return err
}
