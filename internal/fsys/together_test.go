package fsys_test

import (
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/fsys/crashfs"
)

// gate is a tree whose SyncDir says when it begins and waits for leave.
type gate struct {
	fsys.FS
	began chan struct{}
	leave chan error
}

func (g gate) SyncDir(name string) error {
	// Before: what appears in the directory during a sync is not part of it.
	err := g.FS.SyncDir(name)
	g.began <- struct{}{}
	if fault := <-g.leave; fault != nil {
		return fault
	}
	return err
}

// wait polls until ok.
func wait(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still waiting")
		}
	}
}

// Those who come during a sync share the next one, and what they have put into
// the directory survives every crash after it.
func TestTogether(t *testing.T) {
	tree := crashfs.New("new", "tmp")
	var together fsys.Together
	g := gate{tree, make(chan struct{}), make(chan error)}
	fs := together.FS(g, "root")
	users := func() int { return fsys.TogetherUsers(&together, "root\x00new") }

	put := func(name string) { // a durable file without a durable name
		file, err := tree.Open("tmp/"+name, fsys.WRONLY|fsys.CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		file.Write([]byte(name))
		file.Sync()
		file.Close()
		if err := tree.Link("tmp/"+name, "new/"+name); err != nil {
			t.Fatal(err)
		}
	}
	type result struct {
		name string
		err  error
	}
	results := make(chan result, 10)
	deliver := func(name string) {
		put(name)
		go func() { results <- result{name, fs.SyncDir("new")} }()
	}
	durable := func(name string) bool {
		for c := range tree.CrashesAt(tree.Calls(), crashfs.Strict, 500, 1) {
			if _, err := c.FS.Stat("new/" + name); err != nil {
				return false
			}
		}
		return true
	}

	deliver("first")
	<-g.began
	for i, name := range []string{"b", "c", "d"} {
		deliver(name)
		wait(t, func() bool { return users() == i+2 })
	}
	if durable("b") {
		t.Fatal("this test shows nothing: b is durable before its sync")
	}
	g.leave <- nil
	if r := <-results; r.name != "first" || r.err != nil {
		t.Fatalf("%+v", r) // nobody else may return before the next sync
	}
	<-g.began
	select {
	case r := <-results:
		t.Fatalf("%+v during the sync", r)
	default:
	}
	deliver("late")
	wait(t, func() bool { return users() == 4 })
	g.leave <- nil
	for range 3 {
		if r := <-results; r.err != nil || r.name == "late" || !durable(r.name) {
			t.Errorf("%+v, durable %t", r, durable(r.name))
		}
	}
	// An error is everybody's who relied on that sync, and nobody else's.
	<-g.began
	deliver("unlucky")
	wait(t, func() bool { return users() == 2 })
	g.leave <- nil
	if r := <-results; r.name != "late" || r.err != nil || !durable("late") {
		t.Errorf("%+v", r)
	}
	<-g.began
	g.leave <- syscall.EIO
	if r := <-results; r.err != syscall.EIO {
		t.Errorf("%+v", r)
	}
	if users() != 0 {
		t.Error("a directory that nobody syncs is remembered")
	}
}

// Different directories, and equal names in different trees, do not wait for
// each other.
func TestTogetherApart(t *testing.T) {
	var together fsys.Together
	tree := crashfs.New("a", "b")
	g := gate{tree, make(chan struct{}), make(chan error)}
	one, two := together.FS(g, "1"), together.FS(g, "2")
	var all sync.WaitGroup
	for _, sync := range []func() error{
		func() error { return one.SyncDir("a") },
		func() error { return one.SyncDir("b") },
		func() error { return two.SyncDir("a") },
	} {
		all.Go(func() {
			if err := sync(); err != nil {
				t.Error(err)
			}
		})
	}
	for range 3 {
		<-g.began // all at once, or this never ends
	}
	for range 3 {
		g.leave <- nil
	}
	all.Wait()
}

// Everybody's success is his own: many deliveries at once, and after each
// success a look at what a crash would leave.
func TestTogetherMany(t *testing.T) {
	var together fsys.Together
	tree := crashfs.New("new")
	fs := together.FS(tree, "")
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			name := "new/" + strconv.Itoa(i)
			file, err := fs.Open(name, fsys.WRONLY|fsys.CREATE, 0o600)
			if err != nil {
				t.Error(err)
				return
			}
			file.Sync()
			file.Close()
			if err := fs.SyncDir("new"); err != nil {
				t.Error(err)
			}
			at := tree.Calls()
			for c := range tree.CrashesAt(at, crashfs.Strict, 20, uint64(i)) {
				if _, err := c.FS.Stat(name); err != nil {
					t.Errorf("%s reported and lost", name)
				}
			}
		})
	}
	all.Wait()
}
