package user

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"paperpath/internal/header"
	"paperpath/internal/proc"
	"paperpath/internal/quote"
	"paperpath/internal/strerr"
	"paperpath/internal/token822"
	"paperpath/mta/layout"
	"paperpath/mta/queue"
)

// maxHeader is how much of a header qreceipt and qbiff take into memory.
const maxHeader = 4 << 20

// Qreceipt is the program qreceipt(1): it answers senders who ask, in the field
// Notice-Requested-Upon-Delivery-To, to be told that a message has arrived.
var Qreceipt = proc.Program{Name: "qreceipt", Usage: "deliveryaddress", Run: qreceipt}

func qreceipt(_ context.Context, env *proc.Env) error {
	sender, ok := env.Vars.Get("SENDER")
	if len(env.Args) < 2 || !ok {
		return proc.ErrUsage
	}
	asked, messageID, err := notice(env.Files[0], env.Args[1])
	if err != nil {
		return err
	}
	// Bounces are not answered.
	if !asked || sender == "" || sender == "#@[]" {
		return nil
	}
	return sendReceipt(env, sender, env.Args[1], messageID)
}

// notice reads the header of a message: is a notice of its delivery to address
// asked for, and what is its Message-ID field?
func notice(message io.Reader, address string) (asked bool, messageID string, err error) {
	fields := header.NewReader(message, maxHeader)
	for {
		field, err := fields.Next()
		switch {
		case err == io.EOF:
			return asked, messageID, nil
		case err != nil:
			return false, "", errors.New("read error")
		}
		switch header.Kind(field) {
		case header.MessageID:
			messageID = string(field)
		case header.NoticeRequestedUponDeliveryTo:
			addresses, ok := fieldAddresses(string(field))
			if !ok {
				text := strings.TrimSuffix(string(field), "\n")
				return false, "", proc.Permanent(errors.New("unable to parse this: " + strerr.Clean(text)))
			}
			asked = asked || slices.Contains(addresses, address)
		}
	}
}

func fieldAddresses(field string) (addresses []string, ok bool) {
	tokens, ok := token822.Parse(field)
	if !ok {
		return nil, false
	}
	_, ok = token822.AppendRewritten(nil, tokens, 0, func(address []token822.Token) []token822.Token {
		addresses = append(addresses, token822.Unquote(address))
		return address
	})
	return addresses, ok
}

// sendReceipt sends the notice, as a bounce is sent: nobody answers that.
func sendReceipt(env *proc.Env, sender, address, messageID string) error {
	q, err := queue.Start(layout.Home(env.Vars), env.Vars)
	if err != nil {
		return errors.New("unable to fork")
	}
	to := quote.Address(sender)
	io.WriteString(q, "From: DELIVERY NOTICE SYSTEM <"+to+">\n"+
		"To: <"+to+">\n"+
		"Subject: success notice\n"+
		"\n"+
		"Hi! This is the qreceipt program. Your message was delivered to the\n"+
		"following address: "+address+". Thanks for asking.\n")
	if messageID != "" {
		io.WriteString(q, "Your "+messageID)
	}
	q.Envelope("")
	q.Recipient(sender)
	switch answer := q.Close(); {
	case answer == "":
		return nil
	case answer[0] == 'D':
		return proc.Permanent(errors.New("permanent qmail-queue error"))
	default:
		return proc.Temporary(errors.New("temporary qmail-queue error"))
	}
}
