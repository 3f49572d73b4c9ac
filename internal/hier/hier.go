// Package hier reads HIER, the table of an installed system's directories,
// fifos and files, and makes what it lists.
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
	Kind  byte // 'd', 'p' or 'f'
	Mode  uint32
	Owner string // user:group
	Path  string // relative to the qmail home
	Size  int64  // of a file
}

// Parse reads the text of the table.
func Parse(text string) ([]Entry, error) {
	var table []Entry
	for i, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		entry, err := parse(f)
		if err != nil {
			return nil, fmt.Errorf("HIER:%d: %w", i+1, err)
		}
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
	if len(f) != 4 && (len(f) != 5 || f[0] != "f") {
		return e, fmt.Errorf("want kind mode owner path (and size for a file)")
	}
	if len(f[0]) != 1 || !strings.Contains("dpf", f[0]) {
		return e, fmt.Errorf("unknown kind %s", f[0])
	}
	mode, err := strconv.ParseUint(f[1], 8, 12)
	if err != nil {
		return e, err
	}
	e = Entry{Kind: f[0][0], Mode: uint32(mode), Owner: f[2], Path: f[3]}
	if len(f) == 5 {
		e.Size, err = strconv.ParseInt(f[4], 10, 32)
	}
	return e, err
}

// Make makes every entry that is absent below home, for the user that runs it:
// owners are left alone. What exists is kept, with its contents and mode.
func Make(table []Entry, home string) error {
	for _, e := range table {
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
