// Package limit carries the limits that softlimit was asked for to the programs
// that can live under them.
//
// A Go program cannot run under an address space of less than about 750 MB or
// a data segment of less than about 64 MB, however little it uses; and every run
// script says softlimit -m with less. Nor can it under a limit of processes that
// its user has reached, because it wants threads. So a Go program gets GOMEMLIMIT
// instead of the former and is spared the latter, and the numbers travel on in
// the environment until something executes a program that is not Go:
//
//	PAPERPATH_SOFTLIMIT="as=2000000 data=2000000 /usr/local/bin/softlimit"
//	                     what is still to be set  who can set it for a child
//
// Whoever becomes another program calls [Exec], which sets them; whoever starts
// a child asks [ForChild], because between fork and exec a Go program can set no
// limits itself. (internal/proc/host and internal/child do so for everybody.)
package limit

import (
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

// Variable is the name of the environment variable.
const Variable = "PAPERPATH_SOFTLIMIT"

// memoryFloor is the least that GOMEMLIMIT is set to. Below some tens of
// megabytes a Go program that has anything to do spends its time collecting
// garbage, and holds no less memory for it.
const memoryFloor = 64 << 20

// Limit is one soft limit that was asked for.
type Limit struct {
	Resource int // RLIMIT_…
	Value    uint64
}

// Limits is what was asked for, at most one Limit for a resource.
type Limits []Limit

var names = []struct {
	resource int
	name     string
}{
	{unix.RLIMIT_AS, "as"},
	{unix.RLIMIT_CORE, "core"},
	{unix.RLIMIT_CPU, "cpu"},
	{unix.RLIMIT_DATA, "data"},
	{unix.RLIMIT_FSIZE, "fsize"},
	{unix.RLIMIT_MEMLOCK, "memlock"},
	{unix.RLIMIT_NOFILE, "nofile"},
	{unix.RLIMIT_NPROC, "nproc"},
	{unix.RLIMIT_RSS, "rss"},
	{unix.RLIMIT_STACK, "stack"},
}

// Set asks for a limit, in place of an earlier one.
func (l *Limits) Set(resource int, value uint64) {
	for i := range *l {
		if (*l)[i].Resource == resource {
			(*l)[i].Value = value
			return
		}
	}
	*l = append(*l, Limit{resource, value})
}

// Handed returns the limits in the environment, and the softlimit program. What
// is not of the form that HandOn writes counts as nothing.
func Handed(vars proc.Vars) (l Limits, softlimit string) {
	text, ok := vars.Get(Variable)
	if !ok {
		return nil, ""
	}
	for !strings.HasPrefix(text, "/") {
		var word string
		word, text, ok = strings.Cut(text, " ")
		name, number, _ := strings.Cut(word, "=")
		resource := resourceNamed(name)
		value, err := strconv.ParseUint(number, 10, 64)
		if !ok || resource < 0 || err != nil {
			return nil, ""
		}
		l.Set(resource, value)
	}
	return l, text
}

func resourceNamed(name string) int {
	for _, n := range names {
		if n.name == name {
			return n.resource
		}
	}
	return -1
}

// HandOn puts the limits into the environment, and GOMEMLIMIT, unless somebody
// else set that. softlimit is the file name of the program.
func (l Limits) HandOn(vars *proc.Vars, softlimit string) {
	withdraw(vars)
	var text strings.Builder
	for _, n := range names {
		for _, limit := range l {
			if limit.Resource == n.resource {
				text.WriteString(n.name + "=" + strconv.FormatUint(limit.Value, 10) + " ")
			}
		}
	}
	if text.Len() == 0 {
		return
	}
	vars.Set(Variable, text.String()+softlimit)
	if memory := l.memory(); memory != "" {
		if _, ok := vars.Get("GOMEMLIMIT"); !ok {
			vars.Set("GOMEMLIMIT", memory)
		}
	}
}

// withdraw takes out of the environment what HandOn put there.
func withdraw(vars *proc.Vars) {
	l, _ := Handed(*vars)
	if memory := l.memory(); memory != "" && vars.Value("GOMEMLIMIT") == memory {
		vars.Unset("GOMEMLIMIT")
	}
	vars.Unset(Variable)
}

// memory is what GOMEMLIMIT becomes: the smaller one of the two memory limits that are
// not set, and not less than memoryFloor. "" for none.
func (l Limits) memory() string {
	least := uint64(1 << 62)
	for _, limit := range l {
		if limit.Resource == unix.RLIMIT_AS || limit.Resource == unix.RLIMIT_DATA {
			least = min(least, limit.Value)
		}
	}
	if least == 1<<62 {
		return ""
	}
	return strconv.FormatUint(max(least, memoryFloor), 10)
}

// deadly tells the limits that a Go program does not survive, whatever it does:
// of memory, and of processes, which include its threads. (It may want another
// thread at any time, and ends if the user has that many processes already.)
func deadly(resource int) bool {
	return resource == unix.RLIMIT_AS || resource == unix.RLIMIT_DATA || resource == unix.RLIMIT_NPROC
}

// Helper is the argv[0] of a softlimit that ForChild starts. The command that it
// becomes has been judged already, and its words may be a stranger's.
const Helper = "softlimit (child)"

// Exec becomes the program file, as execve(2) does, after setting what limits
// vars hand on: all of them for a foreign program, for a Go program those that
// it survives. chain is as for [ForChild].
func Exec(file string, argv []string, chain bool, vars proc.Vars) error {
	l, softlimit := Handed(vars)
	if softlimit == "" || sys.SetUID() {
		return syscall.Exec(file, argv, vars)
	}
	foreign, err := command(vars, "", file, argv, chain)
	if err != nil {
		return err
	}
	vars = vars.Clone()
	withdraw(&vars)
	if !foreign {
		later := slices.Clone(l)
		later = slices.DeleteFunc(later, func(limit Limit) bool { return !deadly(limit.Resource) })
		later.HandOn(&vars, softlimit)
		l = slices.DeleteFunc(l, func(limit Limit) bool { return deadly(limit.Resource) })
	}
	return become(file, argv, vars, l)
}

// ForChild returns what to execute, in the directory dir and with the
// environment vars, so that file runs with argv under the limits that vars hand
// on: file itself if there are none or it is a Go program, otherwise softlimit,
// which sets them and becomes file. file has been searched for already; one that
// cannot be executed comes back, to give its own error.
//
// chain says that argv is a command line that an administrator typed: its words
// may name further programs, which count too. Otherwise they may be anybody's (the
// sender of a message, for example), who must neither lift a limit nor make this
// process, which may be root's, look at files.
func ForChild(vars proc.Vars, dir, file string, argv []string, chain bool) (string, []string) {
	_, softlimit := Handed(vars)
	if softlimit == "" {
		return file, argv
	}
	if foreign, err := command(vars, dir, file, argv, chain); err != nil || !foreign {
		return file, argv
	}
	return softlimit, slices.Concat([]string{Helper, "--", file}, argv[1:])
}

// command reports whether limits can be set for a command: it is not Go, nor,
// if it is a chain, does it name one of our programs as an argument, which it then
// presumably executes in its turn (tcpserver … qmail-smtpd) under the same limits.
func command(vars proc.Vars, dir, file string, argv []string, chain bool) (foreign bool, err error) {
	in := func(file string) string {
		if dir == "" || strings.HasPrefix(file, "/") {
			return file
		}
		return dir + "/" + file
	}
	kind, err := KindOf(in(file))
	if err != nil || kind != Foreign {
		return false, err
	}
	if !chain {
		return true, nil
	}
	for _, word := range argv[1:] {
		if word == "" || word[0] == '-' {
			continue
		}
		own := false
		proc.SearchPath(vars, word, func(file string) error {
			kind, err := KindOf(in(file))
			own = err == nil && kind == Own
			return err
		})
		if own {
			return false, nil
		}
	}
	return true, nil
}
