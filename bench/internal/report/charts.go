package report

type chartFile struct{ name, svg string }

func (r *Results) charts() []chartFile { return nil }
