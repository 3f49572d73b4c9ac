package tcpserver

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"paperpath/internal/proc/host"
	"paperpath/internal/proc/proctest"
	"paperpath/tcprules"
	"paperpath/test/bin"
)

// asServer makes this test binary be tcpserver; processes limits its user's.
const (
	asServer  = "TEST_AS_TCPSERVER"
	processes = "TEST_PROCESSES"
)

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" || os.Args[0] == workerName || os.Args[0] == keeperName {
		os.Unsetenv(asServer)
		if n, err := strconv.ParseUint(os.Getenv(processes), 10, 64); err == nil {
			unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: n, Max: n})
		}
		host.Main(&Tcpserver)
	}
	bin.Main(m)
}

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

type running struct {
	cmd  *exec.Cmd
	port string
	dir  string

	mu  sync.Mutex
	log bytes.Buffer
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

// said returns the log so far, with P for every process number and N for the
// clients' ports.
func (r *running) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := processNumber.ReplaceAllString(r.log.String(), "$1 P")
	if r.port != "" {
		s = strings.ReplaceAll(s, ":"+r.port+" ", ":PORT ")
	}
	return clientPort.ReplaceAllString(s, "$1:N")
}

var (
	processNumber = regexp.MustCompile(`(pid|ok|deny|end) \d+`)
	clientPort    = regexp.MustCompile(`(?m)^(tcpserver: (?:ok|deny) P .*):\d+$`)
)

// waitLog waits until the log contains text.
func (r *running) waitLog(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(r.said(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log lacks %q:\n%s", text, r.said())
		}
	}
}

// command prepares a server in an empty directory with rules.cdb, if there are
// rules. through is what runs it: a shell with limits or traps of its own.
func command(t *testing.T, rules string, through []string, args ...string) *running {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := slices.Concat(through, []string{self}, args)
	r := &running{cmd: exec.Command(argv[0], argv[1:]...), dir: t.TempDir()}
	r.cmd.Dir = r.dir
	// The race detector would sleep for a second at the end of each server.
	r.cmd.Env = []string{asServer + "=1", "GORACE=atexit_sleep_ms=0", "PATH=/nonexistent::/usr/bin:/bin", "TCPREMOTEINFO=of another server"}
	r.cmd.Stderr = r
	if rules != "" {
		c := proctest.Run(&tcprules.Tcprules, proctest.Case{Args: []string{"rules.cdb", "rules.tmp"}, Dir: r.dir, In: rules})
		if c.Status != 0 {
			t.Fatalf("%+v", c)
		}
	}
	return r
}

// start runs a server on a free port, until the end of the test.
func (r *running) start(t *testing.T) *running {
	t.Helper()
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.cmd.Process.Kill()
		r.cmd.Wait()
	})
	port, err := io.ReadAll(out) // to its end: the server lets go of it
	if err != nil || len(port) == 0 {
		t.Fatalf("no port: %v\n%s", err, r.said())
	}
	r.port = strings.TrimSuffix(string(port), "\n")
	return r
}

func serve(t *testing.T, rules string, args ...string) *running {
	t.Helper()
	return command(t, rules, nil, append([]string{"-1v"}, args...)...).start(t)
}

