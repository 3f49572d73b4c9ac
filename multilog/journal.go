package multilog

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
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
	boot   [40]byte
}

type header struct {
	magic  [8]byte
	boot   [40]byte
	script uint64    // a hash of its words
	input  [2]uint64 // device and inode of stdin
	which  uint64    // of the slots
	slots  [2]slot
}

// A slot says where the data stands.
type slot struct {
	begin, known uint64 // data[begin:][:known] has been read
	open         uint64 // 1: so has what follows up to the zeros
	inTail       uint64 // 1: begin is within a line, behind its head
	logs         [maxLogs]position
}

// A position says how much of what becomes of data[begin:] a log has: what has
// been appended to the file ino since it had base bytes, and skip bytes in
// others before. ino is 0 while current is on its way to being an old log.
type position struct {
	ino, base, skip uint64
	selected        uint64 // 1: the line that begin is within goes there
}

const (
	maxLogs    = 16
	headerSize = 4096
	dataSize   = bufferSize + 4096
)

var magic = [8]byte{'m', 'u', 'l', 't', 'i', 'l', 'o', 'g'}

// openJournal maps the lock file of a log. It returns nil where there can be no
// journal: without one the same is done in memory.
func openJournal(lock fsys.File) *journal {
	fd, ok := lock.(interface{ Fd() uintptr })
	if !ok || !steady(fd) {
		return nil
	}
	boot, ok := bootName()
	if !ok {
		return nil
	}
	const size = headerSize + dataSize
	st, err := lock.Stat()
	if err != nil || st.Size != 0 && st.Size != size {
		return nil // somebody's own: a lock is all it is to us
	}
	// All of it must have its place on the disk now: a store into a mapping
	// that has none is no error, it is the end of the process.
	if err := unix.Fallocate(int(fd.Fd()), 0, 0, size); err != nil {
		unix.Ftruncate(int(fd.Fd()), st.Size)
		return nil
	}
	mem, err := unix.Mmap(int(fd.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		unix.Ftruncate(int(fd.Fd()), st.Size)
		return nil
	}
	// A page at a time: an idle multilog touches two.
	unix.Madvise(mem, unix.MADV_RANDOM)
	j := &journal{mem: mem, header: (*header)(unsafe.Pointer(&mem[0])), file: fd, boot: boot}
	if m := j.header.magic; m != magic && m != [len(m)]byte{} {
		unix.Munmap(mem)
		return nil
	}
	return j
}

// steady reports whether a file's blocks stay where they are when they are
// written again, so that this cannot fail for want of space.
func steady(fd interface{ Fd() uintptr }) bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(fd.Fd()), &st); err != nil {
		return false
	}
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return true
	}
	return false
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
	which := j.header.which & 1
	next := &j.header.slots[1-which]
	*next = j.header.slots[which]
	edit(next)
	atomic.StoreUint64(&j.header.which, 1-which)
}

// begin makes an empty journal of it.
func (j *journal) begin(script uint64, input [2]uint64) {
	if j.header.magic == magic { // otherwise it is new: zeros that need no memory yet
		atomic.StoreUint64(&j.header.slots[0].open, 0)
		atomic.StoreUint64(&j.header.slots[1].open, 0)
		clear(j.mem)
		sys.Free(j.mem)
	}
	j.header.magic, j.header.boot, j.header.script, j.header.input = magic, j.boot, script, input
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

// left returns what a multilog of this boot left, if anything, with its slot.
func (j *journal) left() (pending []byte, at slot) {
	h := j.header
	if h.magic != magic || h.boot != j.boot || h.which > 1 {
		return nil, slot{}
	}
	at = *j.slot()
	data := j.data()
	end := at.begin + at.known
	if at.begin > uint64(len(data)) || at.known > uint64(len(data)) || end > uint64(len(data)) {
		return nil, slot{}
	}
	if at.open == 1 {
		// Of a line that ends in zeros these are lost, and nothing else.
		end += uint64(len(bytes.TrimRight(data[end:], "\x00")))
	}
	if end == at.begin {
		return nil, slot{}
	}
	return bytes.Clone(data[at.begin:end]), at
}

// A buffer is what was read and not dealt with yet.
type buffer struct {
	data       []byte
	begin, end int
	journal    *journal // nil: only here
}

// room is where to read to.
func (b *buffer) room() []byte { return b.data[b.end:][:bufferSize] }

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
		b.data[b.end] = '\n'
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
	end := b.end
	b.begin, b.end = 0, copy(b.data, b.pending())
	b.mark(s, false)
	clear(b.data[b.end:end])
	atomic.StoreUint64(&b.journal.slot().open, 1)
}

func (b *buffer) mark(s *script, open bool) {
	b.journal.change(func(at *slot) {
		at.begin, at.known, at.open = uint64(b.begin), uint64(b.end-b.begin), bit(open)
		at.inTail = bit(s.inTail)
		for i, l := range s.logs {
			l.appended = 0
			at.logs[i] = position{ino: l.ino, base: uint64(l.bytes), selected: bit(s.outs[l.out].selected)}
		}
	})
}

func bit(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}

// free gives memory back that is not needed until more comes.
func (b *buffer) free() {
	if b.begin == b.end || b.journal != nil {
		sys.Free(b.data)
	}
}
