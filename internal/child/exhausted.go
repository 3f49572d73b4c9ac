package child

import (
	"errors"
	"syscall"
)

// Exhausted reports whether err, of Start, means that the system has no process
// (or no descriptor for its pipe) to spare just now: fork's errors, which say
// nothing about the program.
func Exhausted(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOMEM) ||
		errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
