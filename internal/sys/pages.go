package sys

import "golang.org/x/sys/unix"

// Pages returns n bytes of zeros outside the garbage-collected heap, for a large
// buffer of a program that is idle most of its life: what it has not touched
// yet, and what it gives back with [Free], costs no memory.
func Pages(n int) ([]byte, error) {
	return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
}

// Free gives memory back. What came from [Pages] is zeros when it is used next;
// a shared mapping of a file has the file's contents, as before.
func Free(pages []byte) { unix.Madvise(pages, unix.MADV_DONTNEED) }
