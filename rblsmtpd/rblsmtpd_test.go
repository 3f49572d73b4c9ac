package rblsmtpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paperpath/internal/dnsq"
	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/internal/sys"
)

// lists is a resolver: "TXT name" and "A name" → answers. "fail" fails, "slow"
// waits for the caller to give up, "50ms …" takes that long.
type lists struct {
	zone map[string]string
	mu   sync.Mutex
	log  []string
}

func (l *lists) look(ctx context.Context, key string) ([]string, error) {
	l.mu.Lock()
	l.log = append(l.log, key)
	text, ok := l.zone[key]
	l.mu.Unlock()
	first, rest, _ := strings.Cut(text, " ")
	switch d, err := time.ParseDuration(first); {
	case !ok:
		return nil, fmt.Errorf("%s: %w", key, dnsq.ErrNone)
	case text == "fail":
		return nil, dnsq.ErrTemporary
	case text == "slow":
		<-ctx.Done()
		return nil, fmt.Errorf("%w: %w", dnsq.ErrTemporary, ctx.Err())
	case err == nil:
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		text = rest
	}
	return strings.Split(text, "|"), nil
}

func (l *lists) TXT(ctx context.Context, name string) ([]string, error) {
	return l.look(ctx, "TXT "+name)
}

func (l *lists) A(ctx context.Context, name string) (addrs []netip.Addr, err error) {
	texts, err := l.look(ctx, "A "+name)
	for _, s := range texts {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	return addrs, err
}

func (l *lists) program() *proc.Program {
	p := Rblsmtpd
	p.Run = func(ctx context.Context, env *proc.Env) error { return run(ctx, env, l) }
	return &p
}

var zone = map[string]string{
	"TXT 2.0.0.127.txt":     "Listed",
	"TXT 2.0.0.127.other":   "Other",
	"TXT 2.0.0.127.parts":   "one| two\t|\xff",
	"TXT 2.0.0.127.long":    strings.Repeat("x", 300),
	"TXT 2.0.0.127.nothing": "",
	"A 2.0.0.127.good":      "192.0.2.1",
	"A 2.0.0.127.codes":     "127.0.0.4|127.0.0.10",
	"A 2.0.0.127.both":      "127.0.0.2",
	"TXT 2.0.0.127.both":    "See there",
	"A 2.0.0.127.wild":      "192.0.2.1",
	"A 2.0.0.127.over":      "127.255.255.254",
	"TXT 2.0.0.127.over":    "asked too often",
	"A 2.0.0.127.mixed":     "127.255.255.254|127.0.0.2",
	"TXT 2.0.0.127.fail":    "fail",
	"A 2.0.0.127.fail":      "fail",
	"TXT 2.0.0.127.slow":    "slow",
	"A 2.0.0.127.half":      "127.0.0.2",
	"TXT 2.0.0.127.half":    "fail",
	"A 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.six": "127.0.0.2",
}

// Every case is a command line before "smtpd", for a client 127.0.0.2, and the
// reply it gets; "" if it is served.
var cases = []struct{ args, reply string }{
	{"", ""},
	{"-r none", ""},
	{"-r txt", "451 Listed"},
	{"-rtxt", "451 Listed"},
	{"-r txt.", "451 Listed"},
	{"-r ..txt", "451 Listed"},
	{"-b -r txt", "553 Listed"},
	{"-r txt -b", "451 Listed"},
	{"-bB -r txt", "451 Listed"},
	{"-r none -r txt -r other", "451 Listed"},
	{"-b -r nothing -B -r other", "451 Other"},
	{"-r parts", "451 one two??"},
	{"-r long", "451 " + strings.Repeat("x", 200)},
	{"-a good -r txt", ""},
	{"-r txt -a good", "451 Listed"},
	{"-a none -r txt", "451 Listed"},
	{"-a 1 -r txt", ""}, // an address: 2.0.0.127.1
	{"-a [1.2] -r txt", ""},

	// Lists that cannot be asked.
	{"-r fail", ""},
	{"-C -r fail", ""},
	{"-c -r fail", "451 temporary RBL lookup error"},
	{"-cb -r fail", "451 temporary RBL lookup error"},
	{"-r fail -c", ""},
	{"-b -r fail -r txt", "451 Listed"},
	{"-b -r txt -r fail", "553 Listed"},
	{"-a fail -r txt", ""},
	{"-c -a fail -b -r txt", "451 Listed"},
	{"-c -a fail", ""},
	{"-c -r " + strings.Repeat("x", 64), "451 temporary RBL lookup error"},

	// A records, return codes, messages.
	{"-r codes", ""},
	{"-r codes=", "451 127.0.0.2 is listed by codes"},
	{"-r codes:no", "451 no"},
	{"-r codes:", "451 127.0.0.2 is listed by codes"},
	{"-r codes=127.0.0.2", ""},
	{"-r codes=127.0.0.2,127.0.0.10", "451 127.0.0.2 is listed by codes"},
	{"-r codes=127.0.0.5-11:from|%IP%,|%IP%|%", "451 from|127.0.0.2,|127.0.0.2|%"},
	{"-r codes=127.0.0.11-20", ""},
	{"-r codes=127.0.0.0/28", "451 127.0.0.2 is listed by codes"},
	{"-r codes=127.0.0.12/30", ""},
	{"-r both=", "451 See there"},
	{"-b -r both=:own=text:here", "553 own=text:here"},
	{"-r half=", "451 127.0.0.2 is listed by half"},
	{"-r wild=", ""},
	{"-r wild=127.0.0.2", ""},
	{"-c -r over=", ""},
	{"-r over", "451 asked too often"}, // as in C: text is text
	{"-r mixed=", "451 127.0.0.2 is listed by mixed"},
	{"-r fail=", ""},
	{"-c -r fail=", "451 temporary RBL lookup error"},
	{"-a codes= -r txt", ""},
	{"-a codes=127.0.0.2 -r txt", "451 Listed"},
	{"-a over= -r txt", "451 Listed"},
	{"-a wild= -r txt", "451 Listed"},

	// Weights.
	{"-s 2 -r txt", ""},
	{"-s 2 -r txt -r other", "451 Other"},
	{"-s 2 -b -r txt -B -r other", "451 Other"},
	{"-s 3 -w 2 -r txt -w 1 -r none -r other", "451 Other"},
	{"-s 3 -w 2 -r txt -w 1 -r none", ""},
	{"-w -1 -r txt -w 1 -r other", ""},
	{"-w -1 -r txt -w 2 -r other", "451 Other"},
	{"-w 0 -r txt -r other", ""},
	{"-s 2 -r codes=127.0.0.4 -r codes=127.0.0.10:ten", "451 ten"},
	{"-s 2 -r txt -a good -r other", ""},
	{"-s 5 -c -r fail", "451 temporary RBL lookup error"},

	// Time.
	{"-T 1 -r slow", ""},
	{"-T 1 -cr slow", "451 temporary RBL lookup error"},
	{"-T 1 -b -r slow -r txt", "451 Listed"},
	{"-r txt -r slow", "451 Listed"},
	{"-a good -r slow", ""},
}

var pid = regexp.MustCompile(`pid [0-9]+: `)

func TestDecisions(t *testing.T) {
	for _, c := range cases {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			args := append(strings.Fields(c.args), "smtpd", "-x")
			r := proctest.Run((&lists{zone: zone}).program(), proctest.Case{
				Args: append([]string{"-t0"}, args...), Vars: proc.Vars{"TCPREMOTEIP=127.0.0.2"},
			})
			if c.reply == "" {
				if !slices.Equal(r.Next, []string{"smtpd", "-x"}) || r.Out != "" {
					t.Errorf("%+v", r)
				}
				return
			}
			lines := strings.Split(pid.ReplaceAllString(r.Err, ""), "\n")
			if r.Status != 0 || r.Next != nil || r.Out != c.reply+"\r\n" || lines[len(lines)-2] != "rblsmtpd: 127.0.0.2 "+c.reply {
				t.Errorf("%+v, want %q", r, c.reply)
			}
		})
	}
}

