package cdb

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

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
	h := uint32(5381)
	for _, c := range []byte("one") {
		h = h*33 ^ uint32(c) // as cdb.txt has it
	}
	if hash([]byte("one")) != h {
		t.Errorf("hash %d, want %d", hash([]byte("one")), h)
	}
	if string(got[2048:end]) != record {
		t.Errorf("record %q", got[2048:end])
	}
	le := binary.LittleEndian
	for i := range uint32(256) {
		want := uint32(0)
		if i == h&255 {
			want = 2
		}
		if slots := le.Uint32(got[8*i+4:]); slots != want {
			t.Errorf("table %d has %d slots, want %d", i, slots, want)
		}
	}
	table := le.Uint32(got[8*(h&255):])
	slot := table + h>>8%2*8
	if table != end || le.Uint32(got[slot:]) != h || le.Uint32(got[slot+4:]) != 2048 || len(got) != int(end)+16 {
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
	mapped := build(t, dir, []record{{"a", "1"}, {"b", strings.Repeat("x", 10_000)}})
	mapped.Map()
	if mapped.mapped == nil {
		t.Error("not mapped")
	}
	for _, key := range []string{"a", "b"} {
		if _, found, err := mapped.Get([]byte(key)); !found || err != nil {
			t.Errorf("%s: %v, %v", key, found, err)
		}
	}
	for _, r := range []*Reader{r, mapped} {
		if err := os.Truncate("/proc/self/fd/"+fmt.Sprint(r.f.(interface{ Fd() uintptr }).Fd()), headerSize); err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Get([]byte("a")); err != ErrFormat {
			t.Errorf("%v", err)
		}
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

// A hash of 0 is one like any other. (The address is real.)
func TestHashZero(t *testing.T) {
	const zero = "39.160.226.88"
	if hash([]byte(zero)) != 0 {
		t.Fatal(hash([]byte(zero)))
	}
	records := []record{{zero, "here"}}
	for i := 0; len(records) < 20; i++ { // and others that want its slot
		if key := fmt.Sprint(i); hash([]byte(key))%tables == 0 {
			records = append(records, record{key, key})
		}
	}
	r := build(t, t.TempDir(), records)
	for _, c := range records {
		if data, found, err := r.Get([]byte(c.key)); string(data) != c.data || !found || err != nil {
			t.Errorf("%q: %q, %v, %v", c.key, data, found, err)
		}
	}
}

// Long data is read apart from its key.
func TestLongData(t *testing.T) {
	var records []record
	for n := range 3 * ahead {
		records = append(records, record{fmt.Sprint("key", n), strings.Repeat("d", n)})
	}
	r := build(t, t.TempDir(), records)
	for _, c := range records {
		if data, found, err := r.Get([]byte(c.key)); string(data) != c.data || !found || err != nil {
			t.Errorf("%q: %q, %v, %v", c.key, data, found, err)
		}
	}
}

// hostile returns a database whose only table, that of key, has slots slots,
// each made by slot.
func hostile(key string, slots int, slot func(i int) (hash, position uint32), records string) []byte {
	le := binary.LittleEndian
	file := make([]byte, headerSize)
	file = append(file, records...)
	h := hash([]byte(key))
	le.PutUint32(file[h%tables*8:], uint32(len(file)))
	le.PutUint32(file[h%tables*8+4:], uint32(slots))
	for i := range slots {
		hash, position := slot(i)
		file = le.AppendUint32(file, hash)
		file = le.AppendUint32(file, position)
	}
	return file
}

// Databases made to keep a reader busy, or to make it read elsewhere.
func TestHostile(t *testing.T) {
	const key = "10.0.0.1"
	h := hash([]byte(key))
	other := "\x08\x00\x00\x00\x00\x00\x00\x0010.0.0.2"
	for _, tt := range []struct {
		name string
		file []byte
		err  error
	}{
		{"no empty slot", hostile(key, 1000, func(int) (uint32, uint32) { return h + 1, headerSize }, other), nil},
		{"every slot has the hash", hostile(key, 1000, func(int) (uint32, uint32) { return h, headerSize }, other), nil},
		{"without end", hostile(key, maxRecords+1, func(int) (uint32, uint32) { return h, headerSize }, other), ErrFormat},
		{"a record that is the table", hostile(key, 4, func(i int) (uint32, uint32) { return h, uint32(headerSize + 8*i) }, ""), ErrFormat},
		{"a record that is the header", hostile(key, 1, func(int) (uint32, uint32) { return h, 8 }, ""), nil},
		{"a record behind the end", hostile(key, 1, func(int) (uint32, uint32) { return h, 1 << 31 }, ""), ErrFormat},
		{"a record at the end", hostile(key, 1, func(int) (uint32, uint32) { return h, headerSize + 4 }, ""), ErrFormat},
		{"data to 4 GiB", hostile(key, 1, func(int) (uint32, uint32) { return h, headerSize }, "\x08\x00\x00\x00\xff\xff\xff\xff10.0.0.1"), ErrFormat},
		{"a key of 4 GiB", hostile(key, 1, func(int) (uint32, uint32) { return h, headerSize }, "\xff\xff\xff\xff\x00\x00\x00\x0010.0.0.1"), ErrFormat},
	} {
		r, err := newReader(memory{nil, tt.file})
		if err != nil {
			t.Fatal(err)
		}
		if data, found, err := r.Get([]byte(key)); found || data != nil || err != tt.err {
			t.Errorf("%s: %q, %v, %v", tt.name, data, found, err)
		}
	}
}

// A table of 4 GiB, all holes, takes no time.
func TestHugeTable(t *testing.T) {
	file := hostile("a", 0, nil, "")
	const slots = 1 << 29
	for i := range tables {
		binary.LittleEndian.PutUint32(file[8*i:], headerSize)
		binary.LittleEndian.PutUint32(file[8*i+4:], slots-1000)
	}
	name := t.TempDir() + "/huge"
	if err := os.WriteFile(name, file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, slots*8); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	r, err := Open(fsys.OS{}, name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, found, err := r.Get([]byte("a")); found || err != nil {
		t.Errorf("%v, %v", found, err)
	}
}

// What would be behind 4 GiB is refused before it is written.
func TestTooBig(t *testing.T) {
	w := &Writer{out: bufio.NewWriter(io.Discard), at: 1<<32 - 30}
	if err := w.Add([]byte("key"), []byte("0123456789")); err != nil {
		t.Error(err)
	}
	if err := w.Add([]byte("key"), []byte("0")); err != errTooBig {
		t.Error(err)
	}
	if _, err := w.finish(); err != errTooBig { // 16 bytes of a table
		t.Error(err)
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

func (m memory) Stat() (fsys.Info, error) {
	return fsys.Info{Mode: syscall.S_IFREG, Size: int64(len(m.bytes))}, nil
}

// counting is memory that counts what is asked of it.
type counting struct {
	memory
	reads *int
}

func (c counting) ReadAt(b []byte, off int64) (int, error) {
	*c.reads++
	return c.memory.ReadAt(b, off)
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
	h := int(hash([]byte("a")) & 255)
	f.Add(good[8*h:8*h+8], good[headerSize:], []byte("a"))
	f.Add([]byte("\x00\x08\x00\x00\xff\xff\xff\x7f"), good[headerSize:], []byte("a"))
	f.Add([]byte("\x00\x08\x00\x00\x01\x00\x00\x00"), []byte("\x04\xb5\x02\x00\xff\xff\xff\xff"), []byte("a"))
	f.Fuzz(func(t *testing.T, pair, rest, key []byte) {
		file := make([]byte, headerSize, headerSize+len(rest))
		copy(file[hash(key)&255*8:][:8], pair)
		file = append(file, rest...)
		reads := 0
		r, err := newReader(counting{memory{nil, file}, &reads})
		if err != nil {
			t.Fatal(err)
		}
		data, found, err := r.Get(key)
		if found && err == nil && !bytes.Contains(file, append(bytes.Clone(key), data...)) {
			t.Errorf("%q under %q is not in the file", data, key)
		}
		if err != nil && err != ErrFormat {
			t.Error(err)
		}
		// The header, and for each slot itself and twice its record.
		if len(data) > len(file) || reads > 1+3*len(file)/8 {
			t.Errorf("%d bytes, %d reads of %d bytes", len(data), reads, len(file))
		}
	})
}
