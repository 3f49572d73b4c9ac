// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/tcpserver/client"
)

func main() { host.Main(&client.Tcpclient) }
