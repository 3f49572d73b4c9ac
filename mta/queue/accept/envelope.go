package accept

import (
	"bufio"
	"io"

	"paperpath/internal/proc"
	"paperpath/mta/queue/answer"
)

// copyEnvelope copies the envelope behind head, up to and without its final
// NUL, and checks that it is one: F sender, then any number of T recipient. It
// needs the memory of one address however many there are. The extra recipients
// come before the others, as in C.
func copyEnvelope(dst io.Writer, head string, extra []string, src io.Reader) error {
	// The buffer is the limit: an address fills it, its NUL included, or is
	// too long, and that is known without waiting for more.
	r := bufio.NewReaderSize(src, answer.MaxAddress)
	w := bufio.NewWriter(dst)
	w.WriteString(head) // the writer keeps its first error for Flush
	for want := byte('F'); ; want = 'T' {
		letter, err := r.ReadByte()
		if err != nil {
			return readStatus(err)
		}
		if letter == 0 && want == 'T' {
			break
		}
		if letter != want {
			return proc.Exit(answer.NotEnvelope)
		}
		address, err := r.ReadSlice(0)
		if err == bufio.ErrBufferFull {
			return proc.Exit(answer.TooLong)
		}
		if err != nil {
			return readStatus(err)
		}
		w.WriteByte(letter)
		if _, err := w.Write(address); err != nil {
			return proc.Exit(answer.Write)
		}
		if letter == 'F' {
			for _, addr := range extra {
				w.WriteString("T" + addr + "\x00")
			}
		}
	}
	if w.Flush() != nil {
		return proc.Exit(answer.Write)
	}
	return nil
}
