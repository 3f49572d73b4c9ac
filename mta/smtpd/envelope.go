package smtpd

import "sync"

const (
	// recipientCost is what a recipient takes of memory besides its address.
	recipientCost = 32
	// maxEnvelope bounds the recipients of one message, in bytes.
	maxEnvelope = 4 << 20
	// ownEnvelope is the part of that which a session has whatever the others
	// do: about a thousand recipients, ten times what RFC 5321 section
	// 4.5.3.1.8 demands.
	ownEnvelope = 64 << 10
	// sharedEnvelopes bounds what the sessions of one server have beyond that,
	// all together. Otherwise some hundred clients who name recipients, and
	// then nothing more, are gigabytes.
	sharedEnvelopes = 64 << 20
)

// envelope is the recipients of a message.
type envelope struct {
	list   []string
	size   int     // what they take of memory
	budget *budget // for what is above ownEnvelope
}

// add takes a recipient, or reports that there is no room for it now.
func (e *envelope) add(addr string) bool {
	size := e.size + len(addr) + recipientCost
	if size > maxEnvelope {
		return false
	}
	if more := size - max(e.size, ownEnvelope); more > 0 && !e.budget.take(more) {
		return false
	}
	e.list, e.size = append(e.list, addr), size
	return true
}

// release forgets the recipients.
func (e *envelope) release() {
	e.budget.give(max(e.size-ownEnvelope, 0))
	e.list, e.size = nil, 0
}

// budget is memory that sessions share. A nil budget is that of a process with
// one session, which maxEnvelope bounds.
type budget struct {
	mu   sync.Mutex
	left int // bytes
}

// take reports whether n bytes were left, which are then the caller's.
func (b *budget) take(n int) bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left {
		return false
	}
	b.left -= n
	return true
}

// give returns n bytes.
func (b *budget) give(n int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
}
