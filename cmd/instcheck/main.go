// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/install"
)

func main() { host.Main(&install.Instcheck) }
