// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/tcprules"
)

func main() { host.Main(&tcprules.Tcprulescheck) }
