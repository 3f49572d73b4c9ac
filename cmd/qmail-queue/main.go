// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/queue/accept"
)

func main() { host.Main(&accept.QmailQueue) }
