package swap

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The lines of qmail-send's log (qmail-log(5)) that belong to a message.
var (
	stampHead  = regexp.MustCompile(`^@[0-9a-f]{24} `)
	startLine  = regexp.MustCompile(`^starting delivery ([0-9]+): msg ([0-9]+) to (.*)$`)
	resultLine = regexp.MustCompile(`^delivery ([0-9]+): (.*)$`)
	statusLine = regexp.MustCompile(`^status: local [0-9]+(/[0-9]+) remote [0-9]+(/[0-9]+)(.*)$`)
	bounceLine = regexp.MustCompile(`^bounce msg ([0-9]+) qp [0-9]+$`)
	anyLine    = regexp.MustCompile(`^(new |info |end )?msg ([0-9]+)(.*)$`)
)

// lives rewrites a log of qmail-send as the lives of its messages: for each what
// became of it, for each recipient what came of every delivery; messages and
// recipients sorted. Which of several deliveries comes first is chance in C as
// well. The lines about no message follow in their order, each status once.
func lives(log string) string {
	type life struct {
		own        []string            // lines about the message itself
		deliveries map[string][]string // by recipient
	}
	current := map[string]*life{}      // by number, which is given again
	delivery := map[string][2]string{} // message and recipient
	var all []*life
	var other []string
	for line := range strings.Lines(log) {
		line = stampHead.ReplaceAllString(strings.TrimSuffix(line, "\n"), "")
		switch {
		case startLine.MatchString(line):
			m := startLine.FindStringSubmatch(line)
			delivery[m[1]] = [2]string{m[2], m[3]}
		case resultLine.MatchString(line):
			m := resultLine.FindStringSubmatch(line)
			d := delivery[m[1]]
			l := current[d[0]]
			if l == nil {
				other = append(other, line)
				continue
			}
			l.deliveries[d[1]] = append(l.deliveries[d[1]], equalise(m[2]))
		case bounceLine.MatchString(line):
			if l := current[bounceLine.FindStringSubmatch(line)[1]]; l != nil {
				l.own = append(l.own, "bounce")
			}
		case anyLine.MatchString(line):
			m := anyLine.FindStringSubmatch(line)
			if m[1] == "new " {
				current[m[2]] = &life{deliveries: map[string][]string{}}
				all = append(all, current[m[2]])
			}
			if l := current[m[2]]; l != nil {
				l.own = append(l.own, m[1]+"msg"+equalise(m[3]))
			} else {
				other = append(other, line)
			}
		case statusLine.MatchString(line):
			line = statusLine.ReplaceAllString(line, "status: local L$1 remote R$2$3")
			if !slices.Contains(other, line) {
				other = append(other, line)
			}
		default:
			other = append(other, equalise(line))
		}
	}
	var texts []string
	for _, l := range all {
		text := strings.Join(l.own, "\n") + "\n"
		var recipients []string
		for recipient := range l.deliveries {
			recipients = append(recipients, recipient)
		}
		slices.Sort(recipients)
		for _, recipient := range recipients {
			text += fmt.Sprintf("  to %s\n    %s\n", recipient, strings.Join(l.deliveries[recipient], "\n    "))
		}
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return strings.Join(texts, "") + strings.Join(other, "\n") + "\n"
}

func TestLives(t *testing.T) {
	one := `status: local 0/10 remote 0/20
new msg 7
info msg 7: bytes 212 from <a@x.test> qp 12345 uid 0
new msg 8
info msg 8: bytes 300 from <b@x.test> qp 12346 uid 0
starting delivery 1: msg 7 to local c@x.test
status: local 1/10 remote 0/20
starting delivery 2: msg 7 to local d@x.test
delivery 1: success: did_1+0+0/
delivery 2: failure: no/
bounce msg 7 qp 12400
end msg 7
status: exiting
`
	// The same, in another order and with other numbers.
	other := `status: local 0/10 remote 0/20
new msg 9
info msg 9: bytes 300 from <b@x.test> qp 22345 uid 0
new msg 7
info msg 7: bytes 212 from <a@x.test> qp 22346 uid 0
starting delivery 4: msg 7 to local d@x.test
status: local 1/10 remote 0/20
delivery 4: failure: no/
starting delivery 1: msg 7 to local c@x.test
delivery 1: success: did_1+0+0/
bounce msg 7 qp 22400
end msg 7
status: exiting
`
	if lives(one) != lives(other) {
		t.Errorf("%s\nis not\n%s", lives(one), lives(other))
	}
	for _, change := range [][2]string{
		{"bytes 212", "bytes 213"}, {"failure: no", "deferral: no"}, {"end msg 7\n", ""}, {"bounce msg 7 qp 12400\n", ""},
		{"did_1", "did_2"}, {"/20", "/30"}, {"status: exiting\n", ""}, {"<b@", "<c@"}, {"uid 0", "uid 1"}, {"to local d", "to remote d"},
	} {
		if changed := strings.ReplaceAll(one, change[0], change[1]); lives(one) == lives(changed) {
			t.Errorf("nobody sees %q become %q:\n%s", change[0], change[1], lives(changed))
		}
	}
}