func TestVariable(t *testing.T) {
	for value, reply := range map[string]string{
		"": "", "text": "451 text", "-text": "553 text", "-": "553 ", "--": "553 -", " ": "451  ",
		"é\r\n": "451 ????", strings.Repeat("y", 300): "451 " + strings.Repeat("y", 200),
	} {
		l := &lists{}
		r := proctest.Run(l.program(), proctest.Case{
			Args: []string{"-t0", "-b", "-a", "good", "-r", "txt", "smtpd"}, Vars: proc.Vars{"TCPREMOTEIP=1.2.3.4", "RBLSMTPD=" + value},
		})
		if len(l.log) > 0 {
			t.Errorf("%q: asked %q", value, l.log)
		}
		if reply == "" && (r.Next == nil || r.Err != "") || reply != "" && (r.Out != reply+"\r\n" || r.Next != nil) {
			t.Errorf("%q: %+v", value, r)
		}
	}
}

func TestNamesAsked(t *testing.T) {
	for ip, want := range map[string]string{
		"1.2.3.4":         "4.3.2.1.l",
		"":                "l",
		"::ffff:1.2.3.4":  "4.3.2.1.l",
		"2001:db8::1":     "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.l",
		"2001:db8::1%eth": "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.l",
		"unknown":         "unknown.l",
		".a.b":            "b.a.l",
	} {
		l := &lists{}
		proctest.Run(l.program(), proctest.Case{Args: []string{"-r", "l", "smtpd"}, Vars: proc.Vars{"TCPREMOTEIP=" + ip}})
		if !slices.Equal(l.log, []string{"TXT " + want}) {
			t.Errorf("%q: asked %q", ip, l.log)
		}
	}
}

