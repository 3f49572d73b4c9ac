// Package inside knows the programs that a server may run as functions on its
// connections, in place of the processes that their files would be.
//
//	file name → the file's own words about its build → function
//
// A function takes a file's place only if it is the same program: the file says
// that it was built together with the server, and has not changed since the
// server first saw it. Whatever else lies there is a program to be executed: a
// C program, a script, an update.
package inside

import (
	"sync"

	"golang.org/x/sys/unix"

	"paperpath/internal/gobinary"
	"paperpath/internal/proc"
)

// Table finds programs. It may be used by several goroutines. A nil Table has
// none.
type Table struct {
	programs map[string]*proc.Program // by main package
	build    string                   // the server's own
	mu       sync.Mutex
	seen     map[string]entry // by file name
}

type entry struct {
	file    identity
	program *proc.Program // nil for none
}

// identity tells one version of a file from the next: a write, a rename and a
// change of permissions all set the time of change.
type identity struct {
	dev, ino uint64
	changed  unix.Timespec
}

// NewTable returns a Table of programs, which are named by the import paths of
// their main packages. It is empty if the running program's own file cannot be
// read.
func NewTable(programs map[string]*proc.Program) *Table {
	t := &Table{seen: map[string]entry{}}
	if build, err := gobinary.Info("/proc/self/exe"); err == nil {
		t.programs, t.build = programs, build
	}
	return t
}

// Find returns the program that file is, nil if it is to be executed. The
// caller has made sure that it may be.
func (t *Table) Find(file string) *proc.Program {
	if t == nil {
		return nil
	}
	var st unix.Stat_t
	if unix.Stat(file, &st) != nil || st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 {
		return nil
	}
	now := identity{st.Dev, st.Ino, st.Ctim}
	t.mu.Lock()
	defer t.mu.Unlock()
	first, ok := t.seen[file]
	if !ok {
		first = entry{now, t.judge(file)}
		t.seen[file] = first
	}
	if now != first.file {
		return nil
	}
	return first.program
}

func (t *Table) judge(file string) *proc.Program {
	info, err := gobinary.Info(file)
	if err != nil || !gobinary.SameBuild(info, t.build) {
		return nil
	}
	return t.programs[gobinary.Main(info)]
}
