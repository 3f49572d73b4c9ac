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
// no other contents and that no other multilog can have at the same time. What
// a killed multilog had read and not written yet the next one finds there, and
// how much of what it makes had been written the log's own file tells: by its
// length. After a power cut the contents mean nothing; a boot has a name.
//
//	header  4096 bytes
//	data    what was read; zeros where nothing is
//
// Whatever happens must show as one store: the header has two slots and says
// which one counts.
type journal struct {
	mem    []byte
	header *header
	file   interface{ Fd() uintptr }
	pause  func() // tells that there is no room for it, and waits
	boot   [40]byte
	script uint64    // that which is applied from the next mark on
	input  [2]uint64 // and to what
}

type header struct {
	magic uint64
	boot  [40]byte
	which uint64 // of the slots
	slots [2]slot
}

// A slot says where the data stands.
type slot struct {
	script       uint64    // a hash of its words
	input        [2]uint64 // device and inode of stdin
	begin, known uint64    // data[begin:][:known] has been read
	open         uint64    // 1: so has what follows up to the zeros
	inTail       uint64    // 1: begin is within a line, behind its head
	selected     uint64    // that line goes to the outs whose bits are set
	logs         [maxLogs]position
}

// A position says how much of what becomes of data[begin:] a log has: what has
// been appended to the file ino since it had base bytes, and skip bytes in
// others before. ino is 0 while current is on its way to being an old log.
type position struct{ ino, base, skip uint64 }

const (
	maxLogs    = 16
	headerSize = 4096
	dataSize   = bufferSize + 4096
	lockSize   = headerSize + dataSize // the same in every layout

	// A position that is beyond it is none: no file of ours is so large.
	maxPosition = 1 << 40
)

const _ = uint(headerSize - unsafe.Sizeof(header{}))

// The magic says that the file is a journal and which layout header and slot
// have. Who changes them changes the number: a multilog that was killed may be
// followed by a newer one. Layout 0 is what nobody is to read.
const (
	layout   = 2
	magic    = layout<<56 | ours
	ours     = 'o'<<48 | 'l'<<40 | 'i'<<32 | 't'<<24 | 'l'<<16 | 'u'<<8 | 'm'
	oursMask = 1<<56 - 1
)

// openJournal maps the lock file of a log. It returns nil where there can be no
// journal: without one the same is done in memory.
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
		return nil // somebody's own: a lock is all it is to us
	}
	// All of it gets its place on the disk now, if that is to be had.
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
	// A page at a time: an idle multilog touches two.
	unix.Madvise(mem, unix.MADV_RANDOM)
	j := &journal{mem: mem, header: (*header)(unsafe.Pointer(&mem[0])), file: fd, boot: boot}
	if m := j.header.magic; m != 0 && m&oursMask != ours {
		unix.Munmap(mem)
		return nil
	}
	return j
}

// bootName names this boot of the machine.
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

// slot returns the one that counts.
func (j *journal) slot() *slot { return &j.header.slots[j.header.which&1] }

// change makes an edited copy of the slot the one that counts.
func (j *journal) change(edit func(*slot)) {
	j.store(func() {
		which := j.header.which & 1
		next := &j.header.slots[1-which]
		*next = j.header.slots[which]
		edit(next)
		atomic.StoreUint64(&j.header.which, 1-which)
	})
}

// store makes stores into the mapping, again and again until all have been made.
// Where a file is not written in place (btrfs, ZFS, f2fs, and perhaps below an
// overlay or on a server) any of them may need room on the disk. If there is none
// the kernel says so with SIGBUS, and the page is as it was.
func (j *journal) store(do func()) {
	for {
		fault := fault(do)
		if fault == nil {
			return
		}
		if j.truncated() {
			panic(fault) // what is gone was not only room
		}
		j.pause()
	}
}

// fault returns what went wrong with an access to memory in do.
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

// truncated reports whether somebody has truncated the lock file, which takes
// away the pages of the mapping.
func (j *journal) truncated() bool {
	var st unix.Stat_t
	err := unix.Fstat(int(j.file.Fd()), &st)
	return err == nil && st.Size < lockSize
}

// begin makes an empty journal of it, which nothing has been said in yet.
func (j *journal) begin() {
	j.store(func() {
		if j.header.magic != 0 { // otherwise it is new: zeros that need no memory yet
			atomic.StoreUint64(&j.header.magic, ours)
			clear(j.mem[unsafe.Sizeof(j.header.magic):])
			sys.Free(j.mem)
		}
		j.header.boot = j.boot
	})
}

// identity tells one stdin from another, as far as it is a descriptor.
func identity(stdin proc.File) (id [2]uint64) {
	var st unix.Stat_t
	if fd, ok := proc.Descriptor(stdin); ok && unix.Fstat(fd, &st) == nil {
		id = [2]uint64{st.Dev, st.Ino}
	}
	return id
}

// end leaves the lock file as the C program has it.
func (j *journal) end() { unix.Ftruncate(int(j.file.Fd()), 0) }

// foreign reports whether another multilog's layout is in it.
func (j *journal) foreign() bool {
	m := j.header.magic
	return m != 0 && m != magic && m != ours
}

// left returns what a multilog of this boot left, with its slot; nil if there is
// nothing to be done. A line that has not ended may be all that is left, and all
// of it written: then there is no byte, and still the rest of it to be waited for.
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
		// Of a line that ends in zeros these are lost, and nothing else.
		end += uint64(len(bytes.TrimRight(data[end:], "\x00")))
	}
	if end == at.begin && at.inTail == 0 {
		return nil, slot{}
	}
	return append([]byte{}, data[at.begin:end]...), at
}

// A buffer is what was read and not dealt with yet.
type buffer struct {
	data       []byte
	begin, end int
	atOnce     int      // so much is read
	journal    *journal // nil: only here
	begun      []byte   // what was pending at the last mark, for [buffer.check]
}

// room is where to read to.
func (b *buffer) room() []byte { return b.data[b.end:][:b.atOnce] }

// came says that n bytes have been read to there.
func (b *buffer) came(n int) {
	b.end += n
	if b.journal != nil && b.data[b.end] != 0 {
		// There was no room for all that was there to be read, and a part of the
		// rest has been copied, but not taken: it will come again.
		b.store(func() { clear(bytes.TrimRight(b.data[b.end:], "\x00")) })
	}
}

func (b *buffer) pending() []byte { return b.data[b.begin:b.end] }

// apply applies the script to what is pending.
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

// commit says that all up to begin is written.
func (b *buffer) commit(s *script) {
	if b.journal == nil {
		b.end = copy(b.data, b.pending())
		b.begin = 0
		return
	}
	if b.end <= 2*headSize && b.begin < b.end {
		// There is room for more behind it. (And no room to move it: the copy
		// must not touch what it is a copy of.)
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

// mark says in the journal where the data stands, and that all before is written.
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

// selectedBits says for the first outs whether they get the line that is being
// passed through.
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

// check reports whether the lock file has been truncated. Then it goes on without
// a journal, in private memory. It is for the moments after a wait: between a read
// and the writes that follow nobody can be helped.
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

// free gives memory back that is not needed until more comes.
func (b *buffer) free() {
	if b.begin == b.end || b.journal != nil {
		sys.Free(b.data)
	}
}
