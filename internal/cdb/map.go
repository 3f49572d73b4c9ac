package cdb

import (
	"math"
	"runtime/debug"
	"syscall"
)

// Map has r read the file in memory from now on, without a system call for each
// slot and record. Where that cannot be it does nothing.
func (r *Reader) Map() {
	f, ok := r.f.(interface{ Fd() uintptr })
	if !ok || r.opened.Size > math.MaxInt32 {
		return
	}
	if mapped, err := syscall.Mmap(int(f.Fd()), 0, int(r.opened.Size), syscall.PROT_READ, syscall.MAP_SHARED); err == nil {
		r.mapped = mapped
	}
}

func (r *Reader) unmap() {
	if r.mapped != nil {
		syscall.Munmap(r.mapped)
		r.mapped = nil
	}
}

// copy is read from memory. Where the file was cut short there is none any more,
// which would end the process.
func (r *Reader) copy(b []byte, off int64) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = ErrFormat
		}
	}()
	copy(b, r.mapped[off:])
	return nil
}
