package linear_test

import "testing"

// TestTopicsThatEndAreLinearizable is the same with topics that end with their last subscriber and begin anew.
func TestTopicsThatEndAreLinearizable(t *testing.T) {
	s := startServer(t)
	for i := range histories {
		s.check(t, uint64(i), nil)
	}
}
