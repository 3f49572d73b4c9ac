package main

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ruleText is so many rules, none of them for this host but the last.
func ruleText(count int) string {
	var b strings.Builder
	for i := range count - 1 {
		fmt.Fprintf(&b, "10.%d.%d.%d:allow,RELAYCLIENT=\"\"\n", i>>16&255, i>>8&255, i&255)
	}
	b.WriteString("127.:allow\n")
	return b.String()
}

// makeRules makes a database of so many rules and returns its file name.
func (t *turn) makeRules(count int) (string, error) {
	file := filepath.Join(t.dir, "rules.cdb")
	c := exec.CommandContext(t.ctx, t.find(ours, "tcprules"), file, file+".tmp")
	c.Stdin = strings.NewReader(ruleText(count))
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("tcprules: %w: %s", err, out)
	}
	return file, nil
}

// listen starts a tcpserver with these arguments; it has the options that make
// it ask nobody for names. The kernel chooses the port.
func (t *turn) listen(who family, env []string, args ...string) (pid int, addr netip.AddrPort, err error) {
	var options []string
	for i, a := range args {
		if a == "--" {
			options, args = args[:i], args[i+1:]
			break
		}
	}
	argv := append([]string{"-1", "-H", "-R", "-l0", "-b", "100"}, options...)
	argv = append(append(argv, "127.0.0.1", "0"), args...)
	c := exec.Command(t.find(who, "tcpserver"), argv...)
	c.Env = append([]string{t.path(ours)}, env...)
	theirs, out, err := os.Pipe()
	if err != nil {
		return 0, addr, err
	}
	defer theirs.Close()
	c.Stdout = out
	pid, err = t.start(c)
	out.Close()
	if err != nil {
		return 0, addr, err
	}
	theirs.SetReadDeadline(time.Now().Add(clientPatience * time.Second))
	line, err := bufio.NewReader(theirs).ReadString('\n')
	if err != nil {
		return 0, addr, fmt.Errorf("tcpserver said no port: %w", err)
	}
	port, err := strconv.ParseUint(strings.TrimSpace(line), 10, 16)
	return pid, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)), err
}

// connections measures how fast tcpserver executes a program.
func connections(n *sizes) *contest {
	one := &metric{"1 client", "connections/s", timesOne(1, "ucspi-tcp")}
	many := &metric{fmt.Sprintf("%d clients", n.clients), "connections/s", timesOne(1, "ucspi-tcp")}
	fresh := &metric{"server before any connection, PSS", "MB", atMost(8)}
	after := &metric{"server after them, PSS", "MB", atMost(8)}
	c := &contest{
		name:    "connections",
		title:   fmt.Sprintf("tcpserver -H -R -l0 -x cdb (%d rules) executing a program of one system call", n.rules),
		metrics: []*metric{one, many, fresh, after},
	}
	measure := func(t *turn, pid int, addr netip.AddrPort) error {
		before, err := weigh(tree(pid))
		if err != nil {
			return err
		}
		t.add(fresh, float64(before)/1e3)
		if err := t.hammerBoth(n, [2]*metric{one, many}, addr, hears); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond) // the last programs are reaped
		kB, err := weigh(tree(pid))
		t.add(after, float64(kB)/1e3)
		return err
	}
	tcpserver := func(who family) func(*turn) error {
		return func(t *turn) error {
			pid, addr, err := t.listenWithRules(who, n.rules)
			if err != nil {
				return err
			}
			return measure(t, pid, addr)
		}
	}
	c.contenders = []contender{
		{"paperpath", []string{"tcpserver", "tcprules"}, ours, tcpserver(ours)},
		{"ucspi-tcp", []string{"tcpserver"}, theirs, tcpserver(theirs)},
		{"s6 (no rules)", []string{"s6-tcpserver"}, theirs, func(t *turn) error {
			program, err := say.make(t.dir)
			if err != nil {
				return err
			}
			addr, err := freePort()
			if err != nil {
				return err
			}
			cmd := exec.Command(t.find(theirs, "s6-tcpserver"), "-c", "1000", "-b", "100",
				"127.0.0.1", strconv.Itoa(int(addr.Port())), program)
			cmd.Env = []string{t.path(theirs)}
			pid, err := t.start(cmd)
			if err != nil {
				return err
			}
			if err := listening(addr); err != nil {
				return err
			}
			return measure(t, pid, addr)
		}},
	}
	return c
}

// listenWithRules starts a tcpserver that executes say.
func (t *turn) listenWithRules(who family, count int) (pid int, addr netip.AddrPort, err error) {
	program, err := say.make(t.dir)
	if err != nil {
		return 0, addr, err
	}
	cdb, err := t.makeRules(count)
	if err != nil {
		return 0, addr, err
	}
	return t.listen(who, nil, "-c", "1000", "-x", cdb, "--", program)
}

// freePort returns an address that nobody listens at.
func freePort() (netip.AddrPort, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort(), nil
}

// listening waits until somebody listens.
func listening(addr netip.AddrPort) (err error) {
	for deadline := time.Now().Add(clientPatience * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var c client
		if c, err = dial(addr, 1); err == nil {
			c.close()
			return nil
		}
	}
	return err
}

// rules compares a small database with a big one.
func rules(n *sizes) *contest {
	few, many := fmt.Sprintf("%d rules", n.fewRules), fmt.Sprintf("%d rules", n.manyRules)
	rate := &metric{fmt.Sprintf("%d clients", n.clients), "connections/s", timesOne(0.95, few)}
	one := func(who family, count int) func(*turn) error {
		return func(t *turn) error {
			_, addr, err := t.listenWithRules(who, count)
			if err != nil {
				return err
			}
			v, err := hammer(addr, n.clients, n.hammer, hears)
			if err == nil {
				t.add(rate, v)
			}
			return err
		}
	}
	needs := []string{"tcpserver"}
	return &contest{name: "rules", title: "the same with few and with many rules", metrics: []*metric{rate}, contenders: []contender{
		{many, needs, ours, one(ours, n.manyRules)},
		{few, needs, ours, one(ours, n.fewRules)},
		{"ucspi-tcp, " + many, needs, theirs, one(theirs, n.manyRules)},
		{"ucspi-tcp, " + few, needs, theirs, one(theirs, n.fewRules)},
	}}
}

// heldByCat measures connections that are processes.
func heldByCat(n *sizes) *contest {
	each := &metric{"server and cat, PSS per connection", "kB", timesLeast(1.1)}
	one := func(who family) func(*turn) error {
		return func(t *turn) error {
			pid, addr, err := t.listen(who, nil, "-c", strconv.Itoa(n.cats+1), "--", "cat")
			if err != nil {
				return err
			}
			before, err := weigh(tree(pid))
			if err != nil {
				return err
			}
			for range n.cats {
				c, err := dial(addr, 1)
				if err != nil {
					return err
				}
				defer c.close()
				if err := echoed(c); err != nil {
					return err
				}
			}
			after, err := weigh(tree(pid))
			if err == nil {
				t.add(each, float64(after-before)/float64(n.cats))
			}
			return err
		}
	}
	return &contest{
		name: "held-by-cat", title: fmt.Sprintf("%d connections held by cat", n.cats), metrics: []*metric{each},
		contenders: []contender{
			{"paperpath", []string{"tcpserver"}, ours, one(ours)},
			{"ucspi-tcp", []string{"tcpserver"}, theirs, one(theirs)},
		},
	}
}
