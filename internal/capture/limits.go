package capture

// Limits bound the memory of an Assembler. A value that is not positive stands for its default.
type Limits struct {
	HeldRecords       int // events that came before others of their connection and wait for them; 65536
	HeldBytes         int // of payload in them; 32 MiB
	OpenConnections   int // 262144
	ClosedConnections int // that are remembered to recognize their events; 65536
	HistoryRecords    int // events that are remembered to compare a second one of the same number; 65536
}

func (l Limits) withDefaults() Limits {
	set := func(n *int, value int) {
		if *n <= 0 {
			*n = value
		}
	}
	set(&l.HeldRecords, 1<<16)
	set(&l.HeldBytes, 32<<20)
	set(&l.OpenConnections, 1<<18)
	set(&l.ClosedConnections, 1<<16)
	set(&l.HistoryRecords, 1<<16)
	return l
}
