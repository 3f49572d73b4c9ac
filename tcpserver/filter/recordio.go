package filter

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"sync"

	"paperpath/internal/opt"
	"paperpath/internal/proc"
)

// Recordio is recordio(1): it runs a program and records on descriptor 2 what
// the program reads and writes.
//
//	4711 > 220 mx.example ESMTP\r \n     the program wrote a line
//	4711 < HE+\n                         the client sent a part of one
//	4711 < LO here\r \n                  and the rest
//	4711 < [EOF]\n
//
// The number is the program's. With -b message bodies are left out, with -c
// credentials.
var Recordio = proc.Program{Name: "recordio", Usage: recordioUsage, Run: recordio}

// RecordioInside is Recordio within a server.
var RecordioInside = proc.Program{Name: "recordio", Usage: recordioUsage, Run: recordioInside}

// The line that the C program prints; it leaves the options out.
const recordioUsage = "program [ arg ... ]"

// recordioRelay is argv[0] of the relay's process. Its arguments are the number
// and the options.
const recordioRelay = "recordio-relay"

// recordMax is how many bytes are recorded as one piece. With a number before
// each and two bytes behind it, the lines of a piece together are below
// PIPE_BUF: what several processes write into one pipe does not mix.
const recordMax = 256

func recordio(ctx context.Context, env *proc.Env) error {
	if env.Args[0] == recordioRelay && len(env.Args) == 3 {
		return serve(newRecorder(env.Files[2], env.Args[1], env.Args[2]))
	}
	hide, argv, err := parseRecordio(env)
	if err != nil {
		return err
	}
	return precede(ctx, env, []string{recordioRelay, number(env), hide}, argv)
}

func recordioInside(ctx context.Context, env *proc.Env) error {
	hide, argv, err := parseRecordio(env)
	if err != nil {
		return err
	}
	return between(ctx, env, newRecorder(env.Files[2], number(env), hide), argv)
}

// parseRecordio returns the letters of what is to be left out, and the program.
func parseRecordio(env *proc.Env) (hide string, argv []string, err error) {
	options := opt.Parse(env.Args[1:], "bc")
	for options.Next() {
		if options.Letter == '?' {
			env.Say(options.Problem())
			return "", nil, proc.ErrUsage
		}
		hide += string(options.Letter)
	}
	if argv = options.Rest(); len(argv) == 0 {
		return "", nil, proc.ErrUsage
	}
	return hide, argv, nil
}

// number is the program's, as the log knows it.
func number(env *proc.Env) string {
	if env.PID == 0 {
		return strconv.Itoa(os.Getpid())
	}
	return strconv.Itoa(env.PID)
}

// recorder is the tap that records.
type recorder struct {
	log  proc.File
	pid  string
	mu   sync.Mutex
	line []byte

	session *session // nil: nothing is left out
}

func newRecorder(log proc.File, pid, hide string) *recorder {
	r := &recorder{log: log, pid: pid}
	if hide != "" {
		r.session = newSession(bytes.ContainsAny([]byte(hide), "b"), bytes.ContainsAny([]byte(hide), "c"), r.record)
	}
	return r
}

const (
	fromClient  = " < "
	fromProgram = " > "
)

func (r *recorder) fromClient(out, in []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != nil {
		r.session.client(in)
	} else {
		r.record(fromClient, in)
	}
	return append(out, in...)
}

func (r *recorder) fromProgram(out, in []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != nil {
		r.session.program(in)
	} else {
		r.record(fromProgram, in)
	}
	return append(out, in...)
}

func (r *recorder) clientEnd() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != nil {
		r.session.clientEnd()
	}
	r.end(fromClient)
}

func (r *recorder) programEnd() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != nil {
		r.session.programEnd()
	}
	r.end(fromProgram)
}

// record writes what passed in one direction.
func (r *recorder) record(direction string, p []byte) {
	for len(p) > 0 {
		piece := p[:min(len(p), recordMax)]
		p = p[len(piece):]
		r.line = appendRecord(r.line[:0], r.pid+direction, piece)
		r.log.Write(r.line) // an error cannot be told to anybody
	}
}

func (r *recorder) end(direction string) {
	r.log.Write([]byte(r.pid + direction + "[EOF]\n"))
}

func appendRecord(out []byte, prefix string, piece []byte) []byte {
	for len(piece) > 0 {
		line, rest, whole := bytes.Cut(piece, []byte{'\n'})
		out = append(out, prefix...)
		out = append(out, line...)
		if whole {
			out = append(out, " \n"...)
		} else {
			out = append(out, "+\n"...)
		}
		piece = rest
	}
	return out
}
