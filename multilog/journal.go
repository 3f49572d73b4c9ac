package multilog

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

// A journal is the input buffer, kept where it outlives the process: stdin is
// read straight into a shared mapping of the first log's "lock", a file that has
// no other contents and that no other multilog can hold at the same time. If a
// multilog is killed, the next one finds in the journal the input that had been
// read but not written. The length of a log's file shows how much of the output
// from that input had been written. After a power cut the contents mean nothing;
// the boot ID tells.
//
//	header  4096 bytes
//	data    the input that was read; zeros elsewhere
//
// A kill can come between any two stores, so every change takes effect with a
// single store: the header has two slots and says which one is valid.
type journal struct {
	mem    []byte
	header *header
	file   interface{ Fd() uintptr }
	pause  func() // warns that the disk has no room for the journal, and waits
	boot   [40]byte
	script uint64    // hash of the script, which the next mark stores
	input  [2]uint64 // identity of stdin, likewise
}

type header struct {
	magic uint64
	boot  [40]byte
	which uint64 // index of the valid slot
	slots [2]slot
}

// A slot says which part of data is input that has not been dealt with.
type slot struct {
	script       uint64    // a hash of its words
	input        [2]uint64 // device and inode of stdin
	begin, known uint64    // data[begin:][:known] has been read
	open         uint64    // 1: the bytes after that, up to the zeros, have been read too
	inTail       uint64    // 1: begin is within a line, after its head
	selected     uint64    // that line goes to the outs whose bits are set
	logs         [maxLogs]position
}

// A position says how much of the output from data[begin:] a log has: skip bytes
// in earlier files, and whatever has been appended to the file ino since it had
// base bytes. ino is 0 while current is being turned into an old log.
type position struct{ ino, base, skip uint64 }

const (
	maxLogs    = 16
	headerSize = 4096
	dataSize   = bufferSize + 4096
	lockSize   = headerSize + dataSize // the same in every layout

	// A position beyond this is not valid: no log file is so large.
	maxPosition = 1 << 40
)

const _ = uint(headerSize - unsafe.Sizeof(header{}))

// The magic says that the file is a journal, and which layout the header and the
// slots have. Any change to them needs a new layout number, because a multilog
// that was killed may be followed by a newer one. A journal of layout 0 is not
// to be read.
const (
	layout   = 2
	magic    = layout<<56 | ours
	ours     = 'o'<<48 | 'l'<<40 | 'i'<<32 | 't'<<24 | 'l'<<16 | 'u'<<8 | 'm'
	oursMask = 1<<56 - 1
)

// openJournal maps the lock file of a log. It returns nil where no journal is
// possible; the input is then buffered in private memory.
func openJournal(lock fsys.File) *journal {
	fd, ok := lock.(interface{ Fd() uintptr })
	if !ok {
		return nil
	}
	boot, ok := bootName()
	if !ok {
		return nil
	}
	st, err := lock.Stat()
	if err != nil || st.Size != 0 && st.Size != lockSize {
		return nil // somebody else's data: use the file as a lock only
	}
	// Allocate all its blocks on the disk now, if the file system can.
	err = unix.Fallocate(int(fd.Fd()), 0, 0, lockSize)
	if err == unix.EOPNOTSUPP {
		err = unix.Ftruncate(int(fd.Fd()), lockSize)
	}
	if err != nil {
		unix.Ftruncate(int(fd.Fd()), st.Size)
		return nil
	}
	mem, err := unix.Mmap(int(fd.Fd()), 0, lockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		unix.Ftruncate(int(fd.Fd()), st.Size)
		return nil
	}
	// No read-ahead, pages come in one by one: an idle multilog touches only two.
	unix.Madvise(mem, unix.MADV_RANDOM)
	j := &journal{mem: mem, header: (*header)(unsafe.Pointer(&mem[0])), file: fd, boot: boot}
	if m := j.header.magic; m != 0 && m&oursMask != ours {
		unix.Munmap(mem)
		return nil
	}
	return j
}

// bootName returns the kernel's ID of this boot.
func bootName() (name [40]byte, ok bool) {
	text, err := fsys.ReadFile(fsys.OS{}, "/proc/sys/kernel/random/boot_id", int64(len(name)))
	return name, err == nil && copy(name[:], text) > 0
}