// What several sources want to know is asked once.
func TestEachQuestionOnce(t *testing.T) {
	l := &lists{zone: zone}
	proctest.Run(l.program(), proctest.Case{
		Args: strings.Fields("-r l -s9 -r l= -w2 -r l=127.0.0.2 -r l=127.0.0.3 -a l smtpd"), Vars: proc.Vars{"TCPREMOTEIP=1.2.3.4"},
	})
	slices.Sort(l.log)
	if want := []string{"A 4.3.2.1.l", "TXT 4.3.2.1.l"}; !slices.Equal(l.log, want) {
		t.Errorf("%q", l.log)
	}
}

func TestCommandLine(t *testing.T) {
	const usage = "rblsmtpd: usage: rblsmtpd [ -b ] [ -R ] [ -t timeout ] [ -r base ] [ -a base ] smtpd [ arg ... ]\n"
	for args, want := range map[string]string{
		"":                       usage,
		"-b":                     usage,
		"--":                     usage,
		"-R x":                   "rblsmtpd: illegal option -- R\n" + usage,
		"-r":                     "rblsmtpd: option requires an argument -- r\n" + usage,
		"-w x smtpd":             usage,
		"-w 1x smtpd":            usage,
		"-s 0 smtpd":             usage,
		"-s -1 smtpd":            usage,
		"-r z=127.0.0.256 smtpd": "rblsmtpd: fatal: return code 127.0.0.256 of z is not 127.a.b.c, 127.a.b.c-d or 127.a.b.c/n\n",
		"-r z=1.0.0.127 smtpd":   "rblsmtpd: fatal: return code 1.0.0.127 of z is not 127.a.b.c, 127.a.b.c-d or 127.a.b.c/n\n",
		"-r z=127.0.0.9-2 smtpd": "rblsmtpd: fatal: return code 127.0.0.9-2 of z is not 127.a.b.c, 127.a.b.c-d or 127.a.b.c/n\n",
		"-r z=127.0.0.1, smtpd":  "rblsmtpd: fatal: return code  of z is not 127.a.b.c, 127.a.b.c-d or 127.a.b.c/n\n",
		"-r z=0.0.0.0/0 smtpd":   "rblsmtpd: fatal: return code 0.0.0.0/0 of z is not 127.a.b.c, 127.a.b.c-d or 127.a.b.c/n\n",
		"-a z:text smtpd":        "rblsmtpd: fatal: -a z:text: whom this list lets in sees no message\n",
	} {
		r := proctest.Run((&lists{}).program(), proctest.Case{Args: strings.Fields(args)})
		if r.Status != 100 || r.Err != want || r.Next != nil {
			t.Errorf("%s: %+v", args, r)
		}
	}
	r := proctest.Run((&lists{}).program(), proctest.Case{Args: []string{"nosuch"}, Next: errors.New("unable to run nosuch")})
	if r.Status != 111 || r.Err != "rblsmtpd: warning: "+noList+"\nrblsmtpd: fatal: unable to run nosuch\n" {
		t.Errorf("%+v", r)
	}
}

