package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/tcpserver/filter"
)

// Tcpcat is tcpcat(1): what a server says, as it is.
var Tcpcat = proc.Program{Name: "tcpcat", Usage: "host port", Run: tcpcat}

// Who, Date, Finger and HTTP are who@(1), date@(1), finger@(1) and http@(1).
var (
	Who    = proc.Program{Name: "who@", Usage: "[ host ]", Run: who}
	Date   = proc.Program{Name: "date@", Usage: "[ host ]", Run: date}
	Finger = proc.Program{Name: "finger@", Usage: "[ host [ user ] ]", Run: finger}
	HTTP   = proc.Program{Name: "http@", Usage: "[ host [ page [ port ] ] ]", Run: http}
)

// argument returns an argument, or what stands for it if it is not given.
func argument(env *proc.Env, n int, otherwise string) string {
	if n < len(env.Args) {
		return env.Args[n]
	}
	return otherwise
}

// asTcpclient connects as "tcpclient -RHl0 -- host port" does, and complains in
// its name.
func asTcpclient(ctx context.Context, env *proc.Env, host, port string) (*os.File, error) {
	env.Name = Tcpclient.Name
	return newDialer(env).dial(ctx, host, port)
}

func tcpcat(ctx context.Context, env *proc.Env) error {
	conn, err := asTcpclient(ctx, env, argument(env, 1, "0"), argument(env, 2, "17"))
	if err != nil {
		return err
	}
	in := make([]byte, block)
	for {
		n, err := conn.Read(in)
		if err := write(env, in[:n]); err != nil {
			return err
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			env.Name = "tcpcat"
			return &proc.Failure{Status: 1, Err: strerr.Unable("read", "", err)} // as cat(1) ends
		}
	}
}

func who(ctx context.Context, env *proc.Env) error  { return ask(ctx, env, "11", "", visible) }
func date(ctx context.Context, env *proc.Env) error { return ask(ctx, env, "13", "", visible) }

func finger(ctx context.Context, env *proc.Env) error {
	return ask(ctx, env, "79", argument(env, 2, "")+"\n", visible)
}

func http(ctx context.Context, env *proc.Env) error {
	port := argument(env, 3, "80")
	request := "GET /" + argument(env, 2, "") + " HTTP/1.0\n" + "Host: " + argument(env, 1, "0") + ":" + port + "\n\n"
	var p page
	if err := ask(ctx, env, port, request, p.append); err != nil {
		return err
	}
	if p.open {
		return write(env, []byte{'\n'})
	}
	return nil
}

// ask sends a request and writes what show makes of the answer, without its
// CRs. As in the scripts that these programs were, no connection is no error: the
// status is that of the last command, which shows what there is.
func ask(ctx context.Context, env *proc.Env, port, request string, show func(out, in []byte) []byte) error {
	conn, err := asTcpclient(ctx, env, argument(env, 1, "0"), port)
	if err != nil {
		var silent proc.Exit
		if !errors.As(err, &silent) {
			env.Say("fatal: " + err.Error())
		}
		return nil
	}
	// Nobody may read it, and there be an answer all the same.
	conn.Write(filter.AppendCRLF(nil, []byte(request)))
	var d filter.DelCR
	var out []byte
	err = copyThrough(output{env}, conn, func(shown, in []byte) []byte {
		out = d.Append(out[:0], in)
		return show(shown, out)
	})
	if err != nil {
		return err
	}
	return write(env, show(nil, d.AppendEnd(nil)))
}

// output is descriptor 1, with errors that end a program.
type output struct{ env *proc.Env }

func (o output) Write(b []byte) (int, error) { return len(b), write(o.env, b) }

func write(env *proc.Env, b []byte) error {
	_, err := env.Files[1].Write(b)
	if errors.Is(err, syscall.EPIPE) {
		return proc.BrokenPipe
	}
	if err != nil {
		return &proc.Failure{Status: 1, Err: strerr.Unable("write", "output", err)}
	}
	return nil
}

// visible appends in as cat -v shows it: what could drive a terminal as ^X or
// M-x, but tabs and line feeds as they are.
func visible(out, in []byte) []byte {
	for _, c := range in {
		if c == '\t' || c == '\n' {
			out = append(out, c)
			continue
		}
		if c >= 128 {
			out = append(out, "M-"...)
			c -= 128
		}
		switch {
		case c < 32:
			out = append(out, '^', c+64)
		case c == 127:
			out = append(out, "^?"...)
		default:
			out = append(out, c)
		}
	}
	return out
}

// page leaves of an answer what follows its header, which an empty line ends.
// The script left out every empty line, in the page too.
type page struct {
	body bool
	open bool // a line of the body has begun
	rest bool // a line has begun
}

func (p *page) append(out, in []byte) []byte {
	for len(in) > 0 {
		line, after, whole := bytes.Cut(in, []byte{'\n'})
		empty := !p.rest && len(line) == 0
		if p.body && !empty {
			out = append(out, line...)
			if whole {
				out = append(out, '\n')
			}
		}
		p.body = p.body || empty && whole
		p.rest = !whole
		p.open = p.body && p.rest
		in = after
	}
	return out
}
