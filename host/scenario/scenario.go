// Package scenario runs the real program as an operator would, and hurts it: it swaps under load, kills host and backend at every point that
// matters and at random ones, and fills the disk. What it promises is held against what comes out.
package scenario
