// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/spawn"
)

func main() { host.Main(&spawn.QmailLspawn) }
