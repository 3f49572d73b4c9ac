// Package paperpath carries the project's tables into the programs that need
// them at run time.
package paperpath

import "embed"

// HIER lists what an installed system consists of (internal/hier reads it).
//
//go:embed HIER
var HIER string

// PROGRAMS lists the installed commands (internal/programs reads it).
//
//go:embed PROGRAMS
var PROGRAMS string

// Files are what is installed beside the programs: manual pages, scripts and
// settings (HIER says where; package install reads it).
//
//go:embed man conf doc/install.md doc/differences.md
var Files embed.FS
