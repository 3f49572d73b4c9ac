package tcprules

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"paperpath/internal/decimal"
)

// Keys of the records that list the lengths of the networks in a database.
const (
	lengthsOf4 = "/4\n"
	lengthsOf6 = "/6\n"
)

// What is wrong with a line. C has one message for all.
var (
	errNeither = errors.New("neither allow nor deny behind the address")
	errComma   = errors.New("no comma before what follows")
	errEquals  = errors.New("a variable without an equals sign")
	errNoValue = errors.New("a variable without a value")
	errOpen    = errors.New("a value without its second quote")
	errRange   = errors.New("a range of addresses that are not numbers")
)

// What may be wrong with an address that C would accept.
const (
	forNobody = "is neither a network nor an address: the rule is for nobody"
	noRange   = "is a range without a number: there is no such rule"
	hostBits  = "has bits set behind the network's: they do not count"
)

// compiler turns lines into records.
type compiler struct {
	add     func(address, data string) error
	warn    func(address, about string)
	lengths [2][129]bool // of networks, IPv4 and IPv6
}

// compile adds the records that a line of text stands for; it comes without the
// white space at its end. bad is what is wrong with it, err what add said.
//
// Every line that C understands means what it means to C. What C cannot parse
// may still be an IPv6 address.
func (c *compiler) compile(line string) (bad, err error) {
	address, action, ok := strings.Cut(line, ":")
	if !ok {
		return nil, nil // no colon: not a rule, and not an error either
	}
	six := netip.Prefix{}
	info := ""
	if !isAction(action) {
		if address, action, ok = cutIPv6(line); !ok {
			return errNeither, nil
		}
		if info, six, ok = parseIPv6(address); !ok {
			return errNeither, nil
		}
	}
	data, bad := compileAction(action)
	switch {
	case bad != nil:
		return bad, nil
	case six.IsValid() && strings.IndexByte(address, '/') < 0:
		return nil, c.add(info+six.Addr().String(), data)
	case six.IsValid():
		return nil, c.network(address, six, data)
	}
	return c.address(address, data)
}

func isAction(s string) bool {
	return strings.HasPrefix(s, "deny") || strings.HasPrefix(s, "allow")
}

// cutIPv6 cuts a line at the first colon behind which there is an action.
func cutIPv6(line string) (address, action string, ok bool) {
	for i := range len(line) {
		if line[i] == ':' && isAction(line[i+1:]) {
			return line[:i], line[i+1:], true
		}
	}
	return "", "", false
}

// parseIPv6 reads an address or a network, in brackets or not. An address may
// have "info@" before it. An IPv4 client has no such address, not even as
// ::ffff:10.0.0.1.
func parseIPv6(s string) (info string, p netip.Prefix, ok bool) {
	if at := strings.IndexByte(s, '@') + 1; at > 0 && strings.IndexByte(s, '/') < 0 {
		info, s = s[:at], s[at:]
	}
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		s = s[1 : len(s)-1]
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return "", p, false
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	return info, p, p.Addr().Is6() && !p.Addr().Is4In6()
}

// compileAction returns the data of a record: ,VAR=/value/ behind deny or allow,
// with any byte in place of the slashes.
func compileAction(action string) (data string, bad error) {
	if rest, deny := strings.CutPrefix(action, "deny"); deny {
		data, action = "D\x00", rest
	} else {
		action = strings.TrimPrefix(action, "allow")
	}
	for action != "" {
		if action[0] != ',' {
			return "", errComma
		}
		name, value, ok := strings.Cut(action[1:], "=")
		switch {
		case !ok:
			return "", errEquals
		case value == "":
			return "", errNoValue
		}
		text, rest, ok := strings.Cut(value[1:], value[:1])
		if !ok {
			return "", errOpen
		}
		data += "+" + name + "=" + text + "\x00"
		action = rest
	}
	return data, nil
}

// address adds the record of an address that is not an IPv6 one, several records
// for a range.
func (c *compiler) address(address, data string) (bad, err error) {
	if p, err := netip.ParsePrefix(address); err == nil {
		return nil, c.network(address, p, data)
	}
	dash := strings.IndexByte(address, '-')
	if dash < 0 || strings.ContainsAny(address, "=@") {
		if !possible(address) {
			c.warn(address, forNobody)
		}
		return nil, c.add(address, data)
	}
	left := strings.LastIndexByte(address[:dash], '.') + 1
	right := len(address)
	if dot := strings.IndexByte(address[dash:], '.'); dot >= 0 {
		right = dash + dot
	}
	low, ok1 := number(address[left:dash])
	high, ok2 := number(address[dash+1 : right])
	if !ok1 || !ok2 {
		return errRange, nil
	}
	high = min(high, 255)
	switch {
	case low > high:
		c.warn(address, noRange)
	case !possible(address[:left] + strconv.FormatUint(low, 10) + address[right:]):
		c.warn(address, forNobody)
	}
	for n := low; n <= high; n++ {
		if err := c.add(address[:left]+strconv.FormatUint(n, 10)+address[right:], data); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// possible reports whether a search can come to this address, which C takes in any
// case: 1.2.3.400, 1.2.3 and 010.2. are no client's.
func possible(address string) bool {
	at := strings.LastIndexByte(address, '@')
	where := address[at+1:]
	if strings.HasPrefix(where, "=") || address == "" {
		return true
	}
	if beginning, ok := strings.CutSuffix(where, "."); ok && at < 0 {
		dots := strings.Count(beginning, ".")
		where = beginning + strings.Repeat(".0", max(3-dots, 1)) // one too many for 1.2.3.4.
	}
	ip, err := netip.ParseAddr(where)
	return err == nil && ip.Is4()
}

// number reads one end of a range. Nothing at all is 0, as scan_ulong has it.
func number(s string) (uint64, bool) {
	n, digits := decimal.Prefix(s)
	return n, digits == len(s)
}

func (c *compiler) network(address string, p netip.Prefix, data string) error {
	if p != p.Masked() {
		c.warn(address, hostBits)
	}
	family := 0
	if p.Addr().Is6() {
		family = 1
	}
	c.lengths[family][p.Bits()] = true
	return c.add(p.Masked().String(), data)
}

// finish adds the records of lengths. A database without networks has none, and
// is the one that C makes.
func (c *compiler) finish() error {
	for family, key := range []string{lengthsOf4, lengthsOf6} {
		var lengths []byte
		for bits := len(c.lengths[family]) - 1; bits >= 0; bits-- {
			if c.lengths[family][bits] {
				lengths = append(lengths, byte(bits))
			}
		}
		if len(lengths) == 0 {
			continue
		}
		if err := c.add(key, string(lengths)); err != nil {
			return err
		}
	}
	return nil
}
