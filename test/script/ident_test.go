package script

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// listenIdent finds a loopback address with port 113 to itself: servers ask at
// the client's address, at no other port, which is for root to answer at.
func listenIdent() (l net.Listener, address string, err error) {
	for i := range 50 {
		address = fmt.Sprintf("127.113.%d.%d", os.Getpid()%250, i+1)
		if l, err = net.Listen("tcp", address+":113"); err == nil || errors.Is(err, os.ErrPermission) {
			break
		}
	}
	return l, address, err
}

// serveIdent is the command "ident USER": until the script ends, an ident
// server (RFC 1413) at the address in $IDENT says of all connections that they
// are USER's. $IDENT_REVERSED is the address backwards.
func serveIdent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ident USER")
	}
	l, address, err := listenIdent()
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	b := strings.Split(address, ".")
	ts.Setenv("IDENT", address)
	ts.Setenv("IDENT_REVERSED", b[3]+"."+b[2]+"."+b[1]+"."+b[0])
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answerIdent(c, args[0])
		}
	}()
}

// answerIdent answers a question of two port numbers.
func answerIdent(c net.Conn, user string) {
	defer c.Close()
	question, err := bufio.NewReader(io.LimitReader(c, 100)).ReadString('\n')
	if err != nil {
		return
	}
	var theirs, ours int
	if n, _ := fmt.Sscanf(question, "%d , %d\r\n", &theirs, &ours); n != 2 {
		io.WriteString(c, "0 , 0 : ERROR : INVALID-PORT\r\n")
		return
	}
	fmt.Fprintf(c, "%d , %d : USERID : UNIX : %s\r\n", theirs, ours, user)
}
