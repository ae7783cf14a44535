package host

import "sync"

// SharedData holds the key-value spaces that VMs share: one for each vm_id. A space lives as long as an engine of that
// vm_id. The zero value is empty and ready; it may be used by several goroutines at once.
type SharedData struct {
	mu     sync.Mutex
	cas    uint32
	spaces map[string]*sharedSpace
}

type sharedSpace struct {
	engines int
	values  map[string]sharedValue
}

type sharedValue struct {
	data []byte
	cas  uint32
}

func (s *SharedData) retain(vmID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spaces == nil {
		s.spaces = make(map[string]*sharedSpace)
	}
	space, ok := s.spaces[vmID]
	if !ok {
		space = &sharedSpace{values: make(map[string]sharedValue)}
		s.spaces[vmID] = space
	}
	space.engines++
}

func (s *SharedData) release(vmID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	space := s.spaces[vmID]
	if space.engines--; space.engines == 0 {
		delete(s.spaces, vmID)
	}
}

// get appends the value to dst, because the stored bytes may be replaced as soon as the lock is gone.
func (s *SharedData) get(vmID string, key, dst []byte) (data []byte, cas uint32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.spaces[vmID].values[string(key)]
	return append(dst, value.data...), value.cas, ok
}

// set stores a copy of data. As in Envoy, cas 0 writes in any case, and so does any cas on a key that is not there.
func (s *SharedData) set(vmID string, key, data []byte, cas uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	values := s.spaces[vmID].values
	old, ok := values[string(key)]
	if ok && cas != 0 && cas != old.cas {
		return false
	}
	s.cas++
	if s.cas == 0 {
		s.cas++ // 0 means "in any case"
	}
	values[string(key)] = sharedValue{data: append(old.data[:0], data...), cas: s.cas}
	return true
}
