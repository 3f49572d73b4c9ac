// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/rcpthosts"
)

func main() { host.Main(&rcpthosts.QmailNewbrt) }
