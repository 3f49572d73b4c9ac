package cdb

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math"

	"paperpath/internal/fsys"
)

// errTooBig means that the database would exceed the format's 4 GiB.
var errTooBig = errors.New("database larger than 4 GiB")

// Writer adds records to a database. Of several records under one key, Get
// finds the first.
type Writer struct {
	out     *bufio.Writer
	at      uint64 // position in the file
	entries [tables][]entry
}

// entry is one slot of a hash table.
type entry struct{ hash, position uint32 }

// Write writes a database into the empty file f, byte for byte the one that C's
// cdb_make would write. It does not sync: whoever puts the file in the place of
// an older one does that before the rename.
func Write(f fsys.File, fill func(*Writer) error) error {
	w := &Writer{out: bufio.NewWriter(f), at: headerSize}
	if _, err := f.Seek(headerSize, io.SeekStart); err != nil {
		return err
	}
	if err := fill(w); err != nil {
		return err
	}
	header, err := w.finish()
	if err != nil {
		return err
	}
	// Last: until now the file is no database to anybody.
	_, err = f.WriteAt(header, 0)
	return err
}

// Add adds a record.
func (w *Writer) Add(key, data []byte) error {
	position := w.at
	size := 8 + uint64(len(key)) + uint64(len(data))
	if position+size > math.MaxUint32 {
		return errTooBig
	}
	h := hash(key)
	w.entries[h%tables] = append(w.entries[h%tables], entry{h, uint32(position)})
	w.pair(uint32(len(key)), uint32(len(data)))
	w.out.Write(key)
	_, err := w.out.Write(data)
	w.at += size
	return err
}

// pair writes two numbers. The buffer remembers an error.
func (w *Writer) pair(a, b uint32) {
	w.out.Write(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(w.out.AvailableBuffer(), a), b))
}

// finish writes the hash tables and returns the header. Each table has twice as
// many slots as entries, which take the first free ones in the order in which
// they were added.
func (w *Writer) finish() (header []byte, err error) {
	for _, entries := range w.entries {
		slots := make([]entry, 2*len(entries))
		header = binary.LittleEndian.AppendUint32(header, uint32(w.at))
		header = binary.LittleEndian.AppendUint32(header, uint32(len(slots)))
		if w.at += 8 * uint64(len(slots)); w.at > math.MaxUint32 {
			return nil, errTooBig
		}
		for _, e := range entries {
			// Position 0 is an empty slot; a hash may be 0 like any number.
			i := int(e.hash/tables) % len(slots)
			for slots[i].position != 0 {
				if i++; i == len(slots) {
					i = 0
				}
			}
			slots[i] = e
		}
		for _, e := range slots {
			w.pair(e.hash, e.position)
		}
	}
	return header, w.out.Flush()
}
