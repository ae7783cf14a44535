package inspect

// maxSteps bounds a series.
const maxSteps = 512

// series counts over time in steps of equal width, which grow with the time that there is: adding takes constant time on
// average, and memory is bounded, in whatever order times come.
type series struct {
	width int64 // of a step, in nanoseconds: a power of two
	first int64 // the number of the first step, counted from the Unix epoch
	steps []Step
}

func newSeries() *series { return &series{width: 1 << 20} }

// at returns the step of a time in nanoseconds since the Unix epoch.
func (s *series) at(time int64) *Step {
	for {
		number := floorDiv(time, s.width)
		switch {
		case len(s.steps) == 0:
			s.first, s.steps = number, append(s.steps, Step{})
		case number < s.first && s.first-number <= int64(maxSteps-len(s.steps)):
			missing := int(s.first - number)
			grown := make([]Step, missing+len(s.steps), maxSteps)
			copy(grown[missing:], s.steps)
			s.first, s.steps = number, grown
		case number < s.first, number-s.first >= maxSteps:
			s.widen()
			continue
		}
		for int64(len(s.steps)) <= number-s.first {
			s.steps = append(s.steps, Step{})
		}
		return &s.steps[number-s.first]
	}
}

// widen makes one step of two.
func (s *series) widen() {
	first := floorDiv(s.first, 2)
	half := make([]Step, 0, maxSteps)
	for i := range s.steps {
		number := floorDiv(s.first+int64(i), 2) - first
		if int64(len(half)) == number {
			half = append(half, Step{})
		}
		half[number].add(s.steps[i])
	}
	s.width, s.first, s.steps = s.width*2, first, half
}

func (s *Step) add(other Step) {
	s.Downstream += other.Downstream
	s.Upstream += other.Upstream
	s.Connections += other.Connections
}

func (s *series) report() *Series {
	if len(s.steps) == 0 {
		return nil
	}
	return &Series{Start: timeText(s.first * s.width), Seconds: seconds(s.width), Steps: s.steps}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
