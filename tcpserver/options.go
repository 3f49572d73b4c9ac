package tcpserver

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"paperpath/internal/decimal"
	"paperpath/internal/opt"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// settings are what the options say.
type settings struct {
	verbosity    int // 0: nothing, 1: errors, 2: all
	killOptions  bool
	delay        bool
	banner       string
	remoteInfo   bool
	remoteHost   bool
	paranoid     bool
	timeout      time.Duration // of the ident look-up
	rules        string
	hasRules     bool
	allowNoRules bool
	localHost    string
	hasLocalHost bool

	printPort bool
	limit     uint64
	backlog   uint64
	uid, gid  int // 0: keep

	// What C does not have.
	inside      bool // run programs as functions where possible
	summary     bool // a line for each connection
	perAddress  string
	proxies     []netip.Prefix // that send the PROXY header
	patience    time.Duration  // after TERM, if patient
	patient     bool
	status      string // socket
	replacement string // socket
}

func parse(env *proc.Env) (*settings, []string, error) {
	s := &settings{
		verbosity:   1,
		killOptions: true,
		delay:       true,
		remoteInfo:  true,
		remoteHost:  true,
		timeout:     26 * time.Second,
		limit:       40,
		backlog:     20,
	}
	o := opt.Parse(env.Args[1:], "dDvqQhHrR1iLUXx:t:u:g:l:b:B:c:pPoOC:y:T:S:K:")
	for o.Next() {
		var err error
		switch o.Letter {
		case 'b':
			number(o.Arg, &s.backlog)
		case 'c':
			number(o.Arg, &s.limit)
		case 'X':
			s.allowNoRules = true
		case 'x':
			s.rules, s.hasRules = o.Arg, true
		case 'B':
			s.banner = o.Arg
		case 'd', 'D':
			s.delay = o.Letter == 'd'
		case 'v':
			s.verbosity = 2
		case 'q':
			s.verbosity = 0
		case 'Q':
			s.verbosity = 1
		case 'p', 'P':
			s.paranoid = o.Letter == 'p'
		case 'o', 'O':
			s.killOptions = o.Letter == 'O'
		case 'h', 'H':
			s.remoteHost = o.Letter == 'h'
		case 'r', 'R':
			s.remoteInfo = o.Letter == 'r'
		case 't':
			s.timeout = seconds(o.Arg, s.timeout)
		case 'U':
			if s.uid, err = variable(env, "UID", s.uid); err == nil {
				s.gid, err = variable(env, "GID", s.gid)
			}
		case 'u':
			s.uid, err = account(o.Arg)
		case 'g':
			s.gid, err = group(o.Arg)
		case '1':
			s.printPort = true
		case 'l':
			s.localHost, s.hasLocalHost = o.Arg, true
		case 'i':
			s.inside = true
		case 'L':
			s.summary = true
		case 'C':
			s.perAddress = o.Arg
			if n, _, _ := strings.Cut(o.Arg, ":"); n != "" {
				if _, _, err = parseLimit(conns, n); err != nil {
					err = illegal(env, o)
				}
			}
		case 'y':
			s.proxies, err = networks(o.Arg)
		case 'T':
			var digits int
			s.patience, digits = decimal.Seconds(o.Arg)
			if s.patient = true; digits == 0 || digits < len(o.Arg) {
				err = illegal(env, o)
			}
		case 'S':
			s.status = o.Arg
		case 'K':
			s.replacement = o.Arg
		default:
			env.Say(o.Problem())
			err = proc.ErrUsage
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return s, o.Rest(), nil
}

// direct reports whether a connection needs no waiting before its program.
func (s *settings) direct() bool {
	return !s.inside && !s.remoteHost && !s.remoteInfo && s.hasLocalHost &&
		len(s.proxies) == 0 && len(s.banner) <= maxDirectBanner
}

// maxDirectBanner is what a new connection takes without waiting for its client.
const maxDirectBanner = 1 << 10

// illegal says which of our options got something else than a number. (Those of C
// do without one.)
func illegal(env *proc.Env, o *opt.Set) error {
	env.Say("illegal argument for option -- " + string(o.Letter))
	return proc.ErrUsage
}

// number reads the number that arg begins with; without one, n stays (scan_ulong.c).
func number(arg string, n *uint64) {
	if u, digits := decimal.Prefix(arg); digits > 0 {
		*n = u
	}
}

// seconds is number for a time.
func seconds(arg string, otherwise time.Duration) time.Duration {
	d, digits := decimal.Seconds(arg)
	if digits == 0 {
		return otherwise
	}
	return d
}

// variable returns the id in an environment variable. One that the kernel would
// cut to another number is refused: 4294967296 is not root.
func variable(env *proc.Env, name string, otherwise int) (int, error) {
	value, ok := env.Vars.Get(name)
	if !ok {
		return otherwise, nil
	}
	n, digits := decimal.Prefix(value)
	if digits == 0 {
		return otherwise, nil
	}
	if n > maxID {
		return 0, errors.New("unable to use $" + name + ": no such id: " + strerr.Clean(value))
	}
	return int(n), nil
}

// maxID is the largest user or group id; the one behind it means "none".
const maxID = 1<<32 - 2

// account returns the user id for -u: a number, or, ours, a name. Nothing at
// all is 0, "stay who you are", as in C; a name that is not known is not.
func account(arg string) (int, error) {
	if n, ok := id(arg); ok {
		return n, nil
	}
	a, err := sys.LookupAccount(arg)
	if err != nil {
		return 0, strerr.Unable("figure out", "uid of "+arg, err)
	}
	return a.UID, nil
}

// group is account for -g.
func group(arg string) (int, error) {
	if n, ok := id(arg); ok {
		return n, nil
	}
	n, err := sys.LookupGroup(arg)
	if err != nil {
		return 0, strerr.Unable("figure out", "gid of "+arg, err)
	}
	return n, nil
}

func id(arg string) (int, bool) {
	n, digits := decimal.Prefix(arg)
	return int(n), digits == len(arg) && n <= maxID
}

// networks reads the list for -y: addresses and networks, between commas.
func networks(list string) (networks []netip.Prefix, err error) {
	for word := range strings.SplitSeq(list, ",") {
		p, err := netip.ParsePrefix(word)
		if err != nil {
			var a netip.Addr
			a, err = netip.ParseAddr(word)
			a = a.Unmap()
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if err != nil || p.Addr().Is4In6() { // IPv4 clients have IPv4 addresses
			return nil, proc.Permanent(errors.New("unable to understand network " + strerr.Clean(word)))
		}
		networks = append(networks, p)
	}
	return networks, nil
}
