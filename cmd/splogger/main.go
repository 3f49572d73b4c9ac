// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/splogger"
)

func main() { host.Main(&splogger.Splogger) }
