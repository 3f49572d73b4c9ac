// Package hier reads HIER, the table of an installed system's directories,
// fifos and files, and makes the qmail home that it lists.
//
//	kind mode owner path [what]      one line for each entry
//	host                             what follows is around the home, on a host
package hier

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"paperpath/mta/layout"
)

// Entry is one line of the table, {split} expanded.
type Entry struct {
	Kind  byte // 'd', 'p' or 'f', and on a host 's', 'c' or 'l'
	Mode  uint32
	Owner string // user:group
	Path  string // absolute, or relative to the qmail home
	Size  int64  // of an 'f'
	What  string // where an 's' or 'c' comes from, where an 'l' leads
	Host  bool   // not part of every qmail home
}

// Parse reads the text of the table.
func Parse(text string) ([]Entry, error) {
	var table []Entry
	host := false
	for i, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		if len(f) == 1 && f[0] == "host" {
			host = true
			continue
		}
		entry, err := parse(f)
		if err != nil {
			return nil, fmt.Errorf("HIER:%d: %w", i+1, err)
		}
		entry.Host = host
		if !strings.Contains(entry.Path, "{split}") {
			table = append(table, entry)
			continue
		}
		for n := range layout.Split {
			e := entry
			e.Path = strings.ReplaceAll(e.Path, "{split}", strconv.Itoa(n))
			table = append(table, e)
		}
	}
	return table, nil
}

func parse(f []string) (e Entry, err error) {
	if len(f[0]) != 1 || !strings.Contains("dpfscl", f[0]) {
		return e, fmt.Errorf("unknown kind %s", f[0])
	}
	fields := 4
	if strings.Contains("fscl", f[0]) {
		fields = 5
	}
	if len(f) != fields {
		return e, fmt.Errorf("want kind mode owner path, and for f, s, c and l a fifth field")
	}
	mode, err := strconv.ParseUint(f[1], 8, 12)
	if err != nil {
		return e, err
	}
	e = Entry{Kind: f[0][0], Mode: uint32(mode), Owner: f[2], Path: f[3]}
	switch {
	case e.Kind == 'f':
		e.Size, err = strconv.ParseInt(f[4], 10, 32)
	case fields == 5:
		e.What = f[4]
	}
	return e, err
}

// Make makes every entry of the qmail home that is absent, for the user that runs
// it: owners are left alone. What exists is kept, with its contents and mode.
func Make(table []Entry, home string) error {
	for _, e := range table {
		if e.Host {
			continue
		}
		name := filepath.Join(home, e.Path)
		if _, err := os.Lstat(name); err == nil {
			continue
		}
		var err error
		switch e.Kind {
		case 'd':
			err = os.Mkdir(name, 0o700)
		case 'p':
			err = syscall.Mkfifo(name, 0o600)
		case 'f':
			err = os.WriteFile(name, make([]byte, e.Size), 0o600)
		}
		if err == nil {
			err = syscall.Chmod(name, e.Mode) // past the umask
		}
		if err != nil {
			return err
		}
	}
	return nil
}
