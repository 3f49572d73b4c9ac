// Demo is "make run": a whole mail server in a directory of its own, without
// root and without anything installed.
//
// It lays a Life with qmail tree out in $RUN_DIR (default ./run), which is the
// qmail home, starts svscan on its service directory, waits until the SMTP port
// answers, sends a welcome message through it and says where everything is.
// Ctrl-C or TERM stops every service in order. The next run finds mail, queue
// and whatever the administrator changed as they were.
//
// Started as root it gives the directory to an unprivileged user and does
// everything else as that user (user.go).
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	// Death signals of children belong to the thread that started them.
	runtime.LockOSThread()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "make run: fatal:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := runDir()
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)

	if os.Geteuid() == 0 {
		return runUnprivileged(dir, stop)
	}
	home := dir // its name for everything that we start; dir is for people
	if alias := os.Getenv(insideVar); alias != "" {
		home = alias
	}
	if os.Getenv(installedVar) == "" {
		if err := claim(dir); err != nil {
			return err
		}
		if err := installPrograms(dir); err != nil {
			return err
		}
	}
	held, err := lockDir(dir, home)
	if err != nil {
		return err
	}
	defer held.Close()
	host, err := layOut(dir, home)
	if err != nil {
		return err
	}
	passwords, err := makePasswords(home)
	if err != nil {
		return err
	}
	ports, err := choosePorts(home)
	if err != nil {
		return err
	}

	say("starting svscan")
	scan, err := startSvscan(home)
	if err != nil {
		return err
	}
	defer scan.stop()
	if err := scan.waitPorts(ports, stop); err != nil {
		if errors.Is(err, errStopped) {
			return nil
		}
		return fmt.Errorf("%w\n%s", err, lastLines(home))
	}
	say("the ports answer; sending a welcome message through SMTP")
	welcome, err := sendWelcome(home, host, ports[0], stop)
	if err != nil {
		if errors.Is(err, errStopped) {
			return nil
		}
		return fmt.Errorf("%w\n%s", err, lastLines(home))
	}
	fmt.Print(summary(dir, host, ports, passwords, filepath.Join(dir, strings.TrimPrefix(welcome, home))))

	select {
	case sig := <-stop:
		fmt.Println()
		say(sig.String() + ": stopping the services in order")
		return scan.stop()
	case err := <-scan.ended:
		return fmt.Errorf("svscan ended by itself (%v)\n%s", err, lastLines(home))
	}
}

var errStopped = errors.New("stopped")

func say(text string) { fmt.Println("make run:", text) }

// runDir returns the absolute name of the directory that everything lies in.
func runDir() (string, error) {
	dir := os.Getenv("RUN_DIR")
	if dir == "" {
		dir = "run"
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	// users/assign separates its fields by colons and its entries by lines.
	if strings.ContainsAny(dir, ":\n\r\t'\"\\$`") {
		return "", fmt.Errorf("RUN_DIR %q: please choose a name without quotes, colons and the like", dir)
	}
	return dir, nil
}

const lockName = ".lock"

// lockDir makes sure that one server runs in home, which people call dir.
func lockDir(dir, home string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(home, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return f, lock(f, dir)
}

func lock(f *os.File, dir string) error {
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return fmt.Errorf("another make run is using %s", dir)
	}
	return nil
}

func summary(dir, host string, ports []int, passwords map[string]string, welcome string) string {
	var b strings.Builder
	shell := dir // as one types it
	if strings.Contains(dir, " ") {
		shell = `"` + dir + `"`
	}
	line := func(what, how string) { fmt.Fprintf(&b, "  %-10s %s\n", what, how) }
	fmt.Fprintf(&b, "\nPaperpath is running in %s, as uid %d.\n\n", dir, os.Getuid())
	for i, s := range servers {
		line(s.protocol, fmt.Sprintf("127.0.0.1 port %d", ports[i]))
	}
	line("send to", "alice@"+host+"      (Maildir)")
	line("", "bob@"+host+"        (mbox and Maildir)")
	line("", "bob-list@"+host+"   (both)")
	line("try", fmt.Sprintf("swaks --server 127.0.0.1:%d --to alice@%s", ports[0], host))
	for _, user := range users {
		if password, ok := passwords[user]; ok {
			line("password", fmt.Sprintf("%-5s %s", user, password))
		}
	}
	if len(passwords) == 0 {
		line("passwords", "as they were ("+shell+"/bin/checkpassword-set "+shell+"/"+passwordFile+" alice, to change one)")
	}
	line("welcome", welcome)
	line("mail", dir+"/home/alice/Maildir/new/, "+dir+"/home/bob/Mailbox")
	line("logs", "tail -F "+shell+"/log/qmail-send/current "+shell+"/log/qmail-smtpd/current")
	line("services", shell+"/bin/svstat "+shell+"/service/*")
	line("queue", "QMAILHOME="+shell+" "+shell+"/bin/qmail-qread    (qmail-qstat counts)")
	line("settings", shell+"/control, then "+shell+"/bin/svc -h "+shell+"/service/qmail-send")
	line("stop", "Ctrl-C")
	return b.String() + "\n"
}

const patience = 60 * time.Second // for a server on a busy machine to come up
