package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a service that listens on a port of 127.0.0.1.
type server struct {
	service  string
	protocol string
	variable string // of the environment, for another port
	port     int    // that is asked for without it
	script   func(home string) string
}

// servers has SMTP first: the others' settings are none.
var servers = []server{
	{"qmail-smtpd", "SMTP", "SMTP_PORT", 2525, smtpdScript},
	{"qmail-pop3d", "POP3", "POP3_PORT", 2110, pop3dScript},
	{"qmail-qmtpd", "QMTP", "QMTP_PORT", 2209, qmtpdScript},
	{"qmail-qmqpd", "QMQP", "QMQP_PORT", 2628, qmqpdScript},
}

// serviceNames lists all services.
func serviceNames() []string {
	names := []string{"qmail-send"}
	for _, s := range servers {
		names = append(names, s.service)
	}
	return names
}

// choosePorts gives every server a port, in the order of servers, and writes
// them where the run scripts read them.
func choosePorts(home string) (ports []int, err error) {
	for _, s := range servers {
		port, err := s.choosePort(ports)
		if err != nil {
			return nil, err
		}
		file := filepath.Join(home, "service", s.service, "port")
		if err := os.WriteFile(file, []byte(strconv.Itoa(port)+"\n"), 0o644); err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// choosePort returns the first free port from the one that is asked for on,
// other than those that are taken already.
func (s *server) choosePort(taken []int) (int, error) {
	first := s.port
	if text := os.Getenv(s.variable); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%s %q is not a port number", s.variable, text)
		}
		first = int(n)
	}
	for port := first; port <= 65535 && port < first+1000; port++ {
		free, err := freePort(port, taken)
		if errors.Is(err, syscall.EACCES) {
			return 0, fmt.Errorf("%s %d: only root may listen there", s.variable, port)
		}
		if err != nil {
			continue
		}
		if first != 0 && free != first {
			say(fmt.Sprintf("port %d is taken, using %d for %s", first, free, s.protocol))
		}
		return free, nil
	}
	return 0, fmt.Errorf("no free port from %d on", first)
}

// freePort returns port, or for 0 one of the kernel's choice, if it can be
// listened on.
func freePort(port int, taken []int) (int, error) {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	free := l.Addr().(*net.TCPAddr).Port
	for _, t := range taken {
		if t == free {
			return 0, syscall.EADDRINUSE
		}
	}
	return free, nil
}

// users are those that mail is for.
var users = []string{"alice", "bob"}

const passwordFile = "users/passwords"

// makePasswords gives the users passwords for POP3 unless they have some. What
// it returns is known to nobody afterwards: the file has hashes.
func makePasswords(home string) (passwords map[string]string, err error) {
	file := filepath.Join(home, passwordFile)
	if _, err := os.Lstat(file); err == nil {
		return nil, nil
	}
	passwords = map[string]string{}
	for _, user := range users {
		password := strings.ToLower(rand.Text()[:12])
		cmd := toolCommand(home, "checkpassword-set", file, user, filepath.Join(home, "home", user))
		cmd.Stdin = strings.NewReader(password + "\n")
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("checkpassword-set: %w", err)
		}
		passwords[user] = password
	}
	return passwords, nil
}

// waitPorts waits until all servers take connections.
func (s *svscan) waitPorts(ports []int, stop <-chan os.Signal) error {
	if err := s.waitPort(ports[0], stop); err != nil {
		return err
	}
	for i, port := range ports[1:] {
		err := s.until(stop, func() error {
			c, err := net.DialTimeout("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second)
			if err == nil {
				c.Close()
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("the %s port: %w", servers[i+1].protocol, err)
		}
	}
	return nil
}
