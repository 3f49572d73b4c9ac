package sys

import "testing"

func TestWaitReadable(t *testing.T) {
	a, toA, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b, toB, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	toB.Write([]byte("x"))
	if aReady, bReady, err := WaitReadable(a, b); aReady || !bReady || err != nil {
		t.Error(aReady, bReady, err)
	}
	toA.Close() // an end is no reason to wait
	if aReady, bReady, err := WaitReadable(a, b); !aReady || !bReady || err != nil {
		t.Error(aReady, bReady, err)
	}
	if IsTerminal(int(a.Fd())) {
		t.Error("a pipe is a terminal")
	}
}