// -v gives reasons, and answers that are none are warned of.
func TestWhy(t *testing.T) {
	for args, want := range map[string]string{
		"-v":                          "rblsmtpd: 127.0.0.2 accepted: score 0/1: no list asked: there is none but those named with -r\n",
		"-v -r none -r fail -r codes": "rblsmtpd: 127.0.0.2 accepted: score 0/1: none no, fail failed, codes no\n",
		"-v -a good":                  "rblsmtpd: 127.0.0.2 accepted: score 0/1: good 192.0.2.1\n",
		"-vs3 -w2 -r codes=127.0.0.4-11 -w-1 -r other -w2 -r both=: -r txt": "rblsmtpd: 127.0.0.2 refused: score 3/3: codes 127.0.0.4 +2, other text -1, both 127.0.0.2 +2\n" +
			"rblsmtpd: 127.0.0.2 451 See there\n",
		"-r over= -r wild=127.0.0.2": "rblsmtpd: warning: over answers 127.255.255.254, which is no listing\n" +
			"rblsmtpd: warning: wild answers 192.0.2.1, which is no listing\n",
	} {
		r := proctest.Run((&lists{zone: zone}).program(), proctest.Case{Args: append(strings.Fields("-t0 "+args), "smtpd"), Vars: proc.Vars{"TCPREMOTEIP=127.0.0.2"}})
		if got := pid.ReplaceAllString(r.Err, ""); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", args, got, want)
		}
	}
}

// All lists are asked before the first has answered, and those behind the one
// that decides are let go of.
func TestAllAtOnce(t *testing.T) {
	var asked atomic.Int32
	all, over := make(chan struct{}), make(chan struct{})
	p := Rblsmtpd
	p.Run = func(ctx context.Context, env *proc.Env) error {
		return run(ctx, env, asking(func(ctx context.Context, name string) ([]string, error) {
			if asked.Add(1) == 8 {
				close(all)
			}
			select {
			case <-all:
			case <-time.After(20 * time.Second):
				t.Error("the others are not asked before this one has answered")
			}
			if strings.HasSuffix(name, ".z7") {
				<-ctx.Done() // as it will be
				close(over)
			}
			if strings.HasSuffix(name, ".z6") {
				return []string{"six"}, nil
			}
			return nil, dnsq.ErrNone
		}))
	}
	args := []string{"-t0"}
	for i := range 8 {
		args = append(args, "-rz"+string(rune('0'+i)))
	}
	if r := proctest.Run(&p, proctest.Case{Args: append(args, "smtpd"), Vars: proc.Vars{"TCPREMOTEIP=127.0.0.2"}}); r.Out != "451 six\r\n" {
		t.Errorf("%+v", r)
	}
	<-over
}

type asking func(context.Context, string) ([]string, error)

func (f asking) TXT(ctx context.Context, name string) ([]string, error)   { return f(ctx, name) }
func (f asking) A(ctx context.Context, name string) ([]netip.Addr, error) { return nil, dnsq.ErrNone }

