package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// session is one SMTP dialogue, a command at a time.
type session struct {
	conn net.Conn
	r    *bufio.Reader
}

func dial(port int) (*session, error) {
	conn, err := net.DialTimeout("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), patience)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	return &session{conn, bufio.NewReader(conn)}, nil
}

func (s *session) expect(code string) error {
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, code) {
			return fmt.Errorf("the SMTP server says: %s", strings.TrimSpace(line))
		}
		if len(line) < 4 || line[3] != '-' {
			return nil
		}
	}
}

func (s *session) command(line, code string) error {
	if _, err := io.WriteString(s.conn, line+"\r\n"); err != nil {
		return err
	}
	return s.expect(code)
}

// sendWelcome sends alice a message and returns the file it was delivered to.
func sendWelcome(home, host string, port int, stop <-chan os.Signal) (file string, err error) {
	mark := fmt.Sprintf("<welcome.%d.%d@%s>", time.Now().UnixNano(), os.Getpid(), host)
	s, err := dial(port)
	if err != nil {
		return "", err
	}
	defer s.conn.Close()
	if err := s.expect("220"); err != nil {
		return "", err
	}
	for _, step := range []struct{ line, code string }{
		{"HELO localhost", "250"},
		{"MAIL FROM:<postmaster@" + host + ">", "250"},
		{"RCPT TO:<alice@" + host + ">", "250"},
		{"DATA", "354"},
		{welcomeText(host, mark), "250"},
		{"QUIT", "221"},
	} {
		if err := s.command(step.line, step.code); err != nil {
			return "", err
		}
	}
	box := filepath.Join(home, "home/alice/Maildir/new")
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if file := find(box, mark); file != "" {
			return file, nil
		}
		select {
		case <-stop:
			return "", errStopped
		case <-time.After(20 * time.Millisecond):
		}
	}
	return "", fmt.Errorf("the welcome message did not arrive in %s", box)
}

// find returns the newest file in dir that contains mark.
func find(dir, mark string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for i := len(entries) - 1; i >= 0; i-- { // names begin with the time
		name := filepath.Join(dir, entries[i].Name())
		if text, err := os.ReadFile(name); err == nil && bytes.Contains(text, []byte(mark)) {
			return name
		}
	}
	return ""
}

func welcomeText(host, mark string) string {
	return strings.ReplaceAll(`From: postmaster@`+host+`
To: alice@`+host+`
Subject: Welcome to Paperpath
Date: `+time.Now().UTC().Format("2 Jan 2006 15:04:05 -0000")+`
Message-ID: `+mark+`

This message came in through qmail-smtpd, was stored by qmail-queue,
scheduled by qmail-send and delivered into your Maildir by qmail-local.
.`, "\n", "\r\n")
}
