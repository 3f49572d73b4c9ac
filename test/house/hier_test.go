package house

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"paperpath"
	"paperpath/internal/hier"
)

// Modes and owners are what keeps one user's part of the mail system from
// another's. These are qmail's own (hier.c), written out a second time on
// purpose: a slip in a table must not be a slip in an installed system.

func TestModesOfPrograms(t *testing.T) {
	want := map[string]string{
		"qmail-queue":  "4711 qmailq:qmail",
		"qmail-start":  "0700 root:qmail",
		"qmail-lspawn": "0700 root:qmail",
		"qmail-newu":   "0700 root:qmail",
		"qmail-send":   "0711 root:qmail",
		"qmail-clean":  "0711 root:qmail",
		"qmail-rspawn": "0711 root:qmail",
		"qmail-getpw":  "0711 root:qmail",
		"qmail-local":  "0711 root:qmail",
		"qmail-remote": "0711 root:qmail",
		"qmail-popup":  "0711 root:qmail",
		"qmail-newmrh": "0700 root:qmail",
		"qmail-pw2u":   "0711 root:qmail",
		"splogger":     "0711 root:qmail",
	}
	for _, p := range table(t) {
		got := p.Mode + " " + p.Owner
		if exact, listed := want[p.Name]; listed {
			if got != exact {
				t.Errorf("%s: %s, want %s", p.Name, got, exact)
			}
		} else if got != "0755 root:qmail" && got != "0755 root:root" {
			t.Errorf("%s: %s, want 0755 of root", p.Name, got)
		}
	}
}

func TestModesOfDirectories(t *testing.T) {
	want := strings.Split(`d 0755 root:qmail .
d 2755 alias:qmail alias
d 0755 root:qmail bin
d 0755 root:qmail control
d 0750 qmailq:qmail queue
d 0700 qmails:qmail queue/bounce
d 0700 qmails:qmail queue/info
d 0700 qmailq:qmail queue/intd
d 0700 qmails:qmail queue/local
d 0750 qmailq:qmail queue/lock
f 0600 qmails:qmail queue/lock/sendmutex 0
f 0644 qmailr:qmail queue/lock/tcpto 1024
f 0644 qmailr:qmail queue/lock/tcpto6 2048
p 0622 qmails:qmail queue/lock/trigger
d 0750 qmailq:qmail queue/mess
d 0700 qmailq:qmail queue/pid
d 0700 qmails:qmail queue/remote
d 0750 qmailq:qmail queue/todo
d 0755 root:qmail users`, "\n")
	for sub, mode := range map[string]string{
		"mess": "0750 qmailq", "info": "0700 qmails", "local": "0700 qmails", "remote": "0700 qmails",
	} {
		for n := range 23 {
			want = append(want, fmt.Sprintf("d %s:qmail queue/%s/%d", mode, sub, n))
		}
	}
	entries, err := hier.Parse(paperpath.HIER)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		if e.Host {
			if e.Mode&0o7022 != 0 && e.Kind != 'l' {
				t.Errorf("HIER: %s: mode %04o", e.Path, e.Mode)
			}
			continue
		}
		line := fmt.Sprintf("%c %04o %s %s", e.Kind, e.Mode, e.Owner, e.Path)
		if e.Kind == 'f' {
			line += fmt.Sprint(" ", e.Size)
		}
		got = append(got, line)
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("HIER: %s: not so in qmail", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("HIER lacks %s", line)
		}
	}
}
