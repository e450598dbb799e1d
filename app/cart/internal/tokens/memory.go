package tokens

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/google/uuid"
)

// maxRemembered bounds each half of the memory: about half a megabyte in all.
const maxRemembered = 2048

type (
	digest  = [sha256.Size]byte
	session struct {
		user    uuid.UUID
		expires time.Time
	}
)

// memory keeps the tokens that were used last, by their digests. It has two halves: when the
// young one is full it becomes the old one, and what the old one held is dropped.
type memory struct {
	mu         sync.Mutex
	young, old map[digest]session
	forgotten  int
}

func newMemory() *memory { return &memory{young: map[digest]session{}} }

func (m *memory) get(key digest) (session, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if found, ok := m.young[key]; ok {
		return found, true
	}
	found, ok := m.old[key]
	if ok {
		m.add(key, found)
	}
	return found, ok
}

// put keeps a token, unless everything was forgotten since the generation in which it was checked.
func (m *memory) put(key digest, value session, generation int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if generation == m.forgotten {
		m.add(key, value)
	}
}

func (m *memory) add(key digest, value session) {
	if len(m.young) >= maxRemembered {
		m.old, m.young = m.young, map[digest]session{}
	}
	m.young[key] = value
}

// generation counts how often everything was forgotten.
func (m *memory) generation() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.forgotten
}

// forget drops everything.
func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.young, m.old = map[digest]session{}, nil
	m.forgotten++
}
