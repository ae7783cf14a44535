package strategy

import "math/bits"

// estimate learns what a connection costs, in nanoseconds of allowance: a histogram of the costs of the connections that
// were seen lately, on a logarithmic scale, in which older ones count for less. Its methods are allocation-free. The zero
// estimate has seen nothing.
type estimate struct {
	weights [costBuckets]uint32
	total   uint32 // of weights
	mean    int64  // of the costs, in which older ones count for less
	cost    int64  // what Cost returns
}

const (
	// Each power of two has 1<<costBits buckets. All costs under 1<<minCostBits ns share the first.
	costBits    = 2
	minCostBits = 10
	costBuckets = (36-minCostBits)<<costBits + 1

	costWeight    = 16 // of one connection
	maxCostWeight = 256 * costWeight
	meanShift     = 6 // the mean is that of about 1<<meanShift connections
)

// Cost returns what the next connection may be expected to cost at most: nine of ten cost less, and so does the mean.
func (e *estimate) Cost() int64 { return e.cost }

// Add takes the cost of one more connection.
func (e *estimate) Add(cost int64) {
	e.weights[costBucket(cost)] += costWeight
	e.total += costWeight
	if n := int64(e.total / costWeight); n < 1<<meanShift {
		e.mean += (cost - e.mean) / max(n, 1)
	} else {
		e.mean += (cost - e.mean) >> meanShift
	}
	e.update()
}

// Replace takes that a connection which was added with cost before costs cost now, since it has not ended.
func (e *estimate) Replace(before, cost int64) {
	from := &e.weights[costBucket(before)]
	moved := min(*from, costWeight)
	*from -= moved
	e.weights[costBucket(cost)] += moved
	e.mean += (cost - before) / int64(min(1<<meanShift, max(e.total/costWeight, 1)))
	e.update()
}

func (e *estimate) update() {
	if e.total > maxCostWeight {
		e.total = 0
		for i, w := range e.weights {
			e.weights[i] = w / 2
			e.total += w / 2
		}
	}
	above := e.total / 10
	i := costBuckets - 1
	for i > 0 && e.weights[i] <= above {
		above -= e.weights[i]
		i--
	}
	e.cost = max(costOfBucket(i), e.mean)
}

// costBucket returns the bucket of a cost.
func costBucket(cost int64) int {
	if cost < 1<<minCostBits {
		return 0
	}
	exponent := bits.Len64(uint64(cost)) - 1
	fraction := int(cost>>(exponent-costBits)) & (1<<costBits - 1)
	return min((exponent-minCostBits)<<costBits+fraction+1, costBuckets-1)
}

// costOfBucket returns the cost under which all of a bucket lie.
func costOfBucket(i int) int64 {
	exponent, fraction := i>>costBits+minCostBits, int64(i&(1<<costBits-1))
	return (1<<costBits + fraction) << (exponent - costBits)
}
