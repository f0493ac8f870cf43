//go:build !race

package tank_test

const topicClients, topicRounds = 1000, 10
