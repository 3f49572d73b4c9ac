// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/queue/store"
)

func main() { host.Main(&store.QmailUpq) }
