package dnsq

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"paperpath/internal/ipme"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

const (
	maxServers = 16  // as many as dns_rcip.c uses; resolv.conf(5) stops at 3
	dnsPort    = 53  //
	maxTimeout = 30  // seconds a question may wait, resolv.conf(5)
	maxTries   = 5   // resolv.conf(5)
	maxAge     = 600 // seconds until the file is read again, dns_rcip.c
	maxNdots   = 15  // resolv.conf(5)
	maxFile    = 64 << 10
)

type config struct {
	servers []netip.AddrPort
	timeout time.Duration // of one question to one server
	tries   int           // times that all servers are asked
	rotate  bool          // begin with any of them
	search  []string      // domains of short names
	ndots   int           // dots that make a name complete enough to be tried first
	read    time.Time     // when; zero is never
}

// loadTimeout bounds the wait for a descriptor to read the file.
const loadTimeout = 5 * time.Second

// current returns the configuration, reading it if it is old.
func (r *Resolver) current(ctx context.Context) (config, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.config.read.IsZero() && time.Since(r.config.read) < maxAge*time.Second {
		return r.config, nil
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	c, err := withDescriptor(ctx, func() (config, error) { return load(r.vars, r.file) })
	if err != nil {
		return config{}, err // not kept: the next question tries again
	}
	c.read = time.Now()
	r.config = c
	return c, nil
}

func load(vars proc.Vars, file string) (config, error) {
	text, err := readFile(file)
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return config{}, err
	}
	c := parseConf(text)
	if list := parseCacheIP(vars.Value("DNSCACHEIP")); len(list) > 0 {
		c.servers = list
	}
	if len(c.servers) == 0 {
		c.servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort)}
	}
	if local, ok := vars.Get("LOCALDOMAIN"); ok {
		c.search = strings.Fields(local)
	} else if c.search == nil {
		host, _ := os.Hostname() // without one nothing is searched
		if _, domain, ok := strings.Cut(host, "."); ok {
			c.search = []string{domain}
		}
	}
	return c, nil
}

func readFile(name string) (string, error) {
	f, err := sys.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	return string(b), err
}

// parseConf reads resolv.conf(5).
func parseConf(text string) config {
	c := config{timeout: 5 * time.Second, tries: 2, ndots: 1}
	for line := range strings.SplitSeq(text, "\n") {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if a, ok := parseIP(f[1]); ok && len(c.servers) < maxServers {
				c.servers = append(c.servers, netip.AddrPortFrom(a, dnsPort))
			}
		case "domain":
			c.search = f[1:2]
		case "search":
			c.search = f[1:]
		case "options":
			for _, o := range f[1:] {
				if v, ok := strings.CutPrefix(o, "timeout:"); ok {
					c.timeout = time.Duration(bounded(v, 1, maxTimeout, 5)) * time.Second
				} else if v, ok := strings.CutPrefix(o, "attempts:"); ok {
					c.tries = bounded(v, 1, maxTries, 2)
				} else if v, ok := strings.CutPrefix(o, "ndots:"); ok {
					c.ndots = bounded(v, 0, maxNdots, 1)
				} else if o == "rotate" {
					c.rotate = true
				}
			}
		}
	}
	return c
}

func bounded(s string, least, most, otherwise int) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < least {
		return otherwise
	}
	return min(n, most)
}

// Search returns the names that one may stand for, in the order in which
// res_search(3) tries them: itself, and itself in each domain that resolv.conf(5)
// searches, or $LOCALDOMAIN, or in this host's own. A dot at the end says that
// there is nothing to search.
func (r *Resolver) Search(name string) ([]string, error) {
	if strings.HasSuffix(name, ".") {
		return []string{name}, nil
	}
	c, err := r.current(context.Background())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, domain := range c.search {
		if domain = strings.Trim(domain, "."); domain != "" {
			names = append(names, name+"."+domain)
		}
	}
	if strings.Count(name, ".") >= c.ndots {
		return append([]string{name}, names...), nil
	}
	return append(names, name), nil
}

// parseCacheIP reads DNSCACHEIP. dns_rcip.c accepts addresses one behind the
// other with dots between them: 1.2.3.4.5.6.7.8 is two.
func parseCacheIP(s string) []netip.AddrPort {
	var list []netip.AddrPort
	for _, f := range strings.FieldsFunc(s, func(c rune) bool { return c == ' ' || c == ',' || c == '\t' }) {
		if ap, err := netip.ParseAddrPort(f); err == nil {
			list = append(list, ap)
		} else if a, ok := parseIP(f); ok {
			list = append(list, netip.AddrPortFrom(a, dnsPort))
		} else {
			for parts := strings.FieldsFunc(f, func(c rune) bool { return c == '.' }); len(parts) >= 4; parts = parts[4:] {
				a, ok := ipme.ParseDotted(strings.Join(parts[:4], "."))
				if !ok {
					break
				}
				list = append(list, netip.AddrPortFrom(a, dnsPort))
			}
		}
	}
	return list[:min(len(list), maxServers)]
}

// parseIP reads an address of either family.
func parseIP(s string) (netip.Addr, bool) {
	if a, ok := ipme.ParseDotted(s); ok {
		return a, true
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil
}
