package tank

// DefaultLimits returns the limits of an instance that sets none.
func DefaultLimits() Limits {
	var l Limits
	l.setDefaults()
	return l
}
