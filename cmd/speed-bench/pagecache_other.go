//go:build !linux

package main

import "errors"

func dropCache(string) (how string, err error) {
	return "", errors.New("only Linux is asked to drop what it has cached")
}
