package swap

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// equal is what becomes of that which no two runs have in common. Sizes stay:
// what changes has the same length in every run (furnish).
var equal = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`@[0-9a-f]{24}`), "@STAMP"},
	{regexp.MustCompile(`\b1[0-9]{9}\.[A-Za-z0-9_]+\.` + regexp.QuoteMeta(hostName)), "TIME.PID." + hostName}, // Maildir
	{regexp.MustCompile(`\b1[0-9]{9}\.[0-9]{6}\b`), "SECONDS"},                                                // splogger
	{regexp.MustCompile(`\b[0-9]{1,2} [A-Z][a-z]{2} 20[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}`), "DATE"},
	{regexp.MustCompile(`\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} 20[0-9]{2}`), "DATE"}, // mbox, Date: of predate
	{regexp.MustCompile(`\b[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}`), "DATE"},                          // syslog
	{regexp.MustCompile(`\b20[0-9]{12}\b`), "DATE"},                                                                 // Message-ID
	{regexp.MustCompile(`202[0-9]-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}`), "DATE"},                 // tai64nlocal
	{regexp.MustCompile(`(msg |  #)[0-9]+`), "${1}N"},                                                               // the number of a message
	{regexp.MustCompile(`\b[0-9]+ (seconds)`), "N $1"},                                                              // svstat, qmail-tcpto
	{regexp.MustCompile(`(tcpserver: status: )[0-9]+`), "${1}N"},
	{regexp.MustCompile(`bounce/[0-9]+`), "bounce/N"},
	{regexp.MustCompile(`mess/[0-9]+/[0-9]+`), "mess/S/N"}, // names in the queue
	{regexp.MustCompile(`[1-9][0-9]{4,}`), "NUMBER"},       // processes, ports, times
}

func equalise(text string) string {
	for _, e := range equal {
		text = e.what.ReplaceAllString(text, e.with)
	}
	return text
}

// queued matches what is named after a message in the queue.
var queued = regexp.MustCompile(`(qmail/queue/(?:mess|info|local|remote|bounce)/)[0-9/]+$`)

// draw writes all the files below root but for those that the room was
// furnished with.
func draw(w io.Writer, root string) error {
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root+"/")
		switch name {
		case root, "qmail/bin", "etc", "dev", "tmp", "nothing", "scenario":
			if d.IsDir() && name != root {
				return fs.SkipDir
			}
			return nil
		}
		if d.Name() == "status.new" {
			return nil // of our supervise, which needs it again
		}
		if d.IsDir() && queued.MatchString(name) {
			return nil // the queue's subdirectories all exist
		}
		text, err := drawFile(path, name, d)
		files = append(files, text)
		return err
	})
	// Maildirs have their messages in the order of their names, which are no more.
	slices.Sort(files)
	for _, text := range files {
		io.WriteString(w, text)
	}
	return err
}

func drawFile(path, name string, d fs.DirEntry) (string, error) {
	info, err := d.Info()
	if err != nil {
		return "", err
	}
	name = queued.ReplaceAllString(name, "${1}S/N")
	head := fmt.Sprintf("\n== %s %s %s\n", equalise(name), info.Mode(), owner(info))
	if !info.Mode().IsRegular() {
		return head, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return head + strings.ReplaceAll(drawText(name, text), "\x00", "\\0\n"), nil
}

func drawText(name string, text []byte) string {
	switch {
	case strings.HasSuffix(name, "/supervise/status"):
		return fmt.Sprintf("%d bytes\n", min(len(text), 18)) // ours tells more, behind what C tells
	case name == "qmail/queue/lock/tcpto":
		return fmt.Sprintf("%d bytes\n", len(text)) // of time
	case strings.HasSuffix(name, ".cdb"), name == "qmail/users/cdb":
		return fmt.Sprintf("sha256 %x\n", sha256.Sum256(text))
	case name == "log/qmail/current":
		return lives(string(text))
	case strings.HasPrefix(name, "log/") && !strings.HasPrefix(name, "log/count/"):
		// What several processes say has no order.
		lines := strings.SplitAfter(equalise(string(text)), "\n")
		slices.Sort(lines)
		return strings.Join(lines, "")
	}
	return equalise(string(text))
}

// owner returns the names of a file's user and group.
func owner(info fs.FileInfo) string {
	stat := info.Sys().(*syscall.Stat_t)
	uid, gid := strconv.Itoa(int(stat.Uid)), strconv.Itoa(int(stat.Gid))
	if u, err := user.LookupId(uid); err == nil {
		uid = u.Username
	}
	if g, err := user.LookupGroupId(gid); err == nil {
		gid = g.Name
	}
	return uid + ":" + gid
}

// What two runs may differ in is made equal, and nothing else.
func TestEqualise(t *testing.T) {
	for _, same := range [][2]string{
		{"@400000006b01f2d11d1f9eac x", "@400000003c675d4000fc2e29 x"},
		{"Maildir/new/1795289797.10931.swap.test", "Maildir/new/1795289999.22222.swap.test"},
		{"Date: 1 Nov 2026 19:36:37 -0000", "Date: 1 Dec 2027 01:00:00 -0000"},
		{"From a@b Sat Nov 21 19:36:37 2026", "From a@b Sun Dec  6 09:00:00 2026"},
		{"<20261121193259.11211.qmail@swap.test>", "<20271121193259.21211.qmail@swap.test>"},
		{"new msg 1", "new msg 1234"},
		{"up (pid 10223) 1 seconds", "up (pid 23456) 17 seconds"},
		{"250 ok 1795289688 qp 11734", "250 ok 1795299999 qp 22222"},
		{"triple bounce: discarding bounce/7", "triple bounce: discarding bounce/1024"},
	} {
		if equalise(same[0]) != equalise(same[1]) {
			t.Errorf("%q is not %q", equalise(same[0]), equalise(same[1]))
		}
	}
	for _, different := range [][2]string{
		{"bytes 213", "bytes 214"}, {"status 256", "status 0"}, {"(#5.1.1)", "(#4.1.1)"}, {"local 0/10", "local 0/20"},
		{"127.0.0.1", "127.0.0.2"}, {"did_1+0+0", "did_0+1+0"}, {"-0000", "-0500"}, {"invoked by uid 0)", "invoked by alias)"},
	} {
		if equalise(different[0]) == equalise(different[1]) {
			t.Errorf("%q and %q are both %q", different[0], different[1], equalise(different[0]))
		}
	}
}
