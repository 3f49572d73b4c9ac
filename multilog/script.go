package multilog

import (
	"errors"

	"paperpath/internal/decimal"
	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// A script is a parsed script with the files that it names, opened, and the state
// of the stream that it is applied to.
type script struct {
	stamp   bool // t
	choosy  bool // some action looks at lines
	actions []action
	outs    []*out
	logs    []*log
	env     *proc.Env

	lines
}

// An action is a word of the script that is applied to every line.
type action struct {
	verb    byte // + - e = or toOut
	pattern pattern
	status  *status
	out     *out
}

const toOut = '.'

// Bounds and defaults of the s and n words (multilog.8).
const (
	minSize, maxSize, defaultSize = 4096, 16777215, 99999
	minKeep, defaultKeep          = 2, 10
)

// parse reads the words of the script and opens the status files. Unknown words
// are ignored.
func parse(env *proc.Env, pause func(string, error)) (*script, error) {
	s := &script{env: env}
	words := env.Args[1:]
	root := fsys.OS{Root: env.Dir}
	s.stamp = len(words) > 0 && words[0] != "" && words[0][0] == 't'

	status := make([]*status, len(words))
	for i, word := range words {
		if word != "" && word[0] == '=' {
			f, err := openStatus(root, word[1:])
			if err != nil {
				return nil, err
			}
			f.pause = pause
			status[i] = f
		}
	}
	add := func(to interface{ write([]byte) }) {
		o := &out{to: to, selected: true}
		s.outs = append(s.outs, o)
		s.actions = append(s.actions, action{verb: toOut, out: o})
	}
	settings := settings{size: defaultSize, keep: defaultKeep}
	for i, word := range words {
		if word == "" {
			continue
		}
		verb, arg := word[0], word[1:]
		number, _ := decimal.Int(arg)
		switch verb {
		case 's':
			settings.size = min(max(number, minSize), maxSize)
		case 'n':
			settings.keep = max(number, minKeep)
		case 'S':
			settings.total = number
		case '!':
			settings.processor = &arg
		case '.', '/':
			l := &log{name: word, settings: settings, start: startProcessor(env), pause: pause, out: len(s.outs)}
			l.backlog = defaultBacklog
			s.logs = append(s.logs, l)
			add(l)
		case '1':
			if arg == "" {
				add(&stdout{env: env})
			}
		case '+', '-':
			s.choosy = true
			s.actions = append(s.actions, action{verb: verb, pattern: compile(arg)})
		case 'e', '=':
			s.choosy = true
			s.actions = append(s.actions, action{verb: verb, status: status[i]})
		}
	}
	return s, nil
}

// stdout is where the word 1 writes lines. After an error nothing more is written
// there, and the logs go on.
type stdout struct {
	env    *proc.Env
	broken bool
}

func (o *stdout) write(b []byte) {
	if o.broken {
		return
	}
	if _, err := o.env.Files[1].Write(b); err != nil {
		o.broken = true
		o.env.Warn(errors.New("unable to write to standard output, going on without: " + strerr.Text(err)))
	}
}
