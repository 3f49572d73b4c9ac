package filter

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
)

// logFile is a descriptor 2.
type logFile struct {
	proc.Closed
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logFile) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// inServer runs p between a client and a program, and returns the client's end
// of the connection.
func inServer(t *testing.T, p *proc.Program, log proc.File, program func(env *proc.Env) error) (client *os.File, status chan int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	client, server := os.NewFile(uintptr(pair[0]), "client"), os.NewFile(uintptr(pair[1]), "server")
	t.Cleanup(func() { client.Close() })
	env := &proc.Env{Args: []string{p.Name, "program"}, PID: 4711}
	env.Next = func(_ context.Context, env *proc.Env, argv []string) error { return program(env) }
	env.Files[0], env.Files[1], env.Files[2] = server, server, log
	status = make(chan int, 1)
	go func() {
		defer server.Close()
		status <- proc.Run(context.Background(), p, env)
	}()
	client.SetDeadline(time.Now().Add(20 * time.Second))
	return client, status
}

func ended(t *testing.T, status chan int, want int) {
	t.Helper()
	select {
	case got := <-status:
		if got != want {
			t.Errorf("status %d, want %d", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Error("it does not end")
	}
}

func TestRecordioInside(t *testing.T) {
	var log logFile
	client, status := inServer(t, &RecordioInside, &log, func(env *proc.Env) error {
		env.Files[1].Write([]byte("220 hi\r\n"))
		b := make([]byte, 100)
		n, _ := env.Files[0].Read(b)
		env.Files[1].Write(append([]byte("told "), b[:n]...))
		return proc.Exit(7)
	})
	b := make([]byte, 100)
	client.Read(b)
	client.Write([]byte("QUIT\n"))
	rest, _ := io.ReadAll(client)
	ended(t, status, 7)
	if want := "4711 > 220 hi\r \n4711 < QUIT \n4711 > told QUIT \n4711 > [EOF]\n"; string(rest) != "told QUIT\n" || log.String() != want {
		t.Errorf("%q, %q", rest, log.String())
	}
}

// The client has sent all and waits: the answer still comes, all of it.
func TestHalfClosedClient(t *testing.T) {
	client, status := inServer(t, &FixcrioInside, &logFile{}, func(env *proc.Env) error {
		in, _ := io.ReadAll(env.Files[0])
		_, err := env.Files[1].Write(bytes.Repeat(in, 1000))
		return err
	})
	client.Write([]byte("a\nb\r\n"))
	raw, _ := client.SyscallConn()
	raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
	got, err := io.ReadAll(client)
	if want := strings.Repeat("a\r\nb\r\n", 1000); err != nil || string(got) != want {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	ended(t, status, 0)
}

// A program that has closed its output still gets its input.
func TestHalfClosedProgram(t *testing.T) {
	got := make(chan string, 1)
	client, status := inServer(t, &FixcrioInside, &logFile{}, func(env *proc.Env) error {
		env.Files[1].Close()
		in, _ := io.ReadAll(env.Files[0])
		got <- string(in)
		return nil
	})
	if rest, err := io.ReadAll(client); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	client.Write([]byte("late\n"))
	client.Close()
	ended(t, status, 0)
	if s := <-got; s != "late\r\n" {
		t.Errorf("%q", s)
	}
}

// The client is gone: the program's input ends and its output breaks.
func TestClientGone(t *testing.T) {
	broken := errors.New("broken")
	client, status := inServer(t, &RecordioInside, &logFile{}, func(env *proc.Env) error {
		io.ReadAll(env.Files[0])
		for {
			if _, err := env.Files[1].Write(make([]byte, 1<<16)); err != nil {
				return broken
			}
		}
	})
	client.Close()
	ended(t, status, 111)
}

func TestNothingIsLeft(t *testing.T) {
	descriptors := func() int {
		names, _ := os.ReadDir("/proc/self/fd")
		return len(names)
	}
	before, open := runtime.NumGoroutine(), descriptors()
	var clients []*os.File
	var all []chan int
	for range 200 {
		client, status := inServer(t, &RecordioInside, &logFile{}, func(env *proc.Env) error {
			env.Files[0].Read(make([]byte, 1))
			return nil
		})
		clients, all = append(clients, client), append(all, status)
	}
	for i, c := range clients {
		if i%2 == 0 {
			c.Write([]byte("x")) // the program ends first
		} else {
			c.Close()
		}
	}
	for i, status := range all {
		ended(t, status, 0)
		clients[i].Close()
	}
	for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before || descriptors() > open; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d descriptors more", runtime.NumGoroutine()-before, descriptors()-open)
		}
	}
}
