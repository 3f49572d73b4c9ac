// Package cdb reads and writes constant databases, the format of D. J.
// Bernstein's cdb package (https://cr.yp.to/cdb/cdb.txt), all numbers 32 bits,
// little-endian:
//
//	256 × (position, slots)              one pair for each hash table
//	(key length, data length, key, data) …
//	256 × slots × (hash, position)       position 0: empty slot
//
// A key's hash h starts as 5381; each byte c makes it (h*33) xor c. Its table
// is h mod 256, its first slot h/256 mod slots; the search goes on from slot to
// slot, behind the last one at the first, to an empty one.
//
// The reader must survive any file, and answer a damaged one with an error
// instead of a long loop, a huge allocation or a wrong "not found". A file that is
// searched again and again may be mapped into memory (map.go).
package cdb

import (
	"encoding/binary"
	"errors"
	"io"

	"paperpath/internal/fsys"
)

// ErrFormat means that the file is not a whole constant database.
var ErrFormat = errors.New("bad database format")

const (
	tables     = 256
	headerSize = tables * 8

	// What a search looks at before it calls the database damaged. A sound
	// one comes near neither: its tables are half empty, and keys with equal
	// hashes are rare. Without the bounds, a file of 4 GiB could keep a server
	// busy for minutes.
	maxSlots   = 1 << 24
	maxRecords = 1 << 16
)

// Reader looks keys up in an open database. It may be used by several
// goroutines.
type Reader struct {
	f      fsys.File
	opened fsys.Info // before anything was read
	header [headerSize]byte
	mapped []byte // the file, after Map
}

// Open opens the database name.
func Open(fs fsys.FS, name string) (*Reader, error) {
	f, err := fs.Open(name, fsys.RDONLY, 0)
	if err != nil {
		return nil, err
	}
	r, err := newReader(f)
	if err != nil {
		f.Close()
	}
	return r, err
}

func newReader(f fsys.File) (*Reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.IsRegular() {
		return nil, ErrFormat
	}
	r := &Reader{f: f, opened: info}
	if err := r.read(r.header[:], 0); err != nil {
		return nil, err
	}
	return r, nil
}

// Close closes the file.
func (r *Reader) Close() error {
	r.unmap()
	return r.f.Close()
}

// Opened returns what the file was when it was opened: what has been read since is
// of this version, or a later one.
func (r *Reader) Opened() fsys.Info { return r.opened }

// Stat returns what the file was at the moment of the call.
func (r *Reader) Stat() (fsys.Info, error) { return r.f.Stat() }

// Get returns the data of the first record under key. found is false, without
// an error, only if the database is sound as far as it was read and has no
// such key.
func (r *Reader) Get(key []byte) (data []byte, found bool, err error) {
	h := hash(key)
	start, slots := pair(r.header[h%tables*8:])
	if slots == 0 {
		return nil, false, nil
	}
	// A table that is not wholly inside the file cannot be searched to its end.
	if int64(start) < headerSize || int64(start)+int64(slots)*8 > r.opened.Size {
		return nil, false, ErrFormat
	}
	records := 0
	next := h / tables % slots // slot to look at
	block := uint32(firstBlock)
	for left := min(slots, maxSlots); left > 0; {
		n := min(block, left, slots-next)
		table := make([]byte, n*8)
		if err := r.read(table, int64(start)+int64(next)*8); err != nil {
			return nil, false, err
		}
		for ; len(table) > 0; table = table[8:] {
			hash, position := pair(table)
			if position == 0 {
				return nil, false, nil
			}
			if hash != h {
				continue
			}
			if records++; records > maxRecords {
				return nil, false, ErrFormat
			}
			data, match, err := r.record(int64(position), key)
			if err != nil || match {
				return data, match, err
			}
		}
		left -= n
		block = min(2*block, maxBlock)
		if next += n; next == slots {
			next = 0
		}
	}
	if slots > maxSlots {
		return nil, false, ErrFormat
	}
	return nil, false, nil
}

// Slots that are read at once: twice as many each time. Most searches end within
// a few.
const (
	firstBlock = 8
	maxBlock   = 1024
)

// ahead is how much of a record's data is read together with its key.
const ahead = 64

func (r *Reader) record(position int64, key []byte) (data []byte, match bool, err error) {
	if position > r.opened.Size {
		return nil, false, ErrFormat
	}
	b := make([]byte, min(int64(8+len(key)+ahead), r.opened.Size-position))
	if err := r.read(b, position); err != nil {
		return nil, false, err
	}
	if len(b) < 8 {
		return nil, false, ErrFormat
	}
	klen, dlen := pair(b)
	b = b[8:]
	end := position + 8 + int64(klen) + int64(dlen)
	if end > r.opened.Size {
		return nil, false, ErrFormat
	}
	if int64(klen) != int64(len(key)) || string(b[:klen]) != string(key) {
		return nil, false, nil
	}
	if b = b[klen:]; len(b) >= int(dlen) {
		return b[:dlen:dlen], true, nil
	}
	data = make([]byte, dlen)
	return data, true, r.read(data, end-int64(dlen))
}

// pair unpacks the two numbers in front of b.
func pair(b []byte) (uint32, uint32) {
	return binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
}

func (r *Reader) read(b []byte, off int64) error {
	if off+int64(len(b)) > r.opened.Size {
		return ErrFormat
	}
	if r.mapped != nil {
		return r.copy(b, off)
	}
	_, err := r.f.ReadAt(b, off)
	if err == io.EOF {
		return ErrFormat // the file was cut while we read it
	}
	return err
}

// hash is the hash of the format.
func hash(key []byte) uint32 {
	h := uint32(5381)
	for _, c := range key {
		h = h*33 ^ uint32(c)
	}
	return h
}
