package chain

import (
	"context"
	"os"

	"golang.org/x/sys/unix"

	"paperpath/internal/limit"
	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// Softlimit runs a program under other soft limits. It passes the limits on to the
// moment of execution: only then is it known whether the program is one that a
// limit would kill (package limit).
var Softlimit = proc.Program{
	Name: "softlimit",
	Usage: "[-a allbytes] [-c corebytes] [-d databytes] [-f filebytes] [-l lockbytes] [-m membytes]" +
		" [-o openfiles] [-p processes] [-r residentbytes] [-s stackbytes] [-t cpusecs] child",
	Run: softlimit,
}

var resources = map[byte][]int{
	'a': {unix.RLIMIT_AS},
	'c': {unix.RLIMIT_CORE},
	'd': {unix.RLIMIT_DATA},
	'f': {unix.RLIMIT_FSIZE},
	'l': {unix.RLIMIT_MEMLOCK},
	'm': {unix.RLIMIT_DATA, unix.RLIMIT_STACK, unix.RLIMIT_MEMLOCK, unix.RLIMIT_AS},
	'o': {unix.RLIMIT_NOFILE},
	'p': {unix.RLIMIT_NPROC},
	'r': {unix.RLIMIT_RSS},
	's': {unix.RLIMIT_STACK},
	't': {unix.RLIMIT_CPU},
}

func softlimit(ctx context.Context, env *proc.Env) error {
	// An outer softlimit may have passed limits on; ours replace them.
	limits, _ := limit.Handed(env.Vars)
	options := opt.Parse(env.Args[1:], "a:c:d:f:l:m:o:p:r:s:t:")
	for options.Next() {
		if options.Letter == '?' {
			return refuse(env, options)
		}
		for _, resource := range resources[options.Letter] {
			value, ok := number(options.Arg)
			if options.Arg == "=" {
				var r unix.Rlimit
				if err := unix.Getrlimit(resource, &r); err != nil {
					return strerr.Unable("read", "limits", err)
				}
				value, ok = r.Max, true
			}
			if !ok {
				return proc.ErrUsage
			}
			limits.Set(resource, value)
		}
	}
	if len(options.Rest()) == 0 {
		return proc.ErrUsage
	}
	self, err := os.Executable()
	if err != nil {
		self = "/command/softlimit" // there is no /proc; this is the documented place
	}
	limits.HandOn(&env.Vars, self)
	return env.Next(ctx, env, options.Rest())
}

// number reads digits as scan_ulong does: no digits are 0, and too many wrap
// around.
func number(s string) (n uint64, ok bool) {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}
