package received

import "bytes"

// maxHops is the number of Received and Delivered-To fields at which a message
// is taken to be in a loop.
const maxHops = 100

// Hops counts the lines of a header that begin with "received" or
// "delivered", in any case and whatever follows (blast in qmail-smtpd.c).
type Hops struct {
	n      int
	body   bool                   // the header is over
	start  [len("delivered")]byte // of the current line
	length int                    // of start
}

// Scan looks at the next bytes of a message.
func (h *Hops) Scan(p []byte) {
	for !h.body && len(p) > 0 {
		line, rest, complete := bytes.Cut(p, []byte("\n"))
		h.length += copy(h.start[h.length:], line)
		if complete {
			h.endLine()
		}
		p = rest
	}
}

func (h *Hops) endLine() {
	switch start := h.start[:h.length]; {
	case len(start) == 0:
		h.body = true
	case hasPrefixFold(start, "received"), hasPrefixFold(start, "delivered"):
		h.n++
	}
	h.length = 0
}

func hasPrefixFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && bytes.EqualFold(b[:len(prefix)], []byte(prefix))
}

// TooMany reports whether the message is taken to be in a loop.
func (h *Hops) TooMany() bool { return h.n >= maxHops }
