// Package tcpto remembers, for all of a queue's SMTP clients together, which
// hosts did not answer when they were called (tcpto.c), so that not every
// delivery waits for the same dead host.
//
//	queue/lock/tcpto    64 records of 16 bytes   the C programs' table
//	queue/lock/tcpto6   64 records of 32 bytes   the same for IPv6; ours
//
//	addr   4 or 16   the address
//	count        1   time-outs since it last answered, 10 at most; 0: free
//	             3   unused
//	when         4   the last of them, Unix seconds, little-endian
//	             4   unused; 8 in tcpto6
//
// Whoever reads or writes holds an exclusive flock(2). The tables are advice:
// one that is absent, short or cannot be read is the same as an empty one, and
// nothing ever fails for it. They are made when the system is installed, for
// the clients may not create files there.
package tcpto

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"paperpath/internal/sys"
)

const (
	records = 64

	dead   = 2       // time-outs until a host is left alone
	most   = 10      // what the count stops at
	apart  = 120     // seconds between time-outs that count
	pause  = 60 << 6 // seconds that a host is left alone, and as many times
	spread = 32      // 64 more, drawn anew, so that not all come back at once
)

// Table is the pair of tables of one queue.
type Table struct {
	lock string // the directory
	now  func() time.Time
}

// Of returns the tables of the qmail home at path home.
func Of(home string) *Table { return &Table{home + "/queue/lock", time.Now} }

// Dead reports whether addr should not be called now, and whether it is in
// the table at all: only then an answer from it is worth recording.
func (t *Table) Dead(addr netip.Addr) (isDead, known bool) {
	rows := t.open(addr)
	if rows == nil {
		return false, false
	}
	defer rows.file.Close()
	i := rows.find(addr)
	if i < 0 {
		return false, false
	}
	// A time of the future is one before the clock was set back: its age is
	// then enormous, and the host is called.
	quiet := rows.count(i) >= dead && t.clock()-rows.when(i) < uint32(pause+rand.IntN(spread)<<6)
	return quiet, true
}

// Answered records that addr answered, if only to refuse.
func (t *Table) Answered(addr netip.Addr) {
	rows := t.open(addr)
	if rows == nil {
		return
	}
	defer rows.file.Close()
	if i := rows.find(addr); i >= 0 {
		rows.write(i, addr, 0, rows.when(i))
	}
}

// TimedOut records that addr did not answer in time.
func (t *Table) TimedOut(addr netip.Addr) {
	rows := t.open(addr)
	if rows == nil {
		return
	}
	defer rows.file.Close()
	now := t.clock()
	i := rows.find(addr)
	if i < 0 {
		rows.write(rows.room(), addr, 1, now)
		return
	}
	if rows.count(i) > 0 && now-rows.when(i) < apart {
		return // the same outage, seen by another delivery
	}
	rows.write(i, addr, min(rows.count(i)+1, most), now)
}

// Clear empties both tables.
func (t *Table) Clear() error {
	if err := t.empty(v6); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // (a home that the C programs laid out has none)
	}
	return t.empty(v4)
}

func (t *Table) empty(format format) error {
	// By no link: root clears the table, in a directory that is qmailq's.
	f, err := sys.Open(t.lock+"/"+format.name, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := sys.Lock(int(f.Fd()), true); err != nil {
		return err
	}
	_, err = f.Write(make([]byte, records*format.record))
	return err
}

func (t *Table) clock() uint32 { return uint32(t.now().Unix()) }

// format is one of the two kinds of table.
type format struct {
	name   string
	addr   int // bytes of an address
	record int // bytes of a record
}

var (
	v4 = format{"tcpto", 4, 16}
	v6 = format{"tcpto6", 16, 32}
)

// table is one file, locked, with what was in it.
type table struct {
	format
	file *sys.FD
	b    []byte
}

// open returns nil if there is no table.
func (t *Table) open(addr netip.Addr) *table {
	format := v6
	if addr.Is4() {
		format = v4
	}
	r, err := t.read(format, os.O_RDWR)
	if err != nil {
		return nil
	}
	if len(r.b) == 0 {
		r.file.Close()
		return nil
	}
	return r
}

// read locks and reads the table of one kind; what is not a whole record at its
// end is left out. The error is an *os.PathError whose Op says what failed.
func (t *Table) read(format format, flags int) (*table, error) {
	failed := func(op string, err error) (*table, error) {
		return nil, &os.PathError{Op: op, Path: format.name, Err: err}
	}
	f, err := sys.Open(t.lock+"/"+format.name, flags, 0)
	if err != nil {
		return failed("open", err)
	}
	r := &table{format, f, make([]byte, records*format.record)}
	if err := sys.Lock(int(f.Fd()), true); err != nil {
		f.Close()
		return failed("lock", err)
	}
	n, err := io.ReadFull(f, r.b)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		f.Close()
		return failed("read", err)
	}
	r.b = r.b[:n-n%r.record]
	return r, nil
}

func (r *table) rows() int         { return len(r.b) / r.record }
func (r *table) row(i int) []byte  { return r.b[i*r.record:][:r.record] }
func (r *table) count(i int) byte  { return r.row(i)[r.addr] }
func (r *table) when(i int) uint32 { return binary.LittleEndian.Uint32(r.row(i)[r.addr+4:]) }

func (r *table) find(addr netip.Addr) int {
	for i := range r.rows() {
		if slices.Equal(r.row(i)[:r.addr], addr.AsSlice()) {
			return i
		}
	}
	return -1
}

// room returns a free record, or the one to give up: the oldest, where every
// time-out counts like 1024 seconds.
func (r *table) room() int {
	best, oldest := 0, int64(1)<<62
	for i := range r.rows() {
		if r.count(i) == 0 {
			return i
		}
		if age := int64(r.when(i)) + int64(r.count(i))<<10; age < oldest {
			best, oldest = i, age
		}
	}
	return best
}

func (r *table) write(i int, addr netip.Addr, count byte, when uint32) {
	b := r.row(i)
	copy(b, addr.AsSlice())
	b[r.addr] = count
	binary.LittleEndian.PutUint32(b[r.addr+4:], when)
	if _, err := r.file.Seek(int64(i*len(b)), io.SeekStart); err == nil {
		r.file.Write(b) // one that fails leaves the host to be tried again
	}
}
