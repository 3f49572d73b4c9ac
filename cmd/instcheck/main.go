// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/install"
	"paperpath/internal/proc/host"
)

func main() { host.Main(&install.Instcheck) }
