// Package queuetest has a stand-in for qmail-queue, for the tests of programs
// that queue messages.
package queuetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"paperpath/internal/proc"
)

// Queue keeps what it is given. Every message replaces the one before.
type Queue struct {
	t *testing.T

	// Home is a qmail home directory, empty but for the stand-in.
	Home string
	// Vars let a program find the home and the stand-in.
	Vars proc.Vars
}

// New makes a stand-in that ends with status, in decimal.
func New(t *testing.T, status string) *Queue {
	t.Helper()
	q := &Queue{t: t, Home: t.TempDir()}
	file := filepath.Join(q.Home, "queue")
	script := "#!/bin/sh\ncd " + q.Home + " || exit 61\ncat >message || exit 53\ncat <&1 >envelope\nexit " + status + "\n"
	if err := os.WriteFile(file, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	q.Vars = proc.Vars{"PATH=/usr/bin:/bin", "QMAILHOME=" + q.Home, "QMAILQUEUE=" + file}
	return q
}

// Message returns the message, "" for none.
func (q *Queue) Message() string { return q.read("message") }

// Envelope returns the envelope with bars for its NULs, "" for none.
func (q *Queue) Envelope() string { return strings.ReplaceAll(q.read("envelope"), "\x00", "|") }

// Forget makes the queue empty.
func (q *Queue) Forget() {
	os.Remove(filepath.Join(q.Home, "message"))
	os.Remove(filepath.Join(q.Home, "envelope"))
}

// Control writes a control file.
func (q *Queue) Control(name, text string) {
	q.t.Helper()
	file := filepath.Join(q.Home, "control", name)
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o644)
	}
	if err != nil {
		q.t.Fatal(err)
	}
}

func (q *Queue) read(name string) string {
	q.t.Helper()
	b, err := os.ReadFile(filepath.Join(q.Home, name))
	if err != nil && !os.IsNotExist(err) {
		q.t.Fatal(err)
	}
	return string(b)
}
