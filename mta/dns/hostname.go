package dns

import (
	"context"
	"os"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// Hostname is the program hostname(1), as config needs it: without options.
var Hostname = proc.Program{Name: "hostname", Run: hostname}

func hostname(_ context.Context, env *proc.Env) error {
	host, err := os.Hostname()
	if err != nil {
		return strerr.Unable("get", "hostname", err)
	}
	return put(env, []string{host})
}
