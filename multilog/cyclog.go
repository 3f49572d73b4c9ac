package multilog

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"syscall"
	"time"

	"paperpath/internal/decimal"
	"paperpath/internal/fsys"
	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// Cyclog is the logger of daemontools 0.5x, for scripts and directories of
// that age:
//
//	@00000935467423   a file that was begun at that time, in seconds, 14 digits;
//	                  0644 while it is written, 0444 when it is safe
//
// Each start begins a new file, no file is ever continued, and at most one is
// begun per second.
var Cyclog = proc.Program{Name: "cyclog", Usage: "[ -ssize ] [ -nnum ] [ -mmargin ] dir", Run: runCyclog}

type cyclog struct {
	fs                 fsys.FS
	size, keep, margin int
	pause              func(what string, cause error)
	now                func() int64 // Unix seconds

	last int64 // when the file began
	name string
	file fsys.File
	left int // bytes that file still has room for
}

// longPause is how long cyclog waits before it tries a failed operation again.
const longPause = time.Minute

func runCyclog(_ context.Context, env *proc.Env) error {
	syscall.Umask(022)
	c := cyclog{size: 104000, keep: 10, margin: 4000, pause: pauser(env, longPause), now: func() int64 { return time.Now().Unix() }}
	options := opt.Parse(env.Args[1:], "s:n:m:")
	for options.Next() {
		number, _ := decimal.Int(options.Arg)
		switch options.Letter {
		case 's':
			c.size = max(number, 512)
		case 'n':
			c.keep = max(number, 1)
		case 'm':
			c.margin = min(number, c.size)
		default:
			env.Say(options.Problem())
			return proc.ErrUsage
		}
	}
	if len(options.Rest()) == 0 {
		return proc.ErrUsage
	}
	dir := options.Rest()[0]
	held, err := fsys.OS{Root: env.Dir}.Held(dir)
	if err != nil {
		return strerr.Unable("chdir to", dir, err)
	}
	c.fs = held
	c.copy(env.Files[0])
	return nil
}

// copy writes files until the input has ended.
func (c *cyclog) copy(in io.Reader) {
	c.last = c.now()
	buf := make([]byte, bufferSize)
	c.begin()
	for {
		n, err := in.Read(buf)
		for b := buf[:n]; len(b) > 0; {
			if c.left == 0 {
				c.begin()
			}
			b = c.write(b)
		}
		if n == 0 || err != nil {
			c.end()
			return
		}
		if c.left == 0 {
			c.begin() // before the next read can block
		}
	}
}

// begin makes room for a new file and begins it.
func (c *cyclog) begin() {
	for c.now() == c.last {
		time.Sleep(100 * time.Millisecond)
	}
	c.trim()
	for {
		c.last = c.now()
		c.name = cyclogName(c.last)
		var err error
		if c.file, err = c.fs.Open(c.name, fsys.WRONLY|fsys.EXCL|fsys.CREATE, modeOpen); err == nil {
			break
		}
		c.pause("unable to create "+c.name, err)
	}
	c.left = c.size
}

func cyclogName(second int64) string {
	digits := strconv.FormatInt(second, 10)
	return "@" + strings.Repeat("0", max(0, 14-len(digits))) + digits
}

// write writes as much of b as belongs in the file. A full file is ended: at the
// first line feed within the margin, or at its maximum size.
func (c *cyclog) write(b []byte) (rest []byte) {
	n := min(len(b), c.left)
	if from := max(c.left-c.margin, 0); from < n {
		if end := bytes.IndexByte(b[from:n], '\n'); end >= 0 {
			n, c.left = from+end+1, from+end+1
		}
	}
	rest = b[n:]
	c.left -= n
	for b = b[:n]; len(b) > 0; {
		written, err := c.file.Write(b)
		b = b[written:]
		if err != nil {
			c.pause("unable to write to "+c.name, err)
		}
	}
	if c.left == 0 {
		c.end()
	}
	return rest
}

// end syncs the file and marks it as safe by its mode.
func (c *cyclog) end() {
	for {
		err := c.file.Sync()
		if err == nil {
			break
		}
		c.pause("unable to sync to "+c.name, err)
	}
	c.file.Chmod(0444) // only a mark: the file is safe even if this fails
	c.file.Close()
	c.fs.SyncDir(".")
}

// trim removes the oldest files until there is room for one more. Names are
// compared as numbers, because the first versions wrote no leading zeros.
func (c *cyclog) trim() {
	for {
		names, err := c.fs.List(".")
		if err != nil {
			c.pause("unable to read directory", err)
			continue
		}
		count, oldest, oldestName := 0, 0, ""
		for _, name := range names {
			if name[0] != '@' {
				continue
			}
			count++
			stamp, _ := decimal.Int(name[1:])
			if oldestName == "" || stamp < oldest {
				oldest, oldestName = stamp, name
			}
		}
		if count < c.keep {
			return
		}
		if err := c.fs.Remove(oldestName); err == syscall.EISDIR {
			return // a directory is not one of our files
		} else if err != nil && err != syscall.ENOENT {
			c.pause("unable to remove "+oldestName, err)
		}
	}
}