func hashWords(words []string) uint64 {
	h := fnv.New64a()
	for _, word := range words {
		var size [8]byte
		binary.LittleEndian.PutUint64(size[:], uint64(len(word)))
		h.Write(size[:])
		h.Write([]byte(word))
	}
	return h.Sum64()
}

func (j *journal) data() []byte { return j.mem[headerSize:] }

// slot returns the valid slot.
func (j *journal) slot() *slot { return &j.header.slots[j.header.which&1] }

// change edits a copy of the valid slot, and then makes the copy the valid one.
func (j *journal) change(edit func(*slot)) {
	j.store(func() {
		which := j.header.which & 1
		next := &j.header.slots[1-which]
		*next = j.header.slots[which]
		edit(next)
		atomic.StoreUint64(&j.header.which, 1-which)
	})
}

// store calls do, which stores into the mapping, again and again until it
// succeeds. On a file system that does not write in place (btrfs, ZFS, f2fs,
// perhaps below an overlay or on a server) any store may need room on the disk.
// If there is none, the kernel sends SIGBUS and leaves the page unchanged.
func (j *journal) store(do func()) {
	for {
		fault := fault(do)
		if fault == nil {
			return
		}
		if j.truncated() {
			panic(fault) // waiting for room does not help
		}
		j.pause()
	}
}

// fault calls do and returns the memory fault that ended it, if any.
func fault(do func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if at, ok := r.(interface {
			error
			Addr() uintptr
		}); ok {
			err = at
		} else if r != nil {
			panic(r)
		}
	}()
	do()
	return nil
}

// truncated reports whether the lock file has been truncated, which removes the
// pages of the mapping.
func (j *journal) truncated() bool {
	var st unix.Stat_t
	err := unix.Fstat(int(j.file.Fd()), &st)
	return err == nil && st.Size < lockSize
}

// begin empties the journal, which is not to be read before the first mark.
func (j *journal) begin() {
	j.store(func() {
		if j.header.magic != 0 { // a new file is all zeros and needs no memory yet
			atomic.StoreUint64(&j.header.magic, ours)
			clear(j.mem[unsafe.Sizeof(j.header.magic):])
			sys.Free(j.mem)
		}
		j.header.boot = j.boot
	})
}

// identity tells one stdin from another by device and inode; it is zero if stdin
// is no descriptor.
func identity(stdin proc.File) (id [2]uint64) {
	var st unix.Stat_t
	if fd, ok := proc.Descriptor(stdin); ok && unix.Fstat(fd, &st) == nil {
		id = [2]uint64{st.Dev, st.Ino}
	}
	return id
}

// end truncates the lock file: an empty one is what the C program has.
func (j *journal) end() { unix.Ftruncate(int(j.file.Fd()), 0) }

// foreign reports whether the journal has the layout of another version.
func (j *journal) foreign() bool {
	m := j.header.magic
	return m != 0 && m != magic && m != ours
}

// left returns the input that a multilog of this boot read and did not deal with,
// and its slot; pending is nil if nothing is to be done. It is empty but not nil
// if the input ended within a line of which everything so far was written: the
// rest of that line is still to be waited for.
func (j *journal) left() (pending []byte, at slot) {
	h := j.header
	if h.magic != magic || h.boot != j.boot || h.which > 1 {
		return nil, slot{}
	}
	at = *j.slot()
	for _, p := range at.logs {
		if p.base > maxPosition || p.skip > maxPosition {
			return nil, slot{}
		}
	}
	data := j.data()
	end := at.begin + at.known
	if at.begin > uint64(len(data)) || at.known > uint64(len(data)) || end > uint64(len(data)) {
		return nil, slot{}
	}
	if at.open == 1 {
		// If the input ended in NULs, these are lost, and nothing else.
		end += uint64(len(bytes.TrimRight(data[end:], "\x00")))
	}
	if end == at.begin && at.inTail == 0 {
		return nil, slot{}
	}
	return append([]byte{}, data[at.begin:end]...), at
}

