package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

const (
	listCount = 8
	listDelay = 50 * time.Millisecond
)

// lists measures how long rblsmtpd thinks about a client that no list has.
func lists(n *sizes) *contest {
	took := &metric{"until the program is executed", "ms", atMost(100)}
	one := func(who family) func(*turn) error {
		return func(t *turn) error {
			program, err := nothing.make(t.dir)
			if err != nil {
				return err
			}
			addr, end, err := serveLists(who)
			if err != nil {
				return err
			}
			defer end()
			var args []string
			for i := range listCount {
				args = append(args, "-r", fmt.Sprintf("list%d.example", i+1))
			}
			for range 5 {
				cmd := exec.CommandContext(t.ctx, t.find(who, "rblsmtpd"), append(args, program)...)
				cmd.Env = []string{"PATH=/usr/bin:/bin", "TCPREMOTEIP=192.0.2.1", "DNSCACHEIP=" + addr}
				began := time.Now()
				if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
					return fmt.Errorf("rblsmtpd: %w %q", err, out)
				}
				t.milliseconds(took, time.Since(began))
			}
			return nil
		}
	}
	return &contest{
		name: "lists", title: fmt.Sprintf("rblsmtpd with %d lists that answer after %v", listCount, listDelay), metrics: []*metric{took},
		contenders: []contender{
			{"paperpath", []string{"rblsmtpd"}, ours, one(ours)},
			{"ucspi-tcp", []string{"rblsmtpd"}, theirs, one(theirs)},
		},
	}
}

// serveLists is a name server that has no name and takes its time to say so.
// It returns what $DNSCACHEIP should be. The C program knows only port 53,
// which is free at some address of this host; ours takes any.
func serveLists(who family) (cacheIP string, end func(), err error) {
	listenAt := netip.MustParseAddrPort("127.0.0.1:0")
	if who == theirs {
		pid := os.Getpid()
		listenAt = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 53, byte(pid >> 8), byte(pid)}), 53)
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(listenAt))
	if errors.Is(err, syscall.EACCES) {
		return "", nil, leftOut("only root may serve at the port that it asks, 53")
	}
	if err != nil {
		return "", nil, err
	}
	started := make(chan struct{})
	s := &dns.Server{
		PacketConn:        conn,
		NotifyStartedFunc: func() { close(started) },
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			time.Sleep(listDelay) // each question has its own goroutine
			w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeNameError))
		}),
	}
	failed := make(chan error, 1)
	go func() { failed <- s.ActivateAndServe() }()
	select {
	case err := <-failed:
		return "", nil, err
	case <-started:
	}
	text := conn.LocalAddr().String()
	if who == theirs {
		text, _, _ = strings.Cut(text, ":")
	}
	return text, func() { s.Shutdown() }, nil
}
