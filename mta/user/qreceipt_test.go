package user

import (
	"strings"
	"testing"

	"paperpath/internal/proc/proctest"
)

const receipt = "From: DELIVERY NOTICE SYSTEM <no@y>\nTo: <no@y>\nSubject: success notice\n\n" +
	"Hi! This is the qreceipt program. Your message was delivered to the\n" +
	"following address: me@x. Thanks for asking.\n"

// What notqmail's qreceipt sent for the same headers.
func TestQreceipt(t *testing.T) {
	for in, want := range map[string]string{
		"Notice-Requested-Upon-Delivery-To: me@x\n\nbody":                     receipt,
		"notice-requested-upon-delivery-to : a@b, Me <me@x> (really)":         receipt,
		"Message-ID: <1@z>\nNotice-Requested-Upon-Delivery-To: g: me@x;\n\nb": receipt + "Your Message-ID: <1@z>\n",
		"Notice-Requested-Upon-Delivery-To:\n \"me\"@x\nMESSAGE-ID:\n 1\n":    receipt + "Your MESSAGE-ID:\n 1\n",
		"Notice-Requested-Upon-Delivery-To: ME@x\n\n":                         "", // addresses keep their case
		"Notice-Requested-Upon-Delivery-To: you@x\n\n":                        "",
		"Subject: x\n\nNotice-Requested-Upon-Delivery-To: me@x\n":             "",
		"not a field\nNotice-Requested-Upon-Delivery-To: me@x\n":              "",
		"": "",
	} {
		q, vars := fakeQueue(t, "0")
		r := proctest.Run(&Qreceipt, proctest.Case{Args: []string{"me@x"}, In: in, Vars: vars})
		if r.Status != 0 || r.Out+r.Err != "" {
			t.Errorf("%q: status %d, %q", in, r.Status, r.Out+r.Err)
		}
		if got := q.Message(); got != want {
			t.Errorf("%q: sent %q, want %q", in, got, want)
		}
		if got := q.Envelope(); want != "" && got != "F|Tno@y||" {
			t.Errorf("%q: envelope %q", in, got)
		}
	}
}

// Nobody is told of the delivery of a bounce.
func TestQreceiptOfBounces(t *testing.T) {
	for _, sender := range []string{"", "#@[]"} {
		q, vars := fakeQueue(t, "0")
		vars.Set("SENDER", sender)
		r := proctest.Run(&Qreceipt, proctest.Case{Args: []string{"me@x"},
			In: "Notice-Requested-Upon-Delivery-To: me@x\n\n", Vars: vars})
		if r.Status != 0 || q.Message() != "" {
			t.Errorf("%q: status %d, sent %q", sender, r.Status, q.Message())
		}
	}
}

func TestQreceiptFails(t *testing.T) {
	const asks = "Notice-Requested-Upon-Delivery-To: me@x\n"
	for _, c := range []struct {
		in, queue string
		status    int
		err       string
	}{
		{asks, "31", 100, "permanent qmail-queue error"},
		{asks, "53", 111, "temporary qmail-queue error"},
		{"Notice-Requested-Upon-Delivery-To: (me@x\n x\n" + asks, "0", 100,
			"unable to parse this: Notice-Requested-Upon-Delivery-To: (me@x? x"},
		{"X: " + strings.Repeat("x", maxHeader), "0", 111, "read error"},
	} {
		_, vars := fakeQueue(t, c.queue)
		r := proctest.Run(&Qreceipt, proctest.Case{Args: []string{"me@x"}, In: c.in, Vars: vars})
		if want := "qreceipt: fatal: " + c.err + "\n"; r.Status != c.status || r.Err != want {
			t.Errorf("status %d, %q; want %d, %q", r.Status, r.Err, c.status, want)
		}
	}
	_, vars := fakeQueue(t, "0")
	vars.Unset("SENDER")
	r := proctest.Run(&Qreceipt, proctest.Case{Args: []string{"me@x"}, Vars: vars})
	if r.Status != 100 || r.Err != "qreceipt: usage: qreceipt deliveryaddress\n" {
		t.Errorf("without SENDER: status %d, %q", r.Status, r.Err)
	}
}
