//go:build race

package test

// TestTopicsThatComeAndGoLeaveNothingBehind is a small one under the race detector, which takes many times as long: a few
// rounds are enough to find races.
const topicClients, topicRounds = 100, 2
