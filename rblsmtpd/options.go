package rblsmtpd

import (
	"strconv"
	"time"

	"paperpath/internal/decimal"
	"paperpath/internal/opt"
	"paperpath/internal/proc"
)

// settings is the command line.
type settings struct {
	sources   []source
	threshold int           // score that refuses
	timeout   time.Duration // of the dialogue; 0: one line and no dialogue
	silence   time.Duration // before the greeting
	early     verdict       // for who does not keep it
	verbose   bool
	next      []string
}

// parseOptions reads the options. -b, -B, -c, -C, -w and -T count for the
// sources that come after them: the original asks each source as soon as it
// reads of it.
func parseOptions(env *proc.Env) (*settings, error) {
	set := &settings{threshold: 1, timeout: 60 * time.Second}
	now := source{listed: refuse, weight: 1}
	o := opt.Parse(env.Args[1:], "bBcCt:r:a:w:s:T:g:v")
	for o.Next() {
		switch o.Letter {
		case 'b':
			now.listed = bounce
		case 'B':
			now.listed = refuse
		case 'c':
			now.closed = true
		case 'C':
			now.closed = false
		case 't':
			set.timeout = seconds(o.Arg)
		case 'r', 'a':
			s := now
			s.anti = o.Letter == 'a'
			if err := s.parse(o.Arg); err != nil {
				return nil, proc.Permanent(err)
			}
			set.sources = append(set.sources, s)
		case 'w':
			n, err := strconv.ParseInt(o.Arg, 10, 16)
			if err != nil {
				return nil, proc.ErrUsage
			}
			now.weight = int(n)
		case 's':
			n, err := strconv.ParseInt(o.Arg, 10, 16)
			if err != nil || n < 1 {
				return nil, proc.ErrUsage
			}
			set.threshold = int(n)
		case 'T':
			now.limit = seconds(o.Arg)
		case 'g':
			set.silence, set.early = seconds(o.Arg), now.listed
		case 'v':
			set.verbose = true
		default:
			env.Say(o.Problem())
			return nil, proc.ErrUsage
		}
	}
	if set.next = o.Rest(); len(set.next) == 0 {
		return nil, proc.ErrUsage
	}
	return set, nil
}

func seconds(s string) time.Duration {
	d, _ := decimal.Seconds(s)
	return d
}
