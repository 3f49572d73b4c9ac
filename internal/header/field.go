package header

import "bytes"

// Field is what a header field is for.
type Field byte

// The fields that some program looks for; every other one is Other.
const (
	Other Field = iota
	Sender
	From
	ReplyTo
	To
	Cc
	Bcc
	Date
	MessageID
	Subject
	ResentSender
	ResentFrom
	ResentReplyTo
	ResentTo
	ResentCc
	ResentBcc
	ResentDate
	ResentMessageID
	ReturnReceiptTo
	ErrorsTo
	ApparentlyTo
	Received
	ReturnPath
	DeliveredTo
	ContentLength
	ContentType
	ContentTransferEncoding
	NoticeRequestedUponDeliveryTo
	MailFollowupTo

	Fields // how many there are
)

var names = [Fields]string{
	Sender:                        "sender",
	From:                          "from",
	ReplyTo:                       "reply-to",
	To:                            "to",
	Cc:                            "cc",
	Bcc:                           "bcc",
	Date:                          "date",
	MessageID:                     "message-id",
	Subject:                       "subject",
	ResentSender:                  "resent-sender",
	ResentFrom:                    "resent-from",
	ResentReplyTo:                 "resent-reply-to",
	ResentTo:                      "resent-to",
	ResentCc:                      "resent-cc",
	ResentBcc:                     "resent-bcc",
	ResentDate:                    "resent-date",
	ResentMessageID:               "resent-message-id",
	ReturnReceiptTo:               "return-receipt-to",
	ErrorsTo:                      "errors-to",
	ApparentlyTo:                  "apparently-to",
	Received:                      "received",
	ReturnPath:                    "return-path",
	DeliveredTo:                   "delivered-to",
	ContentLength:                 "content-length",
	ContentType:                   "content-type",
	ContentTransferEncoding:       "content-transfer-encoding",
	NoticeRequestedUponDeliveryTo: "notice-requested-upon-delivery-to",
	MailFollowupTo:                "mail-followup-to",
}

// name returns what precedes the colon without the blanks at its end, nil if
// there is no colon.
func name(field []byte) []byte {
	colon := bytes.IndexByte(field, ':')
	if colon < 0 {
		return nil
	}
	return bytes.TrimRight(field[:colon], " \t")
}

// Kind returns what field is, by its name, without regard to case.
func Kind(field []byte) Field {
	n := name(field)
	for k := Sender; k < Fields; k++ {
		if equalFold(n, names[k]) {
			return k
		}
	}
	return Other
}

// equalFold compares with a lower-case name, ASCII letters only: Unicode's
// folding would find a Kelvin sign in "to".
func equalFold(s []byte, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i, c := range s {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Valid reports whether a line begins a field: a name of printable ASCII
// without spaces, perhaps blanks, and a colon.
func Valid(line []byte) bool {
	n := name(line)
	for _, c := range n {
		if c <= 32 || c >= 127 {
			return false
		}
	}
	return len(n) > 0
}
