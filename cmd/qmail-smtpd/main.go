// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/smtpd"
)

func main() { host.Main(&smtpd.QmailSmtpd) }
