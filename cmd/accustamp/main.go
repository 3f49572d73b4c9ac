// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/multilog/stamp"
)

func main() { host.Main(&stamp.Accustamp) }
