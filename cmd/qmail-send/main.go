// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/send"
)

func main() { host.Main(&send.QmailSend) }