// dial connects from the address from to the address to.
func (r *running) dial(t *testing.T, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", net.JoinHostPort(to, r.port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// ask connects and returns all that comes.
func (r *running) ask(t *testing.T, from string) string {
	t.Helper()
	b, err := io.ReadAll(r.dial(t, from, "127.0.0.1"))
	if err != nil && !errors.Is(err, syscall.ECONNRESET) { // a banner to nobody
		t.Fatal(err)
	}
	return string(b)
}

// environment returns the sorted TCP* and given variables of "env".
func environment(out string, names ...string) string {
	var list []string
	for line := range strings.SplitSeq(out, "\n") {
		name, value, _ := strings.Cut(line, "=")
		if strings.HasSuffix(name, "PORT") && value != "" {
			line = name
		}
		if strings.HasPrefix(name, "TCP") || slices.Contains(names, name) {
			list = append(list, line)
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestEnvironmentRulesAndLog(t *testing.T) {
	r := serve(t, "127.0.0.2:deny\n127.0.0.3:allow,RELAYCLIENT=\"\",TCPREMOTEHOST=\"by rule\"\n127.:allow\n:deny\n",
		"-RHl", "local:%name", "-x", "rules.cdb", "127.0.0.1", "0", "env")
	for _, tt := range []struct{ from, env, log string }{
		{"127.0.0.1",
			"PROTO=TCP TCPLOCALHOST=local:%name TCPLOCALIP=127.0.0.1 TCPLOCALPORT TCPREMOTEIP=127.0.0.1 TCPREMOTEPORT",
			"pid P from 127.0.0.1\ntcpserver: ok P local??name:127.0.0.1:PORT :127.0.0.1::N\ntcpserver: end P status 0\n"},
		{"127.0.0.2", "",
			"pid P from 127.0.0.2\ntcpserver: deny P local??name:127.0.0.1:PORT :127.0.0.2::N\ntcpserver: end P status 25600\n"},
		{"127.0.0.3",
			"PROTO=TCP RELAYCLIENT= TCPLOCALHOST=local:%name TCPLOCALIP=127.0.0.1 TCPLOCALPORT TCPREMOTEHOST=by rule TCPREMOTEIP=127.0.0.3 TCPREMOTEPORT",
			"pid P from 127.0.0.3\ntcpserver: ok P local??name:127.0.0.1:PORT :127.0.0.3::N\ntcpserver: end P status 0\n"},
	} {
		if env := environment(r.ask(t, tt.from), "PROTO", "RELAYCLIENT"); env != tt.env {
			t.Errorf("%s:\n got %s\nwant %s", tt.from, env, tt.env)
		}
		r.waitLog(t, "tcpserver: status: 1/40\ntcpserver: "+tt.log+"tcpserver: status: 0/40\n")
	}
	// A new database counts from the next client on.
	c := proctest.Run(&tcprules.Tcprules, proctest.Case{Args: []string{"rules.cdb", "rules.tmp"}, Dir: r.dir, In: ":deny\n"})
	if out := r.ask(t, "127.0.0.1"); c.Status != 0 || out != "" {
		t.Errorf("after the change: %q", out)
	}
}

func TestTrouble(t *testing.T) {
	for _, tt := range []struct {
		name string
		file string // rules.cdb, "-" for none
		args []string
		log  string
	}{
		{"no rules", "-", []string{"-x", "rules.cdb", "127.0.0.1", "0", "echo"},
			"pid P from 127.0.0.1\ntcpserver: warning: dropping connection, unable to read rules.cdb: file does not exist\ntcpserver: end P status 28416\n"},
		{"no rules, and that is fine", "-", []string{"-Xx", "rules.cdb", "127.0.0.1", "0", "echo"},
			"pid P from 127.0.0.1\ntcpserver: ok P 0:127.0.0.1:PORT :127.0.0.1::N\ntcpserver: end P status 0\n"},
		{"damaged rules are never fine", "damaged", []string{"-Xx", "rules.cdb", "127.0.0.1", "0", "echo"},
			"pid P from 127.0.0.1\ntcpserver: warning: dropping connection, unable to read rules.cdb: protocol error\ntcpserver: end P status 28416\n"},
		{"no program", "-", []string{"127.0.0.1", "0", "nothing-of-that-name"},
			"ok P 0:127.0.0.1:PORT :127.0.0.1::N\ntcpserver: warning: dropping connection, unable to run nothing-of-that-name: file does not exist\ntcpserver: end P status 28416\n"},
		{"not a program", "-", []string{"127.0.0.1", "0", "/dev/null"},
			"tcpserver: warning: dropping connection, unable to run /dev/null: access denied\ntcpserver: end P status 28416\n"},
		{"a program that fails", "-", []string{"127.0.0.1", "0", "sh", "-c", "exit 3"}, "end P status 768\n"},
		{"a program that is killed", "-", []string{"127.0.0.1", "0", "sh", "-c", "kill -9 $$"}, "end P status 9\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := command(t, "", nil, append([]string{"-1vRHl0"}, tt.args...)...)
			if tt.file != "-" {
				if err := os.WriteFile(filepath.Join(r.dir, "rules.cdb"), []byte(tt.file), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r.start(t).ask(t, "127.0.0.1")
			r.waitLog(t, tt.log+"tcpserver: status: 0/40\n")
		})
	}
}

func TestQuiet(t *testing.T) {
	for _, tt := range []struct{ option, want string }{
		{"-q", ""},
		{"-Q", "tcpserver: warning: dropping connection, unable to run nothing: file does not exist\n"},
	} {
		r := command(t, "", nil, "-1RHl0", tt.option, "127.0.0.1", "0", "nothing").start(t)
		r.ask(t, "127.0.0.1")
		r.cmd.Process.Signal(syscall.SIGTERM)
		if err := r.cmd.Wait(); err != nil || r.said() != tt.want {
			t.Errorf("%s: %v, %q", tt.option, err, r.said())
		}
	}
}

func TestBanner(t *testing.T) {
	r := serve(t, "127.0.0.2:deny\n", "-RHl0", "-B", "hello\r\n", "-x", "rules.cdb", "127.0.0.1", "0", "echo", "and more")
	if out := r.ask(t, "127.0.0.1"); out != "hello\r\nand more\n" {
		t.Errorf("%q", out)
	}
	if out := r.ask(t, "127.0.0.2"); out != "hello\r\n" { // C greets those, too
		t.Errorf("%q", out)
	}
}

func TestLimit(t *testing.T) {
	const limit, clients = 3, 12
	r := serve(t, "", "-RHl0", "-c", strconv.Itoa(limit), "127.0.0.1", "0", "cat")
	var conns []net.Conn
	for range clients {
		conns = append(conns, r.dial(t, "127.0.0.1", "127.0.0.1"))
	}
	for _, c := range conns {
		// Only a program that runs echoes; the first ones must go for that.
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	for end := time.Now().Add(patience); strings.Count(r.said(), "end P status 0") < clients; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not all ended:\n%s", r.said())
		}
	}
	for _, m := range regexp.MustCompile(`status: (\d+)/3`).FindAllStringSubmatch(r.said(), -1) {
		if n, err := strconv.Atoi(m[1]); err != nil || n > limit {
			t.Errorf("status: %s", m[1])
		}
	}
}

// TERM ends the server with 0; who is being served goes on.
func TestTerm(t *testing.T) {
	r := serve(t, "", "-RHl0", "127.0.0.1", "0", "cat")
	c := r.dial(t, "127.0.0.1", "127.0.0.1")
	r.waitLog(t, "ok P")
	r.cmd.Stderr = nil
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	state, err := r.cmd.Process.Wait() // not Cmd.Wait: the child holds our pipe
	if err != nil || state.ExitCode() != 0 {
		t.Errorf("%v, %v", state, err)
	}
	b := make([]byte, 2)
	if _, err := c.Write([]byte("hi")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hi" {
		t.Errorf("%q, %v", b, err)
	}
	c.Close()
}

// A program gets the connection, descriptor 2, those from 3 to 7 that were open,
// nothing else, and signals as they should be, whatever the server was started
// with.
func TestInheritance(t *testing.T) {
	for _, options := range []string{"-1vRHl0", "-i1vRHl0"} {
		for _, tt := range []struct{ open, want string }{
			{"", "0\n1\n2\n3\n"}, // 3 is what ls reads
			{"5</dev/null 9</dev/null", "0\n1\n2\n3\n5\n"},
			{"3</dev/null 4</dev/null 6</dev/null 7</dev/null 8</dev/null", "0\n1\n2\n3\n4\n5\n6\n7\n"}, // 5 is ls's
		} {
			inherit(t, options, tt.open, tt.want)
		}
	}
}

func inherit(t *testing.T, options, open, want string) {
	shell := []string{"/bin/sh", "-c", `trap "" 13; exec ` + open + ` "$0" "$@"`}
	r := command(t, "", shell, options, "127.0.0.1", "0", "sh", "-c", "ls /proc/self/fd; grep SigIgn /proc/self/status; grep SigBlk /proc/self/status").start(t)
	out := r.ask(t, "127.0.0.1")
	if !strings.HasPrefix(out, want+"SigIgn:") {
		t.Errorf("%s, with %s: descriptors %q", options, open, out)
	}
	for _, m := range regexp.MustCompile(`Sig...:\s*([0-9a-f]+)`).FindAllStringSubmatch(out, -1) {
		mask, err := strconv.ParseUint(m[1], 16, 64)
		if err != nil || mask&(1<<(syscall.SIGPIPE-1)|1<<(syscall.SIGCHLD-1)|1<<(syscall.SIGTERM-1)) != 0 {
			t.Errorf("%s", m[0])
		}
	}
}

// With hardly a descriptor to spare everybody is served, one after the other.
func TestFewDescriptors(t *testing.T) {
	shell := []string{"/bin/sh", "-c", `ulimit -n 20; exec "$0" "$@"`}
	few(t, command(t, "", shell, "-1vRHl0", "127.0.0.1", "0", "cat"))
	// Filters inside take four more for each.
	shell = []string{"/bin/sh", "-c", `ulimit -n 40; shift; exec tcpserver "$@"`}
	r := command(t, "", shell, "tcpserver", "-i1vRHl0", "-b100", "127.0.0.1", "0", "fixcrio", "recordio", "cat")
	r.cmd.Env = append(r.cmd.Env, "PATH="+bin.Dir(t)+":/usr/bin:/bin")
	few(t, r)
}

func few(t *testing.T, r *running) {
	t.Helper()
	r.start(t)
	var conns []net.Conn
	for range 30 {
		conns = append(conns, r.dial(t, "127.0.0.1", "127.0.0.1"))
	}
	for _, c := range conns {
		if _, err := c.Write([]byte("x\r\n")); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); err != nil || string(b) != "x\r\n" {
			t.Errorf("%q, %v\n%s", b, err, r.said())
		}
	}
}

func TestIPv6(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 here: %v", err)
	} else {
		l.Close()
	}
	r := serve(t, "[::1]:allow,R=\"six\"\n127.0.0.1:allow,R=\"four\"\n:deny\n", "-RHl0", "-x", "rules.cdb", "::", "0", "env")
	for _, tt := range []struct{ to, env, log string }{
		{"::1", "PROTO=TCP R=six TCPLOCALHOST=0 TCPLOCALIP=::1 TCPLOCALPORT TCPREMOTEIP=::1 TCPREMOTEPORT",
			"pid P from ::1\ntcpserver: ok P 0:[::1]:PORT :[::1]::N\n"},
		{"127.0.0.1", "PROTO=TCP R=four TCPLOCALHOST=0 TCPLOCALIP=127.0.0.1 TCPLOCALPORT TCPREMOTEIP=127.0.0.1 TCPREMOTEPORT",
			"pid P from 127.0.0.1\ntcpserver: ok P 0:127.0.0.1:PORT :127.0.0.1::N\n"},
	} {
		out, err := io.ReadAll(r.dial(t, "", tt.to))
		if env := environment(string(out), "PROTO", "R"); err != nil || env != tt.env {
			t.Errorf("%s: %v\n got %s\nwant %s", tt.to, err, env, tt.env)
		}
		r.waitLog(t, tt.log)
	}
}

// nameServer answers from a table, on the loopback interface.
func nameServer(t *testing.T, records ...string) (address string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg).SetReply(q)
		a.Rcode = dns.RcodeNameError
		for _, text := range records {
			rr, err := dns.NewRR(text)
			if err != nil {
				t.Error(err)
				continue
			}
			if !strings.EqualFold(rr.Header().Name, q.Question[0].Name) {
				continue
			}
			a.Rcode = dns.RcodeSuccess
			if rr.Header().Rrtype == q.Question[0].Qtype {
				a.Answer = append(a.Answer, rr)
			}
		}
		w.WriteMsg(a)
	})}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	return conn.LocalAddr().String()
}

