//go:build !race

package test

const topicClients, topicRounds = 1000, 10
