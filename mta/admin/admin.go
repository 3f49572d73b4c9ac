// Package admin is what administrators type to see how the mail system is set
// up.
package admin
