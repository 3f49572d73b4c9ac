package multilog

import (
	"syscall"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// A script is a parsed one, with everything open that it names, and the line
// that it is being applied to.
type script struct {
	stamp   bool // t
	actions []action
	logs    []*log
	stderr  proc.File
	pause   func(what string, cause error)

	line
}

// An action is a word of the script that concerns every line.
type action struct {
	verb   byte   // + - e = or . for a log
	arg    string // the pattern, or the status file's name
	status fsys.File
	log    *log
}

// Bounds and defaults of the s and n words (multilog.8).
const (
	minSize, maxSize, defaultSize = 4096, 16777215, 99999
	minKeep, defaultKeep          = 2, 10
)

// open reads the words of the script and opens the status files, then, like
// the original, the logs. Words that mean nothing are passed over.
func open(env *proc.Env, pause func(string, error)) (*script, error) {
	s := &script{stderr: env.Files[2], pause: pause}
	words := env.Args[1:]
	root := fsys.OS{Root: env.Dir}
	s.stamp = len(words) > 0 && words[0] != "" && words[0][0] == 't'

	status := make([]fsys.File, len(words))
	for i, word := range words {
		if word != "" && word[0] == '=' {
			f, err := openStatus(root, word[1:])
			if err != nil {
				return nil, err
			}
			status[i] = f
		}
	}
	settings := log{size: defaultSize, keep: defaultKeep, pause: pause, start: startProcessor(env)}
	for i, word := range words {
		if word == "" {
			continue
		}
		switch verb, arg := word[0], word[1:]; verb {
		case 's':
			settings.size = min(max(digits(arg), minSize), maxSize)
		case 'n':
			settings.keep = max(digits(arg), minKeep)
		case '!':
			settings.processor = &arg
		case '.', '/':
			l := settings
			if err := openLog(&l, root, word, env.Dir); err != nil {
				return nil, err
			}
			s.logs = append(s.logs, &l)
			s.actions = append(s.actions, action{verb: '.', log: &l})
		case '+', '-', 'e', '=':
			s.actions = append(s.actions, action{verb: verb, arg: arg, status: status[i]})
		}
	}
	return s, nil
}

// digits reads the number that s begins with, 0 for none (scan_ulong.c). One
// that would not fit stays the largest that is of use.
func digits(s string) int {
	n := 0
	for i := 0; i < len(s) && '0' <= s[i] && s[i] <= '9'; i++ {
		n = min(n*10+int(s[i]-'0'), 1<<27)
	}
	return n
}

func openStatus(root fsys.OS, name string) (fsys.File, error) {
	f, err := root.Open(name, fsys.WRONLY|fsys.CREATE|syscall.O_NONBLOCK, 0600)
	if err != nil {
		return nil, strerr.Unable("create", name, err)
	}
	return f, nil
}

// openLog makes the directory if it must, locks it against other multilogs and
// puts it in order.
func openLog(l *log, root fsys.OS, name, base string) error {
	l.name = name
	l.path = name
	if base != "" && name[0] != '/' {
		l.path = base + "/" + name
	}
	root.Mkdir(name, 0700) // opening it will tell
	dir, err := root.Held(name)
	if err != nil {
		return strerr.Unable("open directory", name, err)
	}
	l.fs = dir
	// Opened by its name relative to the held directory and kept open for as
	// long as the process lives: closing it would give the lock away.
	lock, err := dir.Open("lock", appendFlags, 0600)
	if err == nil {
		err = lock.(fsys.Locker).Lock(false)
	}
	if err != nil {
		return strerr.Unable("lock directory", name, err)
	}
	return l.open()
}
