// Package install makes a host's mail system and audits it. Both read one list,
// made of three tables that lie in the binary:
//
//	HIER       the qmail home, and what is around it on a host
//	PROGRAMS   the commands: those of group qmail in HOME/bin, all others in
//	           PREFIX/bin, with a link in /command
//	man/       pages: beside the commands, HOME/man and PREFIX/share/man, which has
//	           links to the former
//
//	instpackage   makes what is absent, replaces programs and pages
//	instcheck     says what differs
//
// Whatever somebody may have written is never written again: control files, rules,
// run scripts, .qmail files, the queue. The home itself gets the owners and modes
// of the table each time, as the C instpackage gives them.
package install

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"paperpath"
	"paperpath/internal/hier"
	"paperpath/internal/programs"
	"paperpath/mta/layout"
)

// Prefix is where what is not qmail's own is installed. A packager sets another
// with -ldflags "-X paperpath/install.Prefix=/usr".
var Prefix = "/usr/local"

// hosts is the command that is the host's own: its hostname knows options, and what
// mail is delivered to finds the programs in the qmail home first.
const hosts = "hostname"

// item is one thing that an installed system has.
type item struct {
	hier.Entry        // Path is absolute
	program    string // name of the built file, for a program

	text []byte // of an s or c that is no program
	page bool   // a manual page, or a link to one
}

// compressed reports whether a packager has compressed a page, as man(1) allows.
func (it *item) compressed(name string) bool {
	_, err := os.Lstat(name + ".gz")
	return it.page && err == nil
}

// queue reports whether a part of the queue is meant: the C programs can be told to
// make or check that alone.
func (it *item) queue(home string) bool {
	return it.Path == home+"/queue" || strings.HasPrefix(it.Path, home+"/queue/")
}

// items lists what a system consists of whose qmail home is home: a directory comes
// before what is in it.
func items(home string) ([]item, error) {
	entries, err := hier.Parse(paperpath.HIER)
	if err != nil {
		return nil, err
	}
	commands, err := programs.Parse(paperpath.PROGRAMS)
	if err != nil {
		return nil, err
	}
	place := strings.NewReplacer("/var/qmail", home, "/usr/local", Prefix, "{prefix}", Prefix)
	var list, later []item
	for _, e := range entries {
		e.Path = place.Replace(e.Path)
		if !path.IsAbs(e.Path) {
			e.Path = path.Join(home, e.Path)
		}
		it := item{Entry: e}
		switch e.Kind {
		case 's', 'c':
			text, err := paperpath.Files.ReadFile(e.What)
			if err != nil {
				return nil, err
			}
			it.text = []byte(place.Replace(string(text)))
		case 'l':
			// Links lead to what is in place by then.
			if it.What = place.Replace(e.What); it.What != it.Path {
				later = append(later, it)
			}
			continue
		}
		list = append(list, it)
	}
	commands = slices.DeleteFunc(commands, func(c programs.Program) bool { return c.Name == hosts })
	for _, c := range commands {
		it := item{Entry: hier.Entry{Kind: 's', Owner: c.Owner, Path: Prefix + "/bin/" + c.Name, Host: true}, program: c.Name}
		if _, err := fmt.Sscanf(c.Mode, "%o", &it.Mode); err != nil {
			return nil, err
		}
		if qmails(c) {
			it.Path = home + "/bin/" + c.Name
		} else {
			later = append(later, item{Entry: hier.Entry{
				Kind: 'l', Mode: 0o777, Owner: "root:root", Path: "/command/" + c.Name, What: it.Path, Host: true,
			}})
		}
		list = append(list, it)
	}
	pages, links, err := manual(commands, home, place)
	return slices.Concat(list, pages, links, later), err
}

// bigTodo adds what a queue of the big-todo patch has more: subdirectories of todo and
// intd, as mess has.
func bigTodo(list []item, home string) (more []item) {
	for _, it := range list {
		more = append(more, it)
		if it.Path != home+"/queue/todo" && it.Path != home+"/queue/intd" {
			continue
		}
		dir := it.Path
		for n := range layout.Split {
			it.Path = dir + "/" + strconv.Itoa(n)
			more = append(more, it)
		}
	}
	return more
}

// qmails reports whether a command belongs to qmail itself.
func qmails(c programs.Program) bool { return strings.HasSuffix(c.Owner, ":qmail") }

// manual lists the pages: those of the commands in PREFIX/bin where man(1) looks for
// them, all others in the qmail home, as ever, with links from where man(1) looks.
func manual(commands []programs.Program, home string, place *strings.Replacer) (pages, links []item, err error) {
	elsewhere := map[string]bool{}
	for _, c := range commands {
		elsewhere[c.Name+"."+c.Section] = !qmails(c)
	}
	files, err := fs.ReadDir(paperpath.Files, "man")
	if err != nil {
		return nil, nil, err
	}
	for _, f := range files {
		if f.Name() == hosts+".1" {
			continue
		}
		section := f.Name()[strings.LastIndexByte(f.Name(), '.')+1:]
		shared := Prefix + "/share/man/man" + section + "/" + f.Name()
		it := item{Entry: hier.Entry{Kind: 's', Mode: 0o644, Owner: "root:root", Path: shared, Host: true}, page: true}
		if !elsewhere[f.Name()] {
			it.Path, it.Owner = home+"/man/man"+section+"/"+f.Name(), "root:qmail"
			links = append(links, item{Entry: hier.Entry{
				Kind: 'l', Mode: 0o777, Owner: "root:root", Path: shared, What: it.Path, Host: true,
			}, page: true})
		}
		text, err := paperpath.Files.ReadFile("man/" + f.Name())
		if err != nil {
			return nil, nil, err
		}
		it.text = []byte(place.Replace(string(text)))
		pages = append(pages, it)
	}
	return pages, links, nil
}
