package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// client is one connection. It is used with plain system calls that block: less
// work than package net's, on processors that the server wants.
type client int

const clientPatience = 20 // seconds that any call may take

// dial connects from 127.1.0.source. Different sources have different ports: of
// one address there are too few for what a fast server does in a second, for
// those used last are kept back a minute.
func dial(server netip.AddrPort, source int) (client, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	c := client(fd)
	limit := unix.Timeval{Sec: clientPatience}
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 1, byte(source >> 8), byte(source)}})
	if err == nil {
		err = again(func() error {
			return unix.Connect(fd, &unix.SockaddrInet4{Port: int(server.Port()), Addr: server.Addr().As4()})
		})
	}
	if err != nil && err != unix.EISCONN { // connected when it was interrupted
		c.close()
		return -1, os.NewSyscallError("connect", err)
	}
	return c, nil
}

func (c client) close() { unix.Close(int(c)) }

func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR && err != unix.EALREADY {
			return err
		}
	}
}

func (c client) Read(p []byte) (n int, err error) {
	err = again(func() error { n, err = unix.Read(int(c), p); return err })
	if err == nil && n == 0 {
		return 0, io.EOF
	}
	return max(n, 0), err
}

func (c client) Write(p []byte) (n int, err error) {
	err = again(func() error { n, err = unix.Write(int(c), p); return err })
	return max(n, 0), err
}

// line reads a line, of which only the first 512 bytes count.
func (c client) line() (string, error) {
	var b [512]byte
	for n := 0; n < len(b); {
		k, err := c.Read(b[n:])
		if err != nil {
			return "", fmt.Errorf("after %q: %w", b[:n], err)
		}
		if n += k; b[n-1] == '\n' {
			return string(b[:n]), nil
		}
	}
	return "", errors.New("a long line")
}

// A dialogue is what a client does with its connection.
type dialogue func(client) error

// hears expects one line and the end.
func hears(c client) error {
	text, err := io.ReadAll(c)
	if err == nil && string(text) != "\n" {
		err = fmt.Errorf("the program said %q", text)
	}
	return err
}

// quits greets an SMTP server and leaves.
func quits(c client) error {
	if err := greeted(c); err != nil {
		return err
	}
	if _, err := c.Write([]byte("QUIT\r\n")); err != nil {
		return err
	}
	text, err := io.ReadAll(c)
	if err == nil && !strings.HasPrefix(string(text), "221 ") {
		err = fmt.Errorf("answer to QUIT: %q", text)
	}
	return err
}

// greeted reads an SMTP server's greeting.
func greeted(c client) error {
	line, err := c.line()
	if err == nil && !strings.HasPrefix(line, "220 ") {
		err = fmt.Errorf("greeting: %q", line)
	}
	return err
}

// echoed has something sent back: the program runs.
func echoed(c client) error {
	if _, err := c.Write([]byte("x\n")); err != nil {
		return err
	}
	line, err := c.line()
	if err == nil && line != "x\n" {
		err = fmt.Errorf("echo: %q", line)
	}
	return err
}

// hammer makes so many clients connect again and again, and returns how many
// connections they had per second.
func hammer(server netip.AddrPort, clients int, during time.Duration, talk dialogue) (perSecond float64, err error) {
	var done atomic.Int64
	var failure atomic.Pointer[error]
	var all sync.WaitGroup
	began := time.Now()
	for i := range clients {
		all.Go(func() {
			for time.Since(began) < during && failure.Load() == nil {
				c, err := dial(server, i+1)
				if err == nil {
					err = talk(c)
					c.close()
				}
				if err != nil {
					failure.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	if e := failure.Load(); e != nil {
		return 0, fmt.Errorf("connection %d: %w", done.Load()+1, *e)
	}
	return float64(done.Load()) / time.Since(began).Seconds(), nil
}

// sayGoodbye is the least of an SMTP server: so many threads that greet a client,
// take its QUIT, and answer. Nothing that serves this dialogue on this machine can
// be much faster.
func sayGoodbye(threads int) (addr netip.AddrPort, end func(), err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return addr, nil, err
	}
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		err = unix.Listen(fd, 100)
	}
	var local unix.Sockaddr
	if err == nil {
		local, err = unix.Getsockname(fd)
	}
	if err != nil {
		unix.Close(fd)
		return addr, nil, err
	}
	var all sync.WaitGroup
	for range threads {
		all.Go(func() {
			for {
				c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
				if err == unix.EINVAL { // shut
					return
				}
				if err == nil {
					client(c).Write([]byte("220 bench.example ESMTP\r\n"))
					client(c).line() // QUIT; the client is ours
					client(c).Write([]byte("221 bench.example\r\n"))
					client(c).close()
				}
			}
		})
	}
	end = func() {
		unix.Shutdown(fd, unix.SHUT_RDWR)
		all.Wait()
		unix.Close(fd)
	}
	in := local.(*unix.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)), end, nil
}

const holderName = "bench-holder" // argv[1]

// holder is a process that holds connections to an SMTP server: this program
// with the arguments bench-holder ADDRESS COUNT SOURCE. It says "held" when all
// have been greeted, and keeps them until the end of its standard input. One
// process alone would need the descriptors of all.
func holder(args []string) error {
	if len(args) != 3 {
		return errors.New("holder: want address, count, source")
	}
	server, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	source, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	for i := range count {
		c, err := dial(server, source)
		if err == nil {
			err = greeted(c)
		}
		if err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
	}
	fmt.Println("held")
	io.Copy(io.Discard, os.Stdin)
	return nil
}

const perHolder = 2_000

// hold has count connections held by other processes, until release.
func (t *turn) hold(server netip.AddrPort, count int) (release func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var inputs []io.Closer
	var outputs []*bufio.Reader
	var commands []*exec.Cmd
	release = func() {
		for i, c := range commands {
			inputs[i].Close()
			c.Wait()
		}
	}
	for source := 1; count > 0; source++ {
		n := min(count, perHolder)
		count -= n
		c := exec.CommandContext(t.ctx, self, holderName, server.String(), strconv.Itoa(n), strconv.Itoa(source))
		c.Stderr = os.Stderr
		in, err := c.StdinPipe()
		if err == nil {
			var out io.Reader
			out, err = c.StdoutPipe()
			outputs = append(outputs, bufio.NewReader(out))
		}
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			release()
			return nil, err
		}
		inputs, commands = append(inputs, in), append(commands, c)
	}
	for _, out := range outputs {
		if line, err := out.ReadString('\n'); line != "held\n" {
			release()
			return nil, fmt.Errorf("the connections could not be held: %w", err)
		}
	}
	return release, nil
}
