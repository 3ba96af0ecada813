// Package stress checks adapters with many modules at once, some of them hostile, and holds every verdict against what is known.
package stress