func TestDialogue(t *testing.T) {
	const ok, no = "250 rblsmtpd.local\r\n", "451 no\r\n"
	for in, want := range map[string]string{
		"":                              "",
		"quit":                          "", // no line
		"quit\r\nhelo\r\n":              "221 rblsmtpd.local\r\n",
		"HeLo a\nEHLO\r\nmail\nrset \n": ok + ok + ok + ok,
		"noop\r\r\n noop\nnoopx\n\n":    no + no + no + no,
		"noop  \r\nRCPT\nDATA\nhelp\n":  ok + no + no + no,
		"noop\x00\nnoop\tx\nno\xffop\n": no + no + no,
		strings.Repeat("x", 100000) + "\nQUIT " + strings.Repeat("x", 100000) + "\r\nx": no + "221 rblsmtpd.local\r\n",
		"noopp\r\nquit\x00\r\n12345678\r\n1234567\r\nnoop   \r x\r\n":                   no + no + no + no + ok,
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			out := &proctest.Buffer{}
			if err := sayNo(&pieces{proctest.Input(in), size}, out, "", "451 no", time.Minute); err != nil || out.String() != "220 rblsmtpd.local\r\n"+want {
				t.Errorf("%.40q: %q, %v", in, out.String(), err)
			}
		}
	}
}

type pieces struct {
	proc.File
	size int
}

func (p *pieces) Read(b []byte) (int, error) { return p.File.Read(b[:min(len(b), p.size)]) }

// client is one end of a connection whose other end the program has.
func client(t *testing.T) (conn net.Conn, file proc.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.(*net.TCPConn).File() // blocking
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	t.Cleanup(func() { f.Close() })
	return conn, sys.NewFD(int(f.Fd()))
}

func TestTimeout(t *testing.T) {
	conn, file := client(t)
	go io.WriteString(conn, "noop\r\nnoo")
	start := time.Now()
	sayNo(file, file, "", "451 no", time.Second)
	if took := time.Since(start); took < time.Second {
		t.Errorf("ended after %v", took)
	}
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 100)
	if n, _ := io.ReadAtLeast(conn, b, 40); string(b[:n]) != "220 rblsmtpd.local\r\n250 rblsmtpd.local\r\n" {
		t.Errorf("%q", b[:n])
	}
}

// A client that sends without end and reads nothing is rid of when the time is
// over.
func TestFlood(t *testing.T) {
	conn, file := client(t)
	go func() {
		garbage := []byte(strings.Repeat("\n", 1<<16))
		for {
			if _, err := conn.Write(garbage); err != nil {
				return
			}
		}
	}()
	ended := make(chan struct{})
	go func() {
		sayNo(file, file, "", "451 "+strings.Repeat("x", 200), time.Second)
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("still at it")
	}
}

// The log calls the program what the server calls the connection, and a client
// that is gone ends it as SIGPIPE would.
func TestGone(t *testing.T) {
	conn, file := client(t)
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
	errs := &proctest.Buffer{}
	env := &proc.Env{Args: []string{"rblsmtpd", "smtpd"}, Vars: proc.Vars{"RBLSMTPD=no", "TCPREMOTEIP=192.0.2.1"}, PID: 4194305}
	env.Files[0], env.Files[1], env.Files[2] = file, file, errs
	file.Read(make([]byte, 1)) // until the connection is known to be reset
	status := proc.Run(context.Background(), &Rblsmtpd, env)
	if errs.String() != "rblsmtpd: 192.0.2.1 pid 4194305: 451 no\n" || status != int(proc.BrokenPipe) {
		t.Errorf("status %d, %q", status, errs.String())
	}
}

