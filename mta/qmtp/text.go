package qmtp

import (
	"bytes"

	"paperpath/mta/received"
)

// text is a message on its way to the queue: CR LF becomes LF if the client
// codes so; any other CR stays. A message that is too large, or in a loop, is
// given up, and read to its end all the same.
type text struct {
	queue message
	dos   bool
	limit int64 // bytes, 0 for none
	size  int64
	hops  received.Hops

	cr  bool // a CR came last and was not yet passed on
	buf []byte
}

// message is what text needs of a queue.Client.
type message interface {
	Write([]byte) (int, error)
	Fail()
}

func (t *text) Write(p []byte) (int, error) {
	n := len(p)
	if !t.dos {
		t.put(p)
		return n, nil
	}
	out := t.buf[:0]
	for len(p) > 0 {
		if t.cr {
			t.cr = false
			if p[0] != '\n' {
				out = append(out, '\r')
			}
		}
		line, rest, found := bytes.Cut(p, []byte{'\r'})
		out = append(out, line...)
		t.cr, p = found, rest
	}
	t.put(out)
	t.buf = out
	return n, nil
}

// end passes on a CR that nothing followed.
func (t *text) end() {
	if t.cr {
		t.put([]byte{'\r'})
	}
}

func (t *text) put(p []byte) {
	t.size += int64(len(p))
	t.hops.Scan(p)
	if t.tooBig() || t.hops.TooMany() {
		t.queue.Fail()
		return
	}
	t.queue.Write(p)
}

func (t *text) tooBig() bool { return t.limit > 0 && t.size > t.limit }
