package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// tiny is a program without a library, so that what is measured is who starts
// it and not its own start.
type tiny struct {
	name  string
	amd64 []byte // machine code
	c     string // the same, for the compiler of other machines
}

var (
	// nothing does nothing.
	nothing = tiny{"nothing", []byte{
		0xb8, 60, 0, 0, 0, // mov $60, %eax  exit
		0x31, 0xff, // xor %edi, %edi
		0x0f, 0x05, // syscall
	}, "int main(void) { return 0; }"}

	// say writes an end of line: whoever reads it knows that the program ran.
	say = tiny{"say", []byte{
		0xb8, 1, 0, 0, 0, // mov $1, %eax  write
		0xbf, 1, 0, 0, 0, // mov $1, %edi
		0x48, 0x8d, 0x35, 16, 0, 0, 0, // lea 16(%rip), %rsi
		0xba, 1, 0, 0, 0, // mov $1, %edx
		0x0f, 0x05, // syscall
		0xb8, 60, 0, 0, 0, // mov $60, %eax  exit
		0x31, 0xff, // xor %edi, %edi
		0x0f, 0x05, // syscall
		'\n',
	}, `#include <unistd.h>
int main(void) { return write(1, "\n", 1) != 1; }`}

	// stay waits for a signal.
	stay = tiny{"stay", []byte{
		0xb8, 34, 0, 0, 0, // mov $34, %eax  pause
		0x0f, 0x05, // syscall
		0xeb, 0xf7, // jmp to the first
	}, `#include <unistd.h>
int main(void) { for (;;) pause(); }`}
)

// make writes the program into dir and returns its file name.
func (p *tiny) make(dir string) (string, error) {
	file := filepath.Join(dir, p.name)
	if runtime.GOARCH == "amd64" {
		return file, os.WriteFile(file, elf(p.amd64), 0o755)
	}
	if err := os.WriteFile(file+".c", []byte(p.c), 0o644); err != nil {
		return "", err
	}
	if out, err := exec.Command("gcc", "-O2", "-static", "-o", file, file+".c").CombinedOutput(); err != nil {
		return "", errors.New("gcc is needed on this machine: " + err.Error() + " " + string(out))
	}
	return file, nil
}

// elf is elf(5)'s shortest executable: two headers, and code behind them.
func elf(code []byte) []byte {
	const headers, base = 64 + 56, 0x400000
	size := uint64(headers + len(code))
	var b bytes.Buffer
	for _, v := range []any{
		[]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		uint16(2), uint16(62), uint32(1), // executable, x86-64, version
		uint64(base + headers), uint64(64), uint64(0), // entry, program headers, no sections
		uint32(0), uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), // load, readable and executable
		uint64(0), uint64(base), uint64(base), size, size, uint64(4096),
		code,
	} {
		binary.Write(&b, binary.LittleEndian, v) // a buffer takes everything
	}
	return b.Bytes()
}
