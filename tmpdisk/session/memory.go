// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"sync"
	"time"
)

// memory is a keeper whose disks are gone with the server.
type memory struct {
	mu      sync.Mutex
	waiting map[Key]*held
	lost    map[Key]Reason
	stopped bool
}

func newMemory() *memory {
	return &memory{waiting: map[Key]*held{}, lost: map[Key]Reason{}}
}

func (m *memory) begin() (found []finding, lost []entry, err error) { return nil, nil, nil }

func (m *memory) resume(_ context.Context, key Key) (*held, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if why, ok := m.lost[key]; ok {
		return nil, &LostError{key, why}
	}
	h, ok := m.waiting[key]
	if !ok {
		return nil, errUnknown
	}
	delete(m.waiting, key)
	return h, nil
}

func (m *memory) create(_ context.Context, key Key, _ string, d Disk) (*held, error) {
	return &held{key: key, disk: d}, nil
}

func (m *memory) release(h *held) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return h.disk.Close()
	}
	m.waiting[h.key] = h
	return nil
}

func (m *memory) discard(h *held) error { return h.disk.Close() }

func (m *memory) abandon(h *held, why Reason) error {
	m.mu.Lock()
	m.lost[h.key] = why
	m.mu.Unlock()
	return h.disk.Close()
}

func (m *memory) newest(*held) error { return nil }

func (m *memory) drop(w waiter, why Reason) (uint64, error) {
	m.mu.Lock()
	h := m.waiting[w.key]
	delete(m.waiting, w.key)
	m.lost[w.key] = why
	m.mu.Unlock()
	space := h.disk.Space()
	return space, h.disk.Close()
}

func (m *memory) forget(key Key, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.lost, key)
	return nil
}

// space implements keeper. What waits is not closed before it is out of the map.
func (m *memory) space(key Key) (allocated uint64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, ok := m.waiting[key]
	if !ok {
		return 0, false
	}
	return h.disk.Space(), true
}

func (m *memory) stop() {
	m.mu.Lock()
	waiting := m.waiting
	m.stopped, m.waiting = true, nil
	m.mu.Unlock()
	for _, h := range waiting {
		h.disk.Close()
	}
}
