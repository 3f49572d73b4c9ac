// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/dns"
)

func main() { host.Main(&dns.Dnsfq) }
