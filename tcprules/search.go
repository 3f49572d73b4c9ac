package tcprules

import (
	"net/netip"
	"sync"
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

// Find looks in the database file for the rule for c; without a rule it
// returns nil. Damage to the file is EPROTO, as in the C programs.
func Find(fs fsys.FS, file string, c *Client) (*Rule, error) {
	db, err := cdb.Open(fs, file)
	if err != nil {
		return nil, inWords(err)
	}
	defer db.Close()
	return find(db, c)
}

func inWords(err error) error {
	if err == cdb.ErrFormat {
		return syscall.EPROTO
	}
	return err
}

// Database is a database file that is searched again and again. Each search is
// in the file that has the name then: a new version counts from the next search
// on, and a search sees one version only. It may be used by several goroutines.
type Database struct {
	fs   fsys.FS
	name string

	mu      sync.RWMutex // read: db is in use; write: it is being changed
	db      *cdb.Reader  // nil: none yet
	version version      // of db
}

// version tells one version of a file from the next: written in place, renamed
// over, made accessible.
type version struct {
	dev, ino     uint64
	size         int64
	mtime, ctime int64 // nanoseconds
}

func versionOf(i fsys.Info) version {
	return version{i.Dev, i.Ino, i.Size, i.Mtime.UnixNano(), i.Ctime.UnixNano()}
}

// NewDatabase returns a Database, which opens the file when it is searched.
func NewDatabase(fs fsys.FS, name string) *Database { return &Database{fs: fs, name: name} }

// Find is the function of this name for d's file.
func (d *Database) Find(c *Client) (*Rule, error) {
	info, err := d.fs.Stat(d.name)
	if err != nil {
		return nil, err
	}
	wanted := versionOf(info)
	d.mu.RLock()
	if d.db == nil || d.version != wanted {
		d.mu.RUnlock()
		if err := d.open(wanted); err != nil {
			return nil, inWords(err)
		}
		d.mu.RLock() // on wanted, or what came after it
	}
	defer d.mu.RUnlock()
	rule, err := find(d.db, c)
	if err == nil {
		err = d.unwritten()
	}
	if err != nil {
		return nil, err
	}
	return rule, nil
}

// unwritten makes sure that the file was not written over, in place, during a
// search: a rule that denies could have been missed. (A rename over it sets its
// time of change, which is no harm.)
func (d *Database) unwritten() error {
	info, err := d.db.Stat()
	if now := versionOf(info); err == nil && (now.size != d.version.size || now.mtime != d.version.mtime) {
		err = syscall.EPROTO
	}
	return err
}

func (d *Database) open(wanted version) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.db != nil && d.version == wanted {
		return nil // somebody was faster
	}
	db, err := cdb.Open(d.fs, d.name)
	if err != nil {
		return err
	}
	if d.db != nil {
		d.db.Close()
	}
	db.Map()
	d.db, d.version = db, versionOf(db.Opened())
	return nil
}

// search is one search in db. It is over when there is a rule, or trouble.
type search struct {
	db   *cdb.Reader
	rule *Rule
	err  error
}

// find looks for the addresses of c, in order.
func find(db *cdb.Reader, c *Client) (*Rule, error) {
	s := &search{db: db}
	_ = (!c.HasInfo || s.next(c.Info+"@"+c.IP) && (!c.HasHost || s.next(c.Info+"@="+c.Host))) &&
		s.next(c.IP) &&
		(!c.HasHost || s.next("="+c.Host)) &&
		s.networks(c.IP) &&
		(!c.HasHost || s.domains(c.Host)) &&
		s.next("")
	return s.rule, s.err
}

// next looks for the rule for one address and reports whether to go on.
func (s *search) next(address string) bool {
	data, found, err := s.db.Get([]byte(address))
	switch {
	case err != nil:
		s.err = inWords(err)
	case found:
		s.rule = &Rule{address, data}
	}
	return s.rule == nil && s.err == nil
}

// networks looks for the networks of ip, those with more bits before those with
// fewer; of two equal ones, the one that C knows.
func (s *search) networks(ip string) bool {
	dotted := len(ip) // what is left of ip for 1.2.3. 1.2. 1.
	if a, err := netip.ParseAddr(ip); err == nil {
		lengths, err := s.lengths(a)
		if err != nil {
			s.err = inWords(err)
			return false
		}
		for _, bits := range lengths {
			if a.Is4() && !s.dotted(ip, &dotted, int(bits)) {
				return false
			}
			p, err := a.Prefix(int(bits))
			if err != nil {
				s.err = syscall.EPROTO
				return false
			}
			if !s.next(p.String()) {
				return false
			}
		}
	}
	return s.dotted(ip, &dotted, 0)
}

// dotted looks for the beginnings of ip that end with a dot, of end bytes at the
// most and standing for at least bits bits.
func (s *search) dotted(ip string, end *int, bits int) bool {
	for ; *end > 0; *end-- {
		if ip[*end-1] != '.' {
			continue
		}
		dots := 0
		for i := range *end {
			if ip[i] == '.' {
				dots++
			}
		}
		if 8*dots < bits {
			return true
		}
		if !s.next(ip[:*end]) {
			return false
		}
	}
	return true
}

// lengths returns the lengths of the networks in the database, of a's family.
func (s *search) lengths(a netip.Addr) ([]byte, error) {
	key := lengthsOf4
	if a.Is6() {
		key = lengthsOf6
	}
	lengths, _, err := s.db.Get([]byte(key))
	if len(lengths) > a.BitLen()+1 {
		return nil, cdb.ErrFormat
	}
	return lengths, err
}

func (s *search) domains(host string) bool {
	for i := range len(host) {
		if host[i] == '.' && !s.next("="+host[i:]) {
			return false
		}
	}
	return s.next("=")
}
