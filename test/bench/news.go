package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const newsPatience = 60 * time.Second

// event is a service that has come up.
type event struct {
	name string
	pid  int
	at   time.Time
}

// news is the fifo on which services say that they are up, as "name pid".
type news struct {
	ctx    context.Context
	fifo   string
	file   *os.File
	events chan event
}

func (t *turn) hear() (*news, error) {
	n := &news{ctx: t.ctx, fifo: filepath.Join(t.dir, "up"), events: make(chan event, 10_000)}
	if err := unix.Mkfifo(n.fifo, 0o666); err != nil {
		return nil, err
	}
	var err error
	// Open for both, so that there is always a reader and no end.
	if n.file, err = os.OpenFile(n.fifo, os.O_RDWR|unix.O_NONBLOCK, 0); err != nil {
		return nil, err
	}
	go func() {
		for s := bufio.NewScanner(n.file); s.Scan(); {
			e := event{at: time.Now()}
			if _, err := fmt.Sscan(s.Text(), &e.name, &e.pid); err == nil {
				n.events <- e
			}
		}
	}()
	return n, nil
}

func (n *news) close() { n.file.Close() }

// next waits for the next event.
func (n *news) next() (event, error) {
	select {
	case e := <-n.events:
		return e, nil
	case <-n.ctx.Done():
		return event{}, n.ctx.Err()
	case <-time.After(newsPatience):
		return event{}, fmt.Errorf("no service came up for %v", newsPatience)
	}
}

// expect waits for a service, which is the only one that should come up.
func (n *news) expect(name string) (event, error) {
	e, err := n.next()
	if err == nil && e.name != name {
		err = fmt.Errorf("%s came up instead of %s", e.name, name)
	}
	return e, err
}

// logWatch tells when the file current of every log has been written to.
type logWatch struct {
	file *os.File
	done chan time.Time
}

func watchLogs(dir string, count int) (*logWatch, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	w := &logWatch{os.NewFile(uintptr(fd), "inotify"), make(chan time.Time, 1)}
	missing := map[int32]bool{}
	for i := range count {
		wd, err := unix.InotifyAddWatch(fd, filepath.Join(dir, "services", serviceName(i), "log", "main"), unix.IN_MODIFY)
		if err != nil {
			w.close()
			return nil, os.NewSyscallError("inotify_add_watch", err)
		}
		missing[int32(wd)] = true
	}
	go func() {
		b := make([]byte, 64<<10)
		for len(missing) > 0 {
			n, err := w.file.Read(b)
			if err != nil {
				return
			}
			now := time.Now()
			// inotify(7): watch, mask, cookie, length, name padded with zeros.
			for p := b[:n]; len(p) >= unix.SizeofInotifyEvent; {
				length := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(p[12:]))
				name := unix.ByteSliceToString(p[unix.SizeofInotifyEvent:length])
				if name == "current" {
					delete(missing, int32(binary.NativeEndian.Uint32(p)))
				}
				p = p[length:]
			}
			if len(missing) == 0 {
				w.done <- now
			}
		}
	}()
	return w, nil
}

func (w *logWatch) close() { w.file.Close() }

// wait waits for the last log.
func (w *logWatch) wait(ctx context.Context) (time.Time, error) {
	select {
	case at := <-w.done:
		return at, nil
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	case <-time.After(newsPatience):
		return time.Time{}, fmt.Errorf("not every log has its line after %v", newsPatience)
	}
}
