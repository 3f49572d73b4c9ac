package rcpthosts

import (
	"syscall"

	"paperpath/internal/cdb"
	"paperpath/internal/fsys"
	"paperpath/internal/strerr"
)

// More is a list too long for a text file: the keys of a database that
// qmail-newmrh or qmail-newbrt made. A nil More is empty.
type More struct {
	table  *cdb.Reader
	broken error // why it cannot be searched
}

// OpenMore opens the database name, nil if there is none. The caller closes it.
func OpenMore(fs fsys.FS, name string) (*More, error) {
	switch table, err := cdb.Open(fs, name); err {
	case nil:
		return &More{table: table}, nil
	case syscall.ENOENT:
		return nil, nil
	case cdb.ErrFormat:
		// As in C, a damaged database stops only the recipients that need it.
		return &More{broken: err}, nil
	default:
		return nil, strerr.Unable("read", name, err)
	}
}

// Close closes the database.
func (m *More) Close() {
	if m != nil && m.table != nil {
		m.table.Close()
	}
}

// Has reports whether key, in small letters, is in the list. An error means
// that nobody knows.
func (m *More) Has(key string) (bool, error) {
	switch {
	case m == nil:
		return false, nil
	case m.broken != nil:
		return false, m.broken
	}
	_, found, err := m.table.Get([]byte(key))
	return found, err
}