func TestSilence(t *testing.T) {
	serve := func(file proc.File, args ...string) chan proctest.Result {
		done := make(chan proctest.Result, 1)
		go func() {
			done <- proctest.Run((&lists{zone: zone}).program(), proctest.Case{
				Args: append(args, "smtpd"), Vars: proc.Vars{"TCPREMOTEIP=127.0.0.2"}, Files: map[int]proc.File{0: file, 1: file},
			})
		}()
		return done
	}
	t.Run("kept", func(t *testing.T) {
		_, file := client(t)
		start := time.Now()
		if r := <-serve(file, "-vg1"); r.Next == nil || time.Since(start) < time.Second {
			t.Errorf("%+v after %v", r, time.Since(start))
		}
	})
	t.Run("not kept", func(t *testing.T) {
		conn, file := client(t)
		io.WriteString(conn, "EHLO early\r\nRCPT\r\nQUIT\r\n")
		r := <-serve(file, "-bvg30")
		b := make([]byte, 200)
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, _ := io.ReadAtLeast(conn, b, 92)
		const want = "220 rblsmtpd.local\r\n250 rblsmtpd.local\r\n553 you spoke before the greeting\r\n221 rblsmtpd.local\r\n"
		if string(b[:n]) != want || r.Next != nil {
			t.Errorf("%q, %+v", b[:n], r)
		}
		if got := pid.ReplaceAllString(r.Err, ""); got != "rblsmtpd: 127.0.0.2 refused: score 0/1: no list asked: there is none but those named with -r, early\n"+
			"rblsmtpd: 127.0.0.2 553 you spoke before the greeting\n" {
			t.Errorf("%q", got)
		}
	})
	t.Run("spoken while the lists were asked", func(t *testing.T) {
		conn, file := client(t)
		io.WriteString(conn, "EHLO early\r\n")
		conn.(*net.TCPConn).CloseWrite()
		if r := <-serve(file, "-g1", "-T2", "-r", "slow"); r.Next != nil || !strings.HasSuffix(r.Err, ": 451 you spoke before the greeting\n") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("gone", func(t *testing.T) {
		conn, file := client(t)
		conn.Close()
		if r := <-serve(file, "-vg30"); r.Status != 0 || r.Next != nil || !strings.HasSuffix(r.Err, ": gone before the greeting\n") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("not asked of friends", func(t *testing.T) {
		_, file := client(t)
		if r := <-serve(file, "-g3600", "-a", "good"); r.Next == nil {
			t.Errorf("%+v", r)
		}
	})
	// What comes after the time is for the next program, which has no deadline.
	t.Run("later words", func(t *testing.T) {
		conn, file := client(t)
		<-serve(file, "-g1")
		io.WriteString(conn, "EHLO")
		b := make([]byte, 10)
		if n, err := file.Read(b); string(b[:n]) != "EHLO" {
			t.Errorf("%q, %v", b[:n], err)
		}
	})
}

// A deadline that is over already must not hide what the client said: the files
// of a server's poller report it first.
func TestSilenceInside(t *testing.T) {
	r, w, err := os.Pipe() // with the poller
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if state, _, err := listen(r, time.Now().Add(-time.Hour)); state != kept || err != nil {
		t.Errorf("nothing said: %v, %v", state, err)
	}
	w.WriteString("HELO")
	if state, said, err := listen(r, time.Now().Add(-time.Hour)); state != early || said != "HELO" || err != nil {
		t.Errorf("%v, %q, %v", state, said, err)
	}
}

func FuzzSource(f *testing.F) {
	for _, s := range []string{"zen", "zen=", "zen:text", "z=127.0.0.2,127.0.0.4-11,127.0.0.0/24:x", "=127.0.0.1/33", "z=127.0.0.1-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		var s source
		if s.parse(arg) != nil {
			return
		}
		for _, a := range []string{"0.0.0.0", "126.255.255.255", "127.255.255.0", "127.255.255.255", "128.0.0.0", "::1"} {
			if s.counts(netip.MustParseAddr(a)) {
				t.Errorf("%q: %s counts", arg, a)
			}
		}
		for _, c := range s.codes {
			if c.last.Less(c.first) {
				t.Errorf("%q: %v", arg, c)
			}
		}
	})
}

func FuzzDialogue(f *testing.F) {
	f.Add("helo x\r\nquit\r\n", 3)
	f.Fuzz(func(t *testing.T, in string, size int) {
		out := &proctest.Buffer{}
		if err := sayNo(&pieces{proctest.Input(in), max(1, size)}, out, "", "553 no", time.Minute); err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(out.String(), "\r\n")
		if !strings.HasSuffix(out.String(), "\r\n") || lines > 1+strings.Count(in, "\n") || lines != strings.Count(out.String(), "\n") {
			t.Errorf("%q: %q", in, out.String())
		}
	})
}
