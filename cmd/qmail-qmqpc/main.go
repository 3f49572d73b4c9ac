// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/qmqp"
)

func main() { host.Main(&qmqp.QmailQmqpc) }
