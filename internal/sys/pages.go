package sys

import "golang.org/x/sys/unix"

// Pages returns n bytes of zeros outside the garbage-collected heap, for a large
// buffer of a program that is idle most of its life: what it has not touched
// yet, and what it gives back with [Free], costs no memory.
func Pages(n int) ([]byte, error) {
	return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
}

// Free gives the memory of Pages back; they are zeros again when they are used
// next.
func Free(pages []byte) { unix.Madvise(pages, unix.MADV_DONTNEED) }