func TestNames(t *testing.T) {
	resolver := nameServer(t,
		"1.0.0.127.in-addr.arpa. PTR Local.Example.",
		"1.0.0.127.in-addr.arpa. PTR second.example.",
		"local.example. A 127.0.0.1",
		"2.0.0.127.in-addr.arpa. PTR liar.example.",
		"liar.example. A 192.0.2.1",
	)
	for _, tt := range []struct{ options, from, local, remote string }{
		{"-Rh", "127.0.0.1", "local.example", "local.example"},
		{"-Rh", "127.0.0.2", "local.example", "liar.example"},
		{"-Rh", "127.0.0.3", "local.example", ""},
		{"-Rp", "127.0.0.1", "local.example", "local.example"},
		{"-Rp", "127.0.0.2", "local.example", ""},
		{"-RH", "127.0.0.1", "local.example", ""},
		{"-Rhl0", "127.0.0.1", "0", "local.example"},
		{"-Rhl", "127.0.0.1", "", "local.example"},
	} {
		host := "local.example"
		if tt.from == "127.0.0.3" {
			host = "local" // as resolv.conf's search has it
		}
		args := []string{"-1v", tt.options}
		if strings.HasSuffix(tt.options, "l") {
			args = append(args, "")
		}
		r := command(t, "", nil, append(args, host, "0", "env")...)
		r.cmd.Env = append(r.cmd.Env, "DNSCACHEIP="+resolver, "LOCALDOMAIN=none example", "DNSREWRITEFILE="+r.dir+"/none")
		r.start(t)
		env := environment(r.ask(t, tt.from))
		want := "TCPLOCALHOST=" + tt.local + " TCPLOCALIP=127.0.0.1 TCPLOCALPORT "
		if tt.remote != "" {
			want += "TCPREMOTEHOST=" + tt.remote + " "
		}
		if want += "TCPREMOTEIP=" + tt.from + " TCPREMOTEPORT"; env != want {
			t.Errorf("%s, from %s:\n got %s\nwant %s", tt.options, tt.from, env, want)
		}
		r.waitLog(t, "ok P "+tt.local+":127.0.0.1:PORT "+tt.remote+":"+tt.from+"::N\n")
	}
}

