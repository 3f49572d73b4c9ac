// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/svscan"
)

func main() { host.Main(&svscan.Svscan) }
