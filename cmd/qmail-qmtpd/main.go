// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/qmtp"
)

func main() { host.Main(&qmtp.QmailQmtpd) }
