package filter

import "l4dump/strategy"

// drops are the bytes of a stream that were not recorded, in the order of their reasons. A stream has few of them: a
// counter for each would be most of what a connection takes in memory.
type drops []drop

type drop struct {
	reason strategy.Reason
	bytes  uint64
}

// add counts n bytes. Allocation-free unless they are the first with their reason.
func (d *drops) add(reason strategy.Reason, n uint64) {
	if n == 0 {
		return
	}
	at := 0
	for ; at < len(*d) && (*d)[at].reason <= reason; at++ {
		if (*d)[at].reason == reason {
			(*d)[at].bytes += n
			return
		}
	}
	*d = append(*d, drop{})
	copy((*d)[at+1:], (*d)[at:])
	(*d)[at] = drop{reason, n}
}
