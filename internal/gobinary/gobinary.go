// Package gobinary reads what the Go linker writes about a program into its
// executable file, an ELF section named .go.buildinfo:
//
//	"\xff Go buildinf:"  pointer size  flags   16 bytes
//	16 bytes without meaning here (flags & 2: strings stand in the section)
//	varint length, the Go version
//	varint length, 16 bytes, module information, 16 bytes
//
// The module information is lines: "path\tMAIN PACKAGE", then module, versions
// and build settings. The standard library's debug/buildinfo reads more kinds
// of files and makes a small program a third bigger.
package gobinary

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"paperpath/internal/fsys"
)

// ErrNone means that the file is no ELF file with the Go linker's section.
var ErrNone = errors.New("not a Go program")

// maxSize bounds each part that is read; real ones have a few kilobytes.
const maxSize = 1 << 20

var (
	magic = []byte("\x7fELF")
	mark  = []byte("\xff Go buildinf:")
)

// Info returns the module information of the program in a file; it is empty if
// a Go older than 1.18 made the program, or made it without modules.
func Info(name string) (string, error) {
	f, err := fsys.OS{}.Open(name, fsys.RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return Read(f)
}

// Read is Info for a file that is open.
func Read(f io.ReaderAt) (string, error) {
	head, err := read(f, 0, 64)
	if err != nil || !bytes.HasPrefix(head, magic) {
		return "", ErrNone
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 { // ELFDATA2MSB
		order = binary.BigEndian
	}
	wide := head[4] == 2 // ELFCLASS64
	// The section headers: where they are, the size of one, how many, and which
	// of them has their names.
	start, fields := uint64(order.Uint32(head[32:])), head[46:]
	if wide {
		start, fields = order.Uint64(head[40:]), head[58:]
	}
	entry, count, names := uint64(order.Uint16(fields)), uint64(order.Uint16(fields[2:])), uint64(order.Uint16(fields[4:]))
	if entry < 40 || wide && entry < 64 || names >= count {
		return "", ErrNone
	}
	table, err := read(f, start, entry*count)
	if err != nil {
		return "", ErrNone
	}
	// section reads section i.
	section := func(i uint64) ([]byte, error) {
		e := table[i*entry:]
		if wide {
			return read(f, order.Uint64(e[24:]), order.Uint64(e[32:]))
		}
		return read(f, uint64(order.Uint32(e[16:])), uint64(order.Uint32(e[20:])))
	}
	strtab, err := section(names)
	if err != nil {
		return "", ErrNone
	}
	for i := range count {
		at := order.Uint32(table[i*entry:])
		if uint64(at) < uint64(len(strtab)) && bytes.HasPrefix(strtab[at:], []byte(".go.buildinfo\x00")) {
			data, err := section(i)
			if err != nil {
				return "", ErrNone
			}
			return parse(data)
		}
	}
	return "", ErrNone
}

func read(f io.ReaderAt, offset, size uint64) ([]byte, error) {
	if offset > 1<<62 || size > maxSize {
		return nil, ErrNone
	}
	b := make([]byte, size)
	_, err := f.ReadAt(b, int64(offset))
	return b, err
}

func parse(b []byte) (string, error) {
	if len(b) < 32 || !bytes.HasPrefix(b, mark) {
		return "", ErrNone
	}
	if b[15]&2 == 0 {
		return "", nil // pointers, which lead into the data
	}
	_, rest, ok1 := cut(b[32:])
	info, _, ok2 := cut(rest)
	if !ok1 || !ok2 {
		return "", ErrNone
	}
	if len(info) < 33 {
		return "", nil
	}
	return string(info[16 : len(info)-16]), nil
}

// cut takes a string with its length in front off b.
func cut(b []byte) (s, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	return b[size : size+int(n)], b[size+int(n):], true
}

// Main returns the main package that module information names.
func Main(info string) string {
	_, after, _ := strings.Cut("\n"+info, "\npath\t")
	path, _, _ := strings.Cut(after, "\n")
	return path
}

// SameBuild reports whether two programs were built from the same module in the
// same way, whichever of its commands they are: all that is said of both is the
// same. (A command lists only the modules that it needs itself.)
func SameBuild(a, b string) bool {
	said := map[string]string{}
	for key, value := range facts(a) {
		said[key] = value
	}
	for key, value := range facts(b) {
		other, ok := said[key]
		if ok && value != other || !ok && !optional(key) {
			return false
		}
		delete(said, key)
	}
	for key := range said {
		if !optional(key) {
			return false
		}
	}
	return true
}

// facts yields the lines of module information but for the main package:
// "dep\tMODULE" and the rest of the line.
func facts(info string) func(yield func(key, value string) bool) {
	return func(yield func(key, value string) bool) {
		for line := range strings.SplitSeq(info, "\n") {
			kind, rest, _ := strings.Cut(line, "\t")
			name, value := rest, ""
			if i := strings.IndexAny(rest, "\t="); i >= 0 {
				name, value = rest[:i], rest[i:]
			}
			if kind != "path" && !yield(kind+"\t"+name, value) {
				return
			}
		}
	}
}

// optional tells what not every command of a build says: a module that it
// needs, and what that is replaced by.
func optional(key string) bool {
	return strings.HasPrefix(key, "dep\t") || strings.HasPrefix(key, "=>\t")
}
