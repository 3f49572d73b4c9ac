package strerr

import (
	"fmt"
	"syscall"
	"testing"
)

// What log readers match (error_str.c of qmail, daemontools and ucspi-tcp).
func TestWords(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		syscall.ENOENT:       "file does not exist",
		syscall.EACCES:       "access denied",
		syscall.EPERM:        "permission denied",
		syscall.EAGAIN:       "temporary failure",
		syscall.EROFS:        "read-only file system",
		syscall.ENXIO:        "device not configured",
		syscall.EMFILE:       "process cannot open more files",
		syscall.ENOSPC:       "out of disk space",
		syscall.ECONNREFUSED: "connection refused",
		syscall.EADDRINUSE:   "address already used",
		syscall.ENONET:       "machine not on network",
	} {
		if got := Text(fmt.Errorf("wrapped: %w", errno)); got != want {
			t.Errorf("%d: %q, want %q", int(errno), got, want)
		}
	}
	if got := Text(syscall.ENODATA); got != "no data available" {
		t.Errorf("a number that djb has no words for: %q", got)
	}
}

func TestTemporary(t *testing.T) {
	for errno, want := range map[syscall.Errno]bool{
		syscall.ENOSPC: true, syscall.ENOLCK: true, syscall.EAGAIN: true, syscall.ESTALE: true,
		syscall.ENOENT: false, syscall.EACCES: false, syscall.EROFS: false, syscall.ELOOP: false,
	} {
		if got := Temporary(Unable("open", "file", errno)); got != want {
			t.Errorf("%v: %v", errno, got)
		}
	}
}
