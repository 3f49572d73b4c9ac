package tcpserver

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/decimal"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// Limits are variables, which the rules set, or whoever starts the server, for
// all. The first three names, and DIEMSG, are those of a patch for the C program
// that is widely used (tcpserver-limits):
//
//	MAXCONNIP    5       connections at a time from the client's address
//	MAXCONNC     15      from its network
//	MAXCONNRULE  100     that the same rule let in
//	MAXRATEIP    10/60   new connections in so many seconds from its address
//	MAXRATEC     30/60
//	MAXRATERULE  500/60
//	DIEMSG       421 too many connections
//	                     what a client is told that exceeds one of them
//
// An IPv4 address is itself, and its network the 256 addresses that were a class
// C. Of an IPv6 address everybody has 2^64: there the address is its /64, what
// one household gets, and the network its /48, what one customer gets.
type limit struct {
	variable string
	kind     limitKind
	scope    scope
}

type limitKind int

const (
	conns limitKind = iota
	rate
)

type scope int

const (
	ofAddress scope = iota
	ofNetwork
	ofRule
)

var limits = []limit{
	{"MAXCONNIP", conns, ofAddress},
	{"MAXCONNC", conns, ofNetwork},
	{"MAXCONNRULE", conns, ofRule},
	{"MAXRATEIP", rate, ofAddress},
	{"MAXRATEC", rate, ofNetwork},
	{"MAXRATERULE", rate, ofRule},
}

// usageKey says of whom something is counted.
type usageKey struct {
	kind    limitKind
	network netip.Prefix // or, not valid:
	rule    string
}

// usage counts what is limited. Nothing else costs anything.
type usage struct {
	mu    sync.Mutex
	conns map[usageKey]uint64
	// A rate of n in a time t lets one connection pass every t/n, and up to n
	// at once after a pause: until is when the last one's share is over
	// ("generic cell rate algorithm").
	until map[usageKey]time.Time
	sweep int       // size of until at which what is over is removed
	swept time.Time // the last time that it was
}

// applyLimits decides whether there are too many of the client's kind. What the
// rules denied does not count.
func (c *connection) applyLimits() error {
	s := c.server
	if c.verdict != allowed {
		return nil
	}
	n, message, hasMessage := strings.Cut(s.perAddress, ":")
	if _, ok := c.vars.Get("MAXCONNIP"); !ok && n != "" {
		c.vars.Set("MAXCONNIP", n)
	}
	if _, ok := c.vars.Get("DIEMSG"); !ok && hasMessage {
		c.vars.Set("DIEMSG", message)
	}
	for _, l := range limits {
		value, ok := c.vars.Get(l.variable)
		if !ok {
			continue
		}
		most, over, err := parseLimit(l.kind, value)
		if err != nil {
			// Wrong limits are no limits to a client, and not to be overlooked.
			return errors.New("unable to understand " + l.variable + ": " + strerr.Clean(value))
		}
		key := c.usageKey(l)
		if !s.usage.take(key, most, over, c.began) {
			c.verdict, c.over = refused, l.variable
			return nil
		}
		if l.kind == conns {
			c.held = append(c.held, key)
		}
	}
	return nil
}

func parseLimit(kind limitKind, value string) (most uint64, over time.Duration, err error) {
	text, unit, perTime := strings.Cut(value, "/")
	most, digits := decimal.Prefix(text)
	if digits == 0 || digits < len(text) || perTime != (kind == rate) {
		return 0, 0, proc.ErrUsage
	}
	if kind == rate {
		n, digits := decimal.Prefix(unit)
		if digits == 0 || digits < len(unit) || n == 0 || n > maxRateSeconds {
			return 0, 0, proc.ErrUsage
		}
		over = time.Duration(n) * time.Second
	}
	return most, over, nil
}

// maxRateSeconds bounds how long a client is remembered.
const maxRateSeconds = 24 * 3600

func (c *connection) usageKey(l limit) usageKey {
	if l.scope == ofRule {
		key := usageKey{kind: l.kind}
		if c.rule != nil {
			key.rule = c.rule.Address
		}
		return key
	}
	ip := c.Remote.Addr.Addr().Unmap().WithZone("")
	bits := 32
	switch {
	case ip.Is4() && l.scope == ofNetwork:
		bits = 24
	case ip.Is6() && l.scope == ofNetwork:
		bits = 48
	case ip.Is6():
		bits = 64
	}
	network, _ := ip.Prefix(bits) // that many bits there are
	return usageKey{kind: l.kind, network: network}
}

// take counts one connection, unless there are most of them.
func (u *usage) take(key usageKey, most uint64, over time.Duration, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.conns == nil {
		u.conns, u.until = map[usageKey]uint64{}, map[usageKey]time.Time{}
	}
	if key.kind == conns {
		if u.conns[key] >= most {
			return false
		}
		u.conns[key]++
		return true
	}
	if most == 0 {
		return false
	}
	share := over / time.Duration(min(most, uint64(over)))
	until := u.until[key]
	if until.Before(now) {
		until = now
	}
	if until = until.Add(share); until.Sub(now) > over {
		return false
	}
	if len(u.until) >= u.sweep && (len(u.until) < maxRemembered || now.Sub(u.swept) >= sweepPause) {
		u.forget(now)
	}
	if _, known := u.until[key]; known || len(u.until) < maxRemembered {
		u.until[key] = until
	}
	return true
}

// maxRemembered bounds the memory for rates, some 30 MB. Who can fill it comes from
// more networks than a limit could stop.
const maxRemembered = 1 << 18

// sweepPause is between two sweeps while the memory is full.
const sweepPause = time.Second

// forget removes what is over. It comes when twice as much is remembered as was
// left the last time, or now and then: for a connection, it costs next to nothing.
func (u *usage) forget(now time.Time) {
	for key, until := range u.until {
		if until.Before(now) {
			delete(u.until, key)
		}
	}
	const least = 1 << 10
	u.sweep, u.swept = min(max(least, 2*len(u.until)), maxRemembered), now
}

// release counts a connection off.
func (u *usage) release(held []usageKey) {
	if len(held) == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, key := range held {
		if u.conns[key]--; u.conns[key] == 0 {
			delete(u.conns, key)
		}
	}
}

// sayWhy tells a refused client, and closes the connection in such a way that
// it can read that.
func (c *connection) sayWhy() {
	message, ok := c.vars.Get("DIEMSG")
	if !ok {
		return
	}
	// A new connection takes a line at once, or its client gets none.
	unix.SendmsgN(c.fd, []byte(message+"\r\n"), nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	unix.Shutdown(c.fd, unix.SHUT_WR)
	// What the client has sent already would make close(2) a reset, which takes
	// the line away from it.
	unix.Recvfrom(c.fd, make([]byte, 4<<10), unix.MSG_DONTWAIT)
}
