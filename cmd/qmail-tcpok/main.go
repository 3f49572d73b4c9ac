// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/tcpto"
)

func main() { host.Main(&tcpto.QmailTcpok) }
