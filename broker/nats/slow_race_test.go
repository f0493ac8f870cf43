//go:build race

package natsbroker

// slowdown is how much longer things may take.
const slowdown = 5
