// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/tcpserver/filter"
)

func main() { host.Main(&filter.Recordio) }
