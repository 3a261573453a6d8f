//go:build tools

// Package tools names the program that the build script builds, so that
// go.mod and go.sum cover everything it needs.
package tools

import (
	_ "sigs.k8s.io/kwok/cmd/kwok"
)
