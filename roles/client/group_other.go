//go:build !unix

package client

func groupOf(string) string { return "" }
