package ere

// place is what an assertion asks for.
type place byte

const (
	begin place = iota
	end
	wordEdge
	noWordEdge
	wordBegin
	wordEnd
)

// holds reports whether i is such a place in text.
func (p place) holds(text string, i int) bool {
	before := i > 0 && isWord(text[i-1])
	after := i < len(text) && isWord(text[i])
	switch p {
	case begin:
		return i == 0
	case end:
		return i == len(text)
	case wordEdge:
		return before != after
	case noWordEdge:
		return before == after
	case wordBegin:
		return !before && after
	default:
		return before && !after
	}
}

// instruction is a step of the program. A byte of the text is used by take and
// by nothing else.
type instruction struct {
	op    op
	set   *set
	place place
	other int // where it may go on, too
}

type op byte

const (
	take   op = iota // a byte of set, then the next instruction
	assert           // place, then the next instruction
	split            // the next instruction and other
	jump             // other
	found            // the expression was found
)

// Regexp is a compiled expression. It may be used by several goroutines.
type Regexp struct{ program []instruction }

// Compile compiles an expression.
func Compile(expr string) (*Regexp, error) {
	if len(expr) > maxLength {
		return nil, errLarge
	}
	p := parser{rest: expr}
	tree, err := p.choice()
	if err != nil {
		return nil, err
	}
	c := compiler{}
	if !c.compile(tree) {
		return nil, errLarge
	}
	c.emit(instruction{op: found})
	return &Regexp{c.program}, nil
}

// compiler writes a program. It counts what it does: (((){9}){9}){9} is no
// instruction, but work.
type compiler struct {
	program []instruction
	work    int
}

func (c *compiler) emit(i instruction) int {
	c.program = append(c.program, i)
	return len(c.program) - 1
}

func (c *compiler) here(from int) { c.program[from].other = len(c.program) }

// compile appends the instructions of a node, unless they become too many.
func (c *compiler) compile(n *node) bool {
	if c.work++; c.work > maxSize {
		return false
	}
	switch n.kind {
	case bytesOf:
		c.emit(instruction{op: take, set: &n.set})
	case assertion:
		c.emit(instruction{op: assert, place: n.place})
	case sequence:
		for _, s := range n.sub {
			if !c.compile(s) {
				return false
			}
		}
	case choice:
		var ends []int
		for i, s := range n.sub {
			last := i == len(n.sub)-1
			next := 0
			if !last {
				next = c.emit(instruction{op: split})
			}
			if !c.compile(s) {
				return false
			}
			if !last {
				ends = append(ends, c.emit(instruction{op: jump}))
				c.here(next)
			}
		}
		for _, e := range ends {
			c.here(e)
		}
	case repeat:
		for range n.min {
			if !c.compile(n.sub[0]) {
				return false
			}
		}
		if n.max < 0 {
			loop := c.emit(instruction{op: split})
			if !c.compile(n.sub[0]) {
				return false
			}
			c.emit(instruction{op: jump, other: loop})
			c.here(loop)
			return true
		}
		var ends []int
		for range n.max - n.min {
			ends = append(ends, c.emit(instruction{op: split}))
			if !c.compile(n.sub[0]) {
				return false
			}
		}
		for _, e := range ends {
			c.here(e)
		}
	}
	return true
}

// Match reports whether the expression is found in text.
func (r *Regexp) Match(text string) bool {
	m := matcher{Regexp: r, text: text, seen: make([]int, len(r.program))}
	var now, next []int // instructions that take a byte
	for i := 0; ; i++ {
		// It may begin at any byte.
		if now = m.follow(now, 0, i); m.found {
			return true
		}
		if i == len(text) {
			return false
		}
		next = next[:0]
		for _, pc := range now {
			if r.program[pc].set.has(text[i]) {
				next = m.follow(next, pc+1, i+1)
			}
		}
		now, next = next, now
	}
}

// matcher is the state of one match.
type matcher struct {
	*Regexp
	text  string
	seen  []int // one more than the place at which an instruction was met last
	found bool
}

// follow appends the instructions at which the program can be when it has come
// to pc at byte i.
func (m *matcher) follow(list []int, pc, i int) []int {
	for m.seen[pc] != i+1 {
		m.seen[pc] = i + 1
		switch in := &m.program[pc]; in.op {
		case take:
			return append(list, pc)
		case assert:
			if !in.place.holds(m.text, i) {
				return list
			}
			pc++
		case split:
			list = m.follow(list, pc+1, i)
			pc = in.other
		case jump:
			pc = in.other
		case found:
			m.found = true
			return list
		}
	}
	return list
}
