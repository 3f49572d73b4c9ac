// Package tcprules owns the rules by which a TCP server lets clients in: the
// language that administrators write, the database it is compiled into, and
// the search in it.
//
//	address:allow,VAR="value",…       the text, a rule on each line
//	address:deny                      # begins a comment in the first column
//
//	address → ( D\0 | +VAR=value\0 )… the database, constant (package cdb)
//
// The first rule that is found counts; these addresses are looked for, in this
// order (rules.c):
//
//	info@ip  info@=host  ip  =host    what is known of the client
//	1.2.3.  1.2.  1.                  its network, IPv4
//	2001:db8::/127 … 8000::/1         its network, IPv6
//	=.example.org  =.org  =           its domain; has a name
//	(empty)                           everybody
//
// An IPv6 address or network stands in brackets in the text: "[2001:db8::1]:"
// or "[2001:db8::/32]:"; the key in the database is canonical (RFC 5952) and
// without them. A C tcpserver knows IPv4 clients only and asks for none of
// these keys.
package tcprules

import (
	"bytes"
	"iter"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"paperpath/internal/cdb"
	"paperpath/internal/fsys"
)

// Client is what is known of the other side of a connection.
type Client struct {
	IP      string // TCPREMOTEIP
	Host    string // TCPREMOTEHOST, if HasHost
	Info    string // TCPREMOTEINFO, if HasInfo
	HasHost bool
	HasInfo bool
}

// Rule is the rule that was found.
type Rule struct {
	Address string // the key it was found under
	data    []byte
}

// Find looks in the database file for the rule for c; without a rule it
// returns nil. Damage to the file is EPROTO, as in the C programs.
func Find(fs fsys.FS, file string, c *Client) (*Rule, error) {
	db, err := cdb.Open(fs, file)
	if err == nil {
		defer db.Close()
		for key := range c.addresses() {
			data, found, e := db.Get([]byte(key))
			if found && e == nil {
				return &Rule{key, data}, nil
			}
			if err = e; err != nil {
				break
			}
		}
	}
	if err == cdb.ErrFormat {
		err = syscall.EPROTO
	}
	return nil, err
}

// addresses yields the keys to look for, in order.
func (c *Client) addresses() iter.Seq[string] {
	return func(yield func(string) bool) {
		_ = (!c.HasInfo || yield(c.Info+"@"+c.IP) && (!c.HasHost || yield(c.Info+"@="+c.Host))) &&
			yield(c.IP) &&
			(!c.HasHost || yield("="+c.Host)) &&
			networks(c.IP, yield) &&
			(!c.HasHost || domains(c.Host, yield)) &&
			yield("")
	}
}

func networks(ip string, yield func(string) bool) bool {
	for i := len(ip); i > 0; i-- {
		if ip[i-1] == '.' && !yield(ip[:i]) {
			return false
		}
	}
	a, err := netip.ParseAddr(ip)
	if err != nil || !a.Is6() {
		return true
	}
	for bits := 127; bits > 0; bits-- {
		if p, err := a.Prefix(bits); err == nil && !yield(p.String()) {
			return false
		}
	}
	return true
}

func domains(host string, yield func(string) bool) bool {
	for i := range len(host) {
		if host[i] == '.' && !yield("="+host[i:]) {
			return false
		}
	}
	return yield("=")
}

// Do is one thing that a rule says.
type Do struct {
	Deny bool   // else:
	Set  string // VAR=value
}

// All yields what the rule says, in order. Bytes that a later version of the
// format may give a meaning are passed over.
func (r *Rule) All() iter.Seq[Do] {
	return func(yield func(Do) bool) {
		for data := r.data; ; {
			item, rest, ok := bytes.Cut(data, []byte{0})
			if !ok {
				return
			}
			if len(item) > 0 {
				switch item[0] {
				case 'D':
					if !yield(Do{Deny: true}) {
						return
					}
				case '+':
					if !yield(Do{Set: string(item[1:])}) {
						return
					}
				}
			}
			data = rest
		}
	}
}

// compile calls add for each record that a line of text stands for. The line
// comes without the white space at its end. ok is false if it makes no sense.
func compile(line string, add func(address, data string) error) (ok bool, err error) {
	address, action, ok := cutAddress(line)
	if !ok {
		return true, nil // no colon: not a rule, and not an error either
	}
	data := ""
	if rest, deny := strings.CutPrefix(action, "deny"); deny {
		data, action = "D\x00", rest
	} else if rest, allow := strings.CutPrefix(action, "allow"); allow {
		action = rest
	} else {
		return false, nil
	}
	for action != "" {
		// ,VAR=/value/ with any byte in place of the slashes
		name, value, ok := strings.Cut(action, "=")
		if !ok || name == "" || name[0] != ',' || value == "" {
			return false, nil
		}
		text, rest, ok := strings.Cut(value[1:], value[:1])
		if !ok {
			return false, nil
		}
		data += "+" + name[1:] + "=" + text + "\x00"
		action = rest
	}
	return compileAddress(address, func(a string) error { return add(a, data) })
}

// cutAddress cuts a line at the colon behind the address, which is not one of
// those within brackets.
func cutAddress(line string) (address, action string, ok bool) {
	from := 0
	if open := strings.IndexByte(line, '['); open >= 0 && open < strings.IndexByte(line, ':') {
		from = open + max(strings.IndexByte(line[open:], ']'), 0)
	}
	if i := strings.IndexByte(line[from:], ':'); i >= 0 {
		return line[:from+i], line[from+i+1:], true
	}
	return "", "", false
}

// compileAddress yields the keys of an address: several for an IPv4 range.
func compileAddress(address string, add func(string) error) (ok bool, err error) {
	if info, ip, ok := strings.Cut(address, "["); ok && strings.HasSuffix(ip, "]") {
		if info != "" && info[len(info)-1] != '@' {
			return false, nil
		}
		key, ok := canonical(ip[:len(ip)-1])
		if !ok {
			return false, nil
		}
		return true, add(info + key)
	}
	dash := strings.IndexByte(address, '-')
	if dash < 0 || strings.ContainsAny(address, "=@") {
		return true, add(address)
	}
	left := strings.LastIndexByte(address[:dash], '.') + 1
	right := len(address)
	if dot := strings.IndexByte(address[dash:], '.'); dot >= 0 {
		right = dash + dot
	}
	low, ok1 := number(address[left:dash])
	high, ok2 := number(address[dash+1 : right])
	if !ok1 || !ok2 {
		return false, nil
	}
	for n := low; n <= min(high, 255); n++ {
		if err := add(address[:left] + strconv.FormatUint(n, 10) + address[right:]); err != nil {
			return true, err
		}
	}
	return true, nil
}

// number reads one end of a range. Nothing at all is 0, as scan_ulong has it.
func number(s string) (uint64, bool) {
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return n, err == nil
}

// canonical returns the key of an IPv6 address or network.
func canonical(s string) (key string, ok bool) {
	if strings.IndexByte(s, '/') < 0 {
		a, err := netip.ParseAddr(s)
		return a.String(), err == nil && a.Is6() && !a.Is4In6() && a.Zone() == ""
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is6() || p.Bits() == 0 {
		return "", false
	}
	if p.Bits() == 128 {
		return p.Addr().String(), true
	}
	return p.Masked().String(), true
}
