// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/service"
)

func main() { host.Main(&service.Svwait) }