// A buffer holds input that was read and not dealt with yet.
type buffer struct {
	data       []byte
	begin, end int
	atOnce     int      // bytes per read
	journal    *journal // nil if data is private memory
	begun      []byte   // a copy of pending at the last mark, for [buffer.check]
}

// room returns the space for the next read.
func (b *buffer) room() []byte { return b.data[b.end:][:b.atOnce] }

// came says that n bytes have been read into room.
func (b *buffer) came(n int) {
	b.end += n
	if b.journal != nil && b.data[b.end] != 0 {
		// The disk had no room for the pages of a whole read. The kernel has copied
		// bytes beyond n too, but not consumed them: the next read brings them
		// again.
		b.store(func() { clear(bytes.TrimRight(b.data[b.end:], "\x00")) })
	}
}

func (b *buffer) pending() []byte { return b.data[b.begin:b.end] }

// apply applies the script to the pending input.
func (b *buffer) apply(s *script) {
	b.begin = b.end - len(s.take(b.pending()))
	s.flush()
	b.commit(s)
}

// finish completes a last line that has no line feed.
func (b *buffer) finish(s *script) {
	if b.begin < b.end || s.inTail {
		b.store(func() { b.data[b.end] = '\n' })
		b.end++
		b.apply(s)
	}
}

// commit records that the output from all input before begin is written.
func (b *buffer) commit(s *script) {
	if b.journal == nil {
		b.end = copy(b.data, b.pending())
		b.begin = 0
		return
	}
	if b.end <= 2*headSize && b.begin < b.end {
		// There is room for the next read after the pending input, so it stays
		// where it is. (It could not be moved: the copy must not overlap the
		// original.)
		b.mark(s, true)
		return
	}
	b.mark(s, false)
	b.store(func() { copy(b.data, b.pending()) })
	end := b.end
	b.begin, b.end = 0, b.end-b.begin
	b.mark(s, false)
	b.store(func() {
		clear(b.data[b.end:end])
		atomic.StoreUint64(&b.journal.slot().open, 1)
	})
}

// store makes stores into data.
func (b *buffer) store(do func()) {
	if b.journal != nil {
		b.journal.store(do)
	} else {
		do()
	}
}

// mark records in the journal where the pending input is, and that everything
// before it is written.
func (b *buffer) mark(s *script, open bool) {
	j := b.journal
	j.change(func(at *slot) {
		at.script, at.input = j.script, j.input
		at.begin, at.known, at.open = uint64(b.begin), uint64(b.end-b.begin), bit(open)
		at.inTail, at.selected = bit(s.inTail), s.selectedBits()
		for i, l := range s.logs {
			l.appended = 0
			at.logs[i] = position{ino: l.ino, base: uint64(l.bytes)}
		}
	})
	if j.header.magic != magic {
		j.store(func() { atomic.StoreUint64(&j.header.magic, magic) })
	}
	b.begun = append(b.begun[:0], b.pending()...)
}

// selectedBits returns one bit for each of the first outs: whether it gets the
// line that is being passed through.
func (s *script) selectedBits() (bits uint64) {
	for i, o := range s.outs[:min(len(s.outs), 64)] {
		bits |= bit(o.selected) << i
	}
	return bits
}

func (s *script) setSelected(bits uint64) {
	for i, o := range s.outs[:min(len(s.outs), 64)] {
		o.selected = bits>>i&1 == 1
	}
}

func bit(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}

// check reports whether the lock file has been truncated. If so, it replaces the
// journal by private memory. It is called when a read has brought no input; a
// truncation between a read and the writes that follow cannot be handled.
func (b *buffer) check(s *script) bool {
	j := b.journal
	if j == nil || !j.truncated() {
		return false
	}
	_, err := unix.MmapPtr(-1, 0, unsafe.Pointer(&j.mem[0]), lockSize,
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED)
	if err != nil {
		return false
	}
	copy(b.pending(), b.begun)
	j.end()
	b.journal, b.atOnce = nil, unkeptSize
	for _, l := range s.logs {
		l.journal = nil
	}
	return true
}

// free gives back memory that is not needed until more input comes.
func (b *buffer) free() {
	if b.begin == b.end || b.journal != nil {
		sys.Free(b.data)
	}
}
