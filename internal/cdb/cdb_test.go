package cdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/fsys"
)

type record struct{ key, data string }

// build makes the file name in dir and opens it.
func build(t testing.TB, dir string, records []record) *Reader {
	t.Helper()
	fs := fsys.OS{Root: dir}
	f, err := fs.Open("f.tmp", fsys.WRONLY|fsys.CREATE|fsys.TRUNC, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = Write(f, func(w *Writer) error {
		for _, r := range records {
			if err := w.Add([]byte(r.key), []byte(r.data)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = fs.Rename("f.tmp", "f.cdb")
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(fs, "f.cdb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestGet(t *testing.T) {
	records := []record{{"", "of the empty key"}, {"one", "Hello"}, {"two", ""}, {"one", "again"}, {"\x00\xff", "\x00"}}
	for i := range 2000 {
		records = append(records, record{fmt.Sprint("key", i), strings.Repeat("x", i%50) + fmt.Sprint(i)})
	}
	r := build(t, t.TempDir(), records)
	seen := map[string]bool{}
	for _, c := range records {
		if seen[c.key] {
			continue // the first one is found
		}
		seen[c.key] = true
		if data, found, err := r.Get([]byte(c.key)); string(data) != c.data || !found || err != nil {
			t.Errorf("%q: %q, %v, %v", c.key, data, found, err)
		}
	}
	for _, key := range []string{"none", "on", "onee", "key2000", "\x00"} {
		if data, found, err := r.Get([]byte(key)); data != nil || found || err != nil {
			t.Errorf("%q: %q, %v, %v", key, data, found, err)
		}
	}
}

func TestEmptyDatabase(t *testing.T) {
	r := build(t, t.TempDir(), nil)
	if data, found, err := r.Get([]byte("x")); data != nil || found || err != nil {
		t.Errorf("%q, %v, %v", data, found, err)
	}
}

// The bytes are those of the format: a record at 2048, its hash table behind
// it. cdbmake and tcprules write the same file.
func TestFormat(t *testing.T) {
	dir := t.TempDir()
	build(t, dir, []record{{"one", "Hello"}})
	got, err := os.ReadFile(dir + "/f.cdb")
	if err != nil {
		t.Fatal(err)
	}
	const record = "\x03\x00\x00\x00\x05\x00\x00\x00oneHello"
	end := uint32(2048 + len(record))
	hash := uint32(5381)
	for _, c := range []byte("one") {
		hash = (hash*33 ^ uint32(c)) // as cdb.txt has it
	}
	if Hash([]byte("one")) != hash {
		t.Errorf("hash %d, want %d", Hash([]byte("one")), hash)
	}
	if string(got[2048:end]) != record {
		t.Errorf("record %q", got[2048:end])
	}
	le := binary.LittleEndian
	for i := range uint32(256) {
		want := uint32(0)
		if i == hash&255 {
			want = 2
		}
		if slots := le.Uint32(got[8*i+4:]); slots != want {
			t.Errorf("table %d has %d slots, want %d", i, slots, want)
		}
	}
	table := le.Uint32(got[8*(hash&255):])
	slot := table + hash>>8%2*8
	if table != end || le.Uint32(got[slot:]) != hash || le.Uint32(got[slot+4:]) != 2048 || len(got) != int(end)+16 {
		t.Errorf("table at %d: %x", table, got[table:])
	}
}

func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	fs := fsys.OS{Root: dir}
	for name, size := range map[string]int{"empty": 0, "short": headerSize - 1} {
		if err := os.WriteFile(dir+"/"+name, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(fs, name); err != ErrFormat {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(fs, "none"); err != syscall.ENOENT {
		t.Errorf("no file: %v", err)
	}
	if _, err := Open(fs, "."); err != ErrFormat {
		t.Errorf("a directory: %v", err)
	}
}

// Every prefix of a database gives the right answer or an error, never a wrong
// "not found": a damaged table must not open a door.
func TestTruncated(t *testing.T) {
	dir := t.TempDir()
	records := []record{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"aa", strings.Repeat("x", 100)}}
	build(t, dir, records)
	whole, err := os.ReadFile(dir + "/f.cdb")
	if err != nil {
		t.Fatal(err)
	}
	fs := fsys.OS{Root: dir}
	for n := headerSize; n < len(whole); n++ {
		if err := os.WriteFile(dir+"/cut", whole[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := Open(fs, "cut")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range records {
			data, found, err := r.Get([]byte(c.key))
			if err == nil && (!found || string(data) != c.data) || err != nil && err != ErrFormat {
				t.Errorf("%d bytes, %q: %q, %v, %v", n, c.key, data, found, err)
			}
		}
		r.Close()
	}
}

// A file that shrinks while it is open is damaged, not empty.
func TestTruncatedBehindOurBack(t *testing.T) {
	dir := t.TempDir()
	r := build(t, dir, []record{{"a", "1"}})
	if err := os.Truncate(dir+"/f.cdb", headerSize); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Get([]byte("a")); err != ErrFormat {
		t.Errorf("%v", err)
	}
}

// A reader that has the old database keeps it.
func TestReaderOfAReplacedDatabase(t *testing.T) {
	dir := t.TempDir()
	old := build(t, dir, []record{{"a", "1"}})
	build(t, dir, []record{{"a", "2"}})
	if data, _, err := old.Get([]byte("a")); string(data) != "1" || err != nil {
		t.Errorf("the old one: %q, %v", data, err)
	}
}

// What fill cannot do is Write's error.
func TestWriteFails(t *testing.T) {
	f, err := fsys.OS{Root: t.TempDir()}.Open("f", fsys.WRONLY|fsys.CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	broken := errors.New("broken")
	if err := Write(f, func(*Writer) error { return broken }); err != broken {
		t.Errorf("%v", err)
	}
}

// memory is an fsys.File of bytes.
type memory struct {
	fsys.File
	bytes []byte
}

func (m memory) ReadAt(b []byte, off int64) (int, error) {
	return bytes.NewReader(m.bytes).ReadAt(b, off)
}

func FuzzGet(f *testing.F) {
	dir := f.TempDir()
	build(f, dir, []record{{"a", "1"}, {"b", "2"}})
	good, err := os.ReadFile(dir + "/f.cdb")
	if err != nil {
		f.Fatal(err)
	}
	// The header is 2048 bytes of which a key uses 8: the fuzzer gets those,
	// and what stands behind the header.
	h := int(Hash([]byte("a")) & 255)
	f.Add(good[8*h:8*h+8], good[headerSize:], []byte("a"))
	f.Add([]byte("\x00\x08\x00\x00\xff\xff\xff\x7f"), good[headerSize:], []byte("a"))
	f.Add([]byte("\x00\x08\x00\x00\x01\x00\x00\x00"), []byte("\x04\xb5\x02\x00\xff\xff\xff\xff"), []byte("a"))
	f.Fuzz(func(t *testing.T, pair, rest, key []byte) {
		file := make([]byte, headerSize, headerSize+len(rest))
		copy(file[Hash(key)&255*8:][:8], pair)
		file = append(file, rest...)
		r := &Reader{memory{nil, file}, int64(len(file))}
		start := time.Now()
		data, found, err := r.Get(key)
		if found && err == nil && !bytes.Contains(file, append(bytes.Clone(key), data...)) {
			t.Errorf("%q under %q is not in the file", data, key)
		}
		if err != nil && err != ErrFormat {
			t.Error(err)
		}
		if len(data) > len(file) || time.Since(start) > 10*time.Second {
			t.Errorf("%d bytes, %v", len(data), time.Since(start))
		}
	})
}
