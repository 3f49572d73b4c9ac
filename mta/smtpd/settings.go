package smtpd

import (
	"errors"
	"slices"
	"time"

	"paperpath/internal/fsys"
	"paperpath/mta/control"
	"paperpath/mta/rcpthosts"
)

// settings is what the control files say. Sessions share it: nobody changes it.
type settings struct {
	greeting    string
	localIPHost string // "" for none
	localDates  bool   // in Received
	timeout     time.Duration
	dataBytes   int // 0 for no limit
	hosts       *rcpthosts.Hosts

	badMailFrom        badList
	badMailFromNoRelay patterns
	badMailFromUnknown control.Map // for clients without a name
	badHelo            patterns
	badMailTo          patterns
	badMailToNoRelay   patterns
	badRcptTo          badList
	moreBadRcptTo      *rcpthosts.More
	rejectRelayTest    bool
	rejectMultiBounce  bool

	faults []error // patterns that cannot be understood, and are left out
}

func (set *settings) close() {
	set.hosts.Close()
	set.moreBadRcptTo.Close()
}

// load reads the control files, the caller closes what comes of it. Those of
// qmail-smtpd.c are read in its order.
func load(fs fsys.FS) (*settings, error) {
	set := &settings{}
	if err := set.read(fs); err != nil {
		if set.hosts != nil {
			set.hosts.Close()
		}
		return nil, err
	}
	return set, nil
}

func (set *settings) read(fs fsys.FS) (err error) {
	dir := control.Open(fs)
	// Read first, although smtpgreeting may make it unnecessary: an
	// unreadable control/me is an error all the same (control_init).
	me, hasMe, err := dir.Line("me")
	if err != nil {
		return err
	}
	var ok bool
	if set.greeting, ok, err = dir.Line("smtpgreeting"); err == nil && !ok {
		if !hasMe {
			err = control.ErrNoMe
		}
		set.greeting = me
	}
	if err != nil {
		return err
	}
	if set.localIPHost, err = dir.LineOr("localiphost", me); err != nil {
		return err
	}
	if set.localDates, err = dir.LocalDates(); err != nil {
		return err
	}
	timeout, err := dir.Int("timeoutsmtpd", 1200)
	if err != nil {
		return err
	}
	set.timeout = time.Duration(min(max(timeout, 1), maxSeconds)) * time.Second
	if set.hosts, err = rcpthosts.Open(fs); err != nil {
		return err
	}
	if set.badMailFrom, err = set.badList(dir, "badmailfrom"); err != nil {
		return err
	}
	if set.dataBytes, err = dir.Int("databytes", 0); err != nil {
		return err
	}

	// What follows is of the patches. Without these files nothing changes.
	if set.badMailFromNoRelay, err = set.patterns(dir, "badmailfromnorelay"); err != nil {
		return err
	}
	unknown, _, err := dir.List("badmailfrom-unknown")
	if err != nil {
		return err
	}
	set.badMailFromUnknown = control.Set(unknown)
	if set.badHelo, err = set.patterns(dir, "badhelo"); err != nil {
		return err
	}
	if set.badMailTo, err = set.patterns(dir, "badmailto"); err != nil {
		return err
	}
	if set.badMailToNoRelay, err = set.patterns(dir, "badmailtonorelay"); err != nil {
		return err
	}
	if set.badRcptTo, err = set.badList(dir, "badrcptto"); err != nil {
		return err
	}
	test, err := dir.Int("rejectrelaytest", 0)
	if err != nil {
		return err
	}
	set.rejectRelayTest = test != 0
	multi, err := dir.Int("rejectmultibounce", 0)
	if err != nil {
		return err
	}
	set.rejectMultiBounce = multi != 0
	set.moreBadRcptTo, err = rcpthosts.OpenMore(fs, "control/morebadrcptto.cdb")
	return err
}

// maxSeconds keeps a timeout within what a time.Duration holds.
const maxSeconds = 1 << 32

// patterns reads a file of patterns.
func (set *settings) patterns(dir *control.Dir, name string) (patterns, error) {
	lines, _, err := dir.List(name)
	return set.parse(name, lines), err
}

// badList reads a file of addresses and patterns.
func (set *settings) badList(dir *control.Dir, name string) (badList, error) {
	lines, _, err := dir.List(name)
	marked := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !looksLikePattern(line) })
	// An address with a character of a pattern is still that address.
	return badList{control.Set(lines), set.parse(name, marked)}, err
}

// parse parses the patterns of the file name.
func (set *settings) parse(name string, lines []string) (list patterns) {
	for _, line := range lines {
		if p, err := parsePattern(line); err == nil {
			list = append(list, p)
		} else {
			set.faults = append(set.faults, errors.New("control/"+name+": "+line+" is ignored: "+err.Error()))
		}
	}
	return list
}
