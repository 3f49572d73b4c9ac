// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/remote"
)

func main() { host.Main(&remote.QmailRemote) }
