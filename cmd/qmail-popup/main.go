// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/pop3"
)

func main() { host.Main(&pop3.QmailPopup) }
