// Package cdb reads and writes constant databases, the format of D. J.
// Bernstein's cdb package (https://cr.yp.to/cdb/cdb.txt), all numbers 32 bits,
// little-endian:
//
//	256 × (position, slots)              one pair for each hash table
//	(key length, data length, key, data) …
//	256 × slots × (hash, position)       position 0: empty slot
//
// A key's hash h starts as 5381; each byte c makes it (h*33) xor c. Its table
// is h mod 256, its first slot h/256 mod slots.
//
// The writer is github.com/colinmarc/cdb. The reader is not: it must survive
// any file, and answer a damaged one with an error instead of a long loop, a
// huge allocation or a wrong "not found".
package cdb

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/colinmarc/cdb"

	"paperpath/internal/fsys"
)

// ErrFormat means that the file is not a whole constant database.
var ErrFormat = errors.New("bad database format")

const headerSize = 256 * 8

// Reader looks keys up in an open database. It may be used by several
// goroutines.
type Reader struct {
	f    fsys.File
	size int64
}

// Open opens the database name.
func Open(fs fsys.FS, name string) (*Reader, error) {
	f, err := fs.Open(name, fsys.RDONLY, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && (!info.IsRegular() || info.Size < headerSize) {
		err = ErrFormat
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Reader{f, info.Size}, nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.f.Close() }

// Get returns the data of the first record under key. found is false, without
// an error, only if the database is sound as far as it was read and has no
// such key.
func (r *Reader) Get(key []byte) (data []byte, found bool, err error) {
	h := Hash(key)
	start, slots, err := r.pair(int64(h&255) * 8)
	if err != nil {
		return nil, false, err
	}
	if slots == 0 {
		return nil, false, nil
	}
	// A table that is not wholly inside the file cannot be searched to its
	// end; that also bounds the loop by the file's real size.
	if int64(start) < headerSize || int64(start)+int64(slots)*8 > r.size {
		return nil, false, ErrFormat
	}
	slot := h >> 8 % slots
	for range slots {
		hash, pos, err := r.pair(int64(start) + int64(slot)*8)
		if err != nil {
			return nil, false, err
		}
		if pos == 0 {
			return nil, false, nil
		}
		if hash == h {
			data, match, err := r.record(int64(pos), key)
			if err != nil || match {
				return data, match, err
			}
		}
		if slot++; slot == slots {
			slot = 0
		}
	}
	return nil, false, nil
}

func (r *Reader) record(pos int64, key []byte) (data []byte, match bool, err error) {
	klen, dlen, err := r.pair(pos)
	if err != nil {
		return nil, false, err
	}
	if pos+8+int64(klen)+int64(dlen) > r.size {
		return nil, false, ErrFormat
	}
	if int(klen) != len(key) {
		return nil, false, nil
	}
	b := make([]byte, len(key))
	if err := r.read(b, pos+8); err != nil || string(b) != string(key) {
		return nil, false, err
	}
	data = make([]byte, dlen)
	return data, true, r.read(data, pos+8+int64(klen))
}

func (r *Reader) pair(off int64) (a, b uint32, err error) {
	var p [8]byte
	if err := r.read(p[:], off); err != nil {
		return 0, 0, err
	}
	return binary.LittleEndian.Uint32(p[:4]), binary.LittleEndian.Uint32(p[4:]), nil
}

func (r *Reader) read(b []byte, off int64) error {
	if off+int64(len(b)) > r.size {
		return ErrFormat
	}
	_, err := r.f.ReadAt(b, off)
	if err == io.EOF {
		return ErrFormat // the file was cut while we read it
	}
	return err
}

// Hash is the hash of the format.
func Hash(key []byte) uint32 {
	h := uint32(5381)
	for _, c := range key {
		h = h*33 ^ uint32(c)
	}
	return h
}

// ErrTooBig means that the database would exceed the format's 4 GiB.
var ErrTooBig = cdb.ErrTooMuchData

// Writer adds records to a database. Of several records under one key, Get
// finds the first.
type Writer struct{ w *cdb.Writer }

// Add adds a record.
func (w *Writer) Add(key, data []byte) error { return w.w.Put(key, data) }

// Write writes a database into the empty file f. It does not sync: whoever puts
// the file in the place of an older one does that before the rename.
func Write(f fsys.File, fill func(*Writer) error) error {
	lib, err := cdb.NewWriter(f, nil)
	if err != nil {
		return err
	}
	if err := fill(&Writer{lib}); err != nil {
		return err
	}
	_, err = lib.Freeze()
	return err
}