func TestAccounts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	r := command(t, "", nil, "-1vRHl0", "-u", "65534", "-g", "65533", "127.0.0.1", "0", "id", "-u").start(t)
	if out := r.ask(t, "127.0.0.1"); out != "65534\n" {
		t.Errorf("%q\n%s", out, r.said())
	}
	r = command(t, "", nil, "-1vRHl0", "-U", "127.0.0.1", "0", "id", "-G")
	r.cmd.Env = append(r.cmd.Env, "UID=65534", "GID=65533")
	if out := r.start(t).ask(t, "127.0.0.1"); out != "65533\n" {
		t.Errorf("%q\n%s", out, r.said())
	}
}

// What is wrong with the command line is said in the original's words.
func TestCannotStart(t *testing.T) {
	usage := "tcpserver: usage: tcpserver " + Tcpserver.Usage + "\n"
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	_, usedPort, _ := net.SplitHostPort(used.Addr().String())
	resolver := nameServer(t, "local.example. A 127.0.0.1")
	for _, tt := range []struct {
		args   []string
		status int
		err    string
	}{
		{nil, 100, usage},
		{[]string{"0", "0"}, 100, usage},
		{[]string{"-z", "0", "0", "x"}, 100, "tcpserver: illegal option -- z\n" + usage},
		{[]string{"-C", "many", "0", "0", "x"}, 100, "tcpserver: illegal argument for option -- C\n" + usage},
		{[]string{"-T", "5s", "0", "0", "x"}, 100, "tcpserver: illegal argument for option -- T\n" + usage},
		{[]string{"-T", "", "0", "0", "x"}, 100, "tcpserver: illegal argument for option -- T\n" + usage},
		{[]string{"-c"}, 100, "tcpserver: option requires an argument -- c\n" + usage},
		{[]string{"-q", "0"}, 100, ""},
		{[]string{"0", "no-such-service", "x"}, 111, "tcpserver: fatal: unable to figure out port number for no-such-service\n"},
		{[]string{"0", "65536", "x"}, 111, "tcpserver: fatal: unable to figure out port number for 65536\n"},
		{[]string{"1.2.3", "0", "x"}, 111, "tcpserver: fatal: no IP address for 1.2.3\n"},
		{[]string{"none.example", "0", "x"}, 111, "tcpserver: fatal: no IP address for none.example\n"},
		{[]string{strings.Repeat("l", 64) + ".", "0", "x"}, 111, "tcpserver: fatal: temporarily unable to figure out IP address for " + strings.Repeat("l", 64) + ".: protocol error\n"},
		{[]string{"192.0.2.1", "0", "x"}, 111, "tcpserver: fatal: unable to bind: address not available\n"},
		{[]string{"[127.000.000.001]", usedPort, "x"}, 111, "tcpserver: fatal: unable to bind: address already used\n"},
		{[]string{"-u", "no-such-user", "0", "0", "x"}, 111, "tcpserver: fatal: unable to figure out uid of no-such-user: no such account\n"},
		{[]string{"-g", "no-such-group", "0", "0", "x"}, 111, "tcpserver: fatal: unable to figure out gid of no-such-group: no such account\n"},
	} {
		r := command(t, "", nil, tt.args...)
		r.cmd.Env = append(r.cmd.Env, "DNSCACHEIP="+resolver)
		err := r.cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != tt.status || r.said() != tt.err {
			t.Errorf("%q: %v\n got %q\nwant %q", tt.args, err, r.said(), tt.err)
		}
	}
}
