package crashfs

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Model says what a cut may take of what no sync has made durable.
type Model int

const (
	// Strict is the least that POSIX promises: a file's bytes and attributes
	// are durable after Sync of the file, a name after SyncDir of its
	// directory, nothing else, and what is not durable survives in any
	// selection. A rename within a directory is one change, one between
	// directories is two. A write may survive in its first half, or as zeros.
	Strict Model = iota
	// Journal is a file system with one ordered journal, like ext4: names and
	// attributes survive up to some moment and not after it, and any Sync or
	// SyncDir sets that moment for everything before. A file's bytes are
	// durable only after its own Sync.
	Journal
	// Atomic is Strict but for renames: one is a single change wherever it
	// leads, and durable after SyncDir of either directory, as on every file
	// system that has a journal or a log.
	Atomic
)

func (m Model) String() string { return [...]string{"strict", "journal", "atomic"}[m] }

// change is what a call did to one node.
type change struct {
	call   int
	kind   kind
	node   *node // the file, or the directory whose entry it is
	name   string
	target *node // nil: the entry was removed
	off    int64 // of a write; the size of a truncation
	data   []byte
	mode   uint32
	mtime  time.Time
	when   time.Time
	synced int // the call that made it durable
}

type kind int

const (
	entryChange kind = iota
	modeChange
	timeChange
	writeChange
	truncateChange
)

// Values of change.synced that are no call.
const (
	never     = -1
	forgotten = -2 // its sync failed: no other one will save it
)

// fate is what the cut does to a change.
type fate int

const (
	lost fate = iota
	wholly
	halved // a write: only its first half
	zeroed // a write: only the length that it gave the file
)

func (c *change) isData() bool { return c.kind == writeChange || c.kind == truncateChange }

// fates returns how many fates a change may have.
func (c *change) fates() int {
	if c.kind == writeChange {
		return 4
	}
	return 2
}

func (c *change) String() string {
	switch c.kind {
	case entryChange:
		if c.target == nil {
			return fmt.Sprintf("#%d removal of %s", c.call, c.name)
		}
		return fmt.Sprintf("#%d name %s", c.call, c.name)
	case modeChange:
		return fmt.Sprintf("#%d mode", c.call)
	case timeChange:
		return fmt.Sprintf("#%d times", c.call)
	case truncateChange:
		return fmt.Sprintf("#%d truncation to %d", c.call, c.off)
	}
	return fmt.Sprintf("#%d write of %d", c.call, len(c.data))
}

