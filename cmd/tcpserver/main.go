// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/tcpserver"
)

func main() { host.Main(&tcpserver.Tcpserver) }
