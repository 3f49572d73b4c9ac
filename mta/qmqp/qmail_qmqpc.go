package qmqp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/decimal"
	"paperpath/internal/ipme"
	"paperpath/internal/netstring"
	"paperpath/internal/proc"
	"paperpath/internal/sys"
	"paperpath/internal/tcp"
	"paperpath/mta/control"
	"paperpath/mta/layout"
	"paperpath/mta/queue/answer"
)

// QmailQmqpc is the program qmail-qmqpc(8): qmail-queue's interface, with
// another host's queue behind it.
var QmailQmqpc = proc.Program{Name: "qmail-qmqpc", Run: qmqpc}

const (
	port           = 628
	timeoutConnect = 10 * time.Second
	timeoutIO      = 60 * time.Second
)

// qmqpc says by its exit status alone what became of the message.
func qmqpc(_ context.Context, env *proc.Env) error {
	sys.IgnoreSIGPIPE()
	home := layout.Home(env.Vars)
	if _, err := os.Stat(home + "/."); err != nil {
		return proc.Exit(answer.Home)
	}
	dir := control.Home(home)
	servers, ok, err := dir.List("qmqpservers")
	if err == nil && ok {
		_, _, err = dir.Line("me") // control_init
	}
	if err != nil || !ok {
		return proc.Exit(answer.Config)
	}
	request, err := request(env.Files[0], env.Files[1])
	switch {
	case errors.Is(err, errEnvelope):
		return proc.Exit(answer.NotEnvelope)
	case err != nil:
		return proc.Exit(answer.Read)
	}
	status := answer.Config
	for _, server := range servers {
		addr, ok := address(server)
		if !ok {
			continue
		}
		status = send(addr, request)
		if status != answer.ConnectTimeout && status != answer.ConnectRefused {
			break // it has the message, or nobody knows: no other server may get it
		}
	}
	if status == answer.Queued {
		return nil
	}
	return proc.Exit(status)
}

var errEnvelope = errors.New("bad envelope")

// request makes what the server is sent of qmail-queue's two inputs.
func request(message, envelope io.Reader) ([]byte, error) {
	text, err := io.ReadAll(message)
	if err != nil {
		return nil, err
	}
	all := netstring.Append(make([]byte, 0, len(text)+1000), text)
	r := bufio.NewReader(envelope)
	for letter := byte('F'); ; letter = 'T' {
		record, err := r.ReadBytes(0)
		if err != nil && err != io.EOF {
			return nil, err
		}
		if err == io.EOF || len(record) < 2 && letter == 'F' {
			return nil, errEnvelope
		}
		if len(record) == 1 {
			break
		}
		if record[0] != letter {
			return nil, errEnvelope
		}
		all = netstring.Append(all, record[1:len(record)-1])
	}
	return netstring.Append(nil, all), nil
}

// address reads a line of control/qmqpservers: an IPv4 address with whatever
// behind it, as ip_scan does; ours are a port behind a colon, and IPv6, in
// brackets if a port follows.
func address(line string) (netip.AddrPort, bool) {
	if addr, err := netip.ParseAddrPort(line); err == nil {
		return addr, true
	}
	if ip, err := netip.ParseAddr(strings.Trim(line, "[]")); err == nil {
		return netip.AddrPortFrom(ip, port), true
	}
	end := 0
	for dots := 0; dots < 4; dots++ {
		_, digits := decimal.Prefix(line[end:])
		end += digits
		if dots < 3 && !strings.HasPrefix(line[end:], ".") || digits == 0 {
			return netip.AddrPort{}, false
		}
		end++
	}
	ip, ok := ipme.ParseDotted(line[:end-1])
	return netip.AddrPortFrom(ip, port), ok
}

// send gives the request to one server and returns the exit status that its
// answer means.
func send(addr netip.AddrPort, request []byte) int {
	fd, err := tcp.Socket(addr.Addr())
	if err != nil {
		return answer.Network
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeoutConnect)
	defer cancel()
	conn, err := tcp.Connect(ctx, fd, addr)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, unix.ETIMEDOUT):
		return answer.ConnectTimeout
	case err != nil:
		return answer.ConnectRefused
	}
	defer conn.Close()
	for len(request) > 0 {
		conn.SetWriteDeadline(time.Now().Add(timeoutIO))
		n, err := conn.Write(request[:min(len(request), 64<<10)])
		if err != nil {
			return answer.ConnectionLost
		}
		request = request[n:]
	}
	return verdict(timed{conn})
}

// maxAnswer is more than a server has to say.
const maxAnswer = 1 << 20

// verdict reads an answer as far as the letter that says all. What is no answer
// (the greeting of another kind of server, say, with a K or D somewhere) is as good
// as none.
func verdict(server io.Reader) int {
	r := netstring.NewReader(bufio.NewReaderSize(server, 16))
	if n, err := r.Len(maxAnswer); err != nil || n == 0 {
		return answer.ConnectionLost
	}
	switch letter, _ := r.Byte(); letter {
	case 'K':
		return answer.Queued
	case 'Z':
		return answer.Refused
	case 'D':
		return answer.RefusedForGood
	}
	return answer.ConnectionLost
}

// timed gives every read its own deadline.
type timed struct{ *os.File }

func (t timed) Read(b []byte) (int, error) {
	t.SetReadDeadline(time.Now().Add(timeoutIO))
	return t.File.Read(b)
}