// applyData does a write or truncation to n.
func (c *change) applyData(n *node, f fate) {
	if c.kind == truncateChange {
		n.data = resize(n.data, c.off)
		return
	}
	data := c.data
	switch f {
	case halved:
		data = data[:len(data)/2]
	case zeroed:
		// New blocks hold zeros until they are written; what was overwritten
		// in place is still what it was.
		data = make([]byte, len(data))
		if c.off < int64(len(n.data)) {
			copy(data, n.data[c.off:])
		}
	}
	if end := c.off + int64(len(data)); end > int64(len(n.data)) {
		n.data = resize(n.data, end)
	}
	copy(n.data[c.off:], data)
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

// Crash is one state that a cut may leave.
type Crash struct {
	*FS
	At    int // calls made before the cut
	Model Model
	What  string // the changes that were lost, for a failure message
}

func (c *Crash) String() string {
	return fmt.Sprintf("%v cut after %d calls, lost: %s", c.Model, c.At, c.What)
}

// Crashes yields states of cuts at every moment since New or Settle: all of a
// moment's states if they are at most limit, else everything kept, everything
// lost, each change alone kept and alone lost, and a random choice of others
// that depends on seed. Print the seed with a failure.
//
// Of moments between which nothing changed only the last one is used.
func (fs *FS) Crashes(m Model, limit int, seed uint64) iter.Seq[*Crash] {
	return func(yield func(*Crash) bool) {
		for at := range fs.Calls() + 1 {
			if fs.idle(at) {
				continue
			}
			for c := range fs.CrashesAt(at, m, limit, seed) {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// idle reports whether call number at neither changed nor saved anything.
func (fs *FS) idle(at int) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return at < len(fs.log) && !slices.Contains(fs.syncs, at) &&
		!slices.ContainsFunc(fs.changes, func(c *change) bool { return c.call == at })
}

// CrashesAt yields states of a cut after the first at calls.
func (fs *FS) CrashesAt(at int, m Model, limit int, seed uint64) iter.Seq[*Crash] {
	return func(yield func(*Crash) bool) {
		fs.mu.Lock()
		units := fs.pending(at, m)
		fs.mu.Unlock()
		rng := rand.New(rand.NewPCG(seed, uint64(at)))
		for fates := range choices(units, m, limit, rng) {
			fs.mu.Lock()
			c := fs.crash(at, m, units, fates)
			fs.mu.Unlock()
			if !yield(c) {
				return
			}
		}
	}
}

// unit is a set of changes that survive together or not at all.
type unit []*change

// pending returns what a cut after at calls may take, in order.
func (fs *FS) pending(at int, m Model) []unit {
	committed := 0 // calls before this one are in the journal
	for _, s := range fs.syncs {
		if s < at {
			committed = max(committed, s)
		}
	}
	saved := func(c *change) bool { return c.synced >= 0 && c.synced < at }
	var units []unit
	for i, c := range fs.changes {
		durable := saved(c)
		if m == Atomic {
			durable = durable || slices.ContainsFunc(fs.renamed(i), saved)
		}
		if m == Journal && !c.isData() {
			durable = c.call < committed
		}
		if c.call >= at || durable {
			continue
		}
		// A rename is two changes of one call.
		if n := len(units); n > 0 && c.kind == entryChange {
			last := units[n-1][0]
			if last.kind == entryChange && last.call == c.call && (m != Strict || last.node == c.node) {
				units[n-1] = append(units[n-1], c)
				continue
			}
		}
		units = append(units, unit{c})
	}
	return units
}

// renamed returns the changes of the rename that change i is one of, if it is.
func (fs *FS) renamed(i int) []*change {
	c, both := fs.changes[i], fs.changes[max(0, i-1):min(i+2, len(fs.changes))]
	return slices.DeleteFunc(slices.Clone(both), func(o *change) bool {
		return o.call != c.call || o.kind != entryChange || c.kind != entryChange
	})
}

// choices yields a fate for every unit, again and again.
func choices(units []unit, m Model, limit int, rng *rand.Rand) iter.Seq[[]fate] {
	return func(yield func([]fate) bool) {
		if total := count(units, m, limit); total <= limit {
			every(units, m, yield)
			return
		}
		left := limit
		try := func(f []fate) bool {
			left--
			return yield(f)
		}
		all, none := slices.Repeat([]fate{wholly}, len(units)), make([]fate, len(units))
		if !try(all) || !try(none) {
			return
		}
		// In any order: where limit cuts this off, the next moment tries others.
		for _, i := range rng.Perm(len(units)) {
			if left <= 0 || m == Journal {
				break
			}
			but, only := slices.Clone(all), slices.Clone(none)
			but[i], only[i] = lost, wholly
			if !try(but) || !try(only) {
				return
			}
		}
		for left > 0 {
			f := make([]fate, len(units))
			for i, u := range units {
				f[i] = fate(rng.IntN(u[0].fates()))
			}
			if m == Journal {
				order(units, f, rng.IntN(len(units)+1))
			}
			if !try(f) {
				return
			}
		}
	}
}

// order makes the fates of names and attributes those of a journal that was
// written up to unit end.
func order(units []unit, f []fate, end int) {
	for i, u := range units {
		if !u[0].isData() {
			f[i] = lost
			if i < end {
				f[i] = wholly
			}
		}
	}
}

// count returns the number of choices, or something above limit.
func count(units []unit, m Model, limit int) int {
	total, names := 1, 0
	for _, u := range units {
		if m == Journal && !u[0].isData() {
			names++
			continue
		}
		if total *= u[0].fates(); total > limit {
			return total
		}
	}
	return total * (names + 1)
}

// every yields all choices.
func every(units []unit, m Model, yield func([]fate) bool) {
	var ends []int // units at which the journal may end
	for i, u := range units {
		if m == Journal && !u[0].isData() {
			ends = append(ends, i)
		}
	}
	ends = append(ends, len(units))
	var walk func(f []fate, i, end int) bool
	walk = func(f []fate, i, end int) bool {
		if i == len(units) {
			return yield(slices.Clone(f))
		}
		if m == Journal && !units[i][0].isData() {
			f[i] = lost
			if i < end {
				f[i] = wholly
			}
			return walk(f, i+1, end)
		}
		for fate := range fate(units[i][0].fates()) {
			f[i] = fate
			if !walk(f, i+1, end) {
				return false
			}
		}
		return true
	}
	for _, end := range ends {
		if !walk(make([]fate, len(units)), 0, end) {
			return
		}
	}
}

// crash builds the state in which the units met their fates and everything
// else before the cut is there.
func (fs *FS) crash(at int, m Model, units []unit, fates []fate) *Crash {
	fate := map[*change]fate{}
	var gone []string
	for i, u := range units {
		for _, c := range u {
			fate[c] = fates[i]
			if fates[i] != wholly {
				gone = append(gone, c.String())
			}
		}
	}
	state := maps.Clone(fs.base)
	touched := map[*node]bool{}
	for _, c := range fs.changes {
		if c.call >= at {
			break
		}
		f, pending := fate[c]
		if !pending {
			f = wholly
		}
		if f == lost {
			continue
		}
		n := state[c.node]
		switch {
		case n == nil:
			n = c.node.born()
		case !touched[c.node]:
			n = n.copy()
		}
		state[c.node], touched[c.node] = n, true
		c.apply(n, f)
	}
	crashed := &FS{Reuse: fs.Reuse, Now: fs.Now, numbers: map[uint64]bool{}, lastIno: fs.lastIno}
	crashed.root = crashed.rebuild(fs.root, state, map[*node]*node{})
	crashed.root.links = 1
	crashed.Settle()
	return &Crash{FS: crashed, At: at, Model: m, What: strings.Join(gone, ", ")}
}

// born returns n as it was created: with its number and nothing in it.
func (n *node) born() *node {
	b := &node{ino: n.ino, mode: n.birth, mtime: n.btime, ctime: n.btime}
	if n.isDir() {
		b.entries = map[string]*node{}
	}
	return b
}

func (c *change) apply(n *node, f fate) {
	n.ctime = c.when
	switch c.kind {
	case entryChange:
		if c.target == nil {
			delete(n.entries, c.name)
		} else {
			n.entries[c.name] = c.target
		}
		n.mtime = c.when
	case modeChange:
		n.mode = c.mode
	case timeChange:
		n.mtime = c.mtime
	default:
		c.applyData(n, f)
		n.mtime = c.when
	}
}

// rebuild makes a tree of its own out of the states of nodes.
func (fs *FS) rebuild(id *node, state, done map[*node]*node) *node {
	if n := done[id]; n != nil {
		return n
	}
	from := state[id]
	if from == nil {
		from = id.born() // only its name survived
	}
	n := from.copy()
	n.links, n.open = 0, 0
	done[id] = n
	fs.numbers[n.ino] = true
	for name, child := range from.entries {
		c := fs.rebuild(child, state, done)
		c.links++
		n.entries[name] = c
	}
	return n
}
