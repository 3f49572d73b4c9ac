// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/service/boot"
)

func main() { host.Main(&boot.Readproctitle) }
