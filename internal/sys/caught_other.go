//go:build !(linux && amd64)

package sys

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// Catch begins to catch sigs. Programs that this one executes get their default
// back, as with every caught signal.
func Catch(sigs ...unix.Signal) (*Caught, error) {
	r, w, err := Pipe()
	if err != nil {
		return nil, err
	}
	for _, sig := range sigs {
		w.notify(sig)
	}
	return &Caught{R: r, w: w, sigs: sigs}, nil
}

// Close catches them no longer.
func (c *Caught) Close() {
	for _, sig := range c.sigs {
		signal.Reset(os.Signal(sig))
	}
}
