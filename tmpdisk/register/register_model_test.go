// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package register

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// ledger is what a register must say after the same calls.
type ledger struct {
	*testing.T
	rng      *rand.Rand
	register *Register

	last     int64
	entries  map[int64]*page // by number
	sessions map[Key]*page
	counted  map[string]status.Count // by export
}

// link is a connection.
type link struct {
	client *Client
	conn   *fakeConn
	owner  string
}

// opening is a client that is about to get a disk.
type opening struct {
	owner  string
	client *Client
}

// page is an entry as it must be.
type page struct {
	entry   *entry
	key     Key
	last    string // who had it last, if nobody has it
	opens   []opening
	conns   []link
	waiting bool
}

func newLedger(t *testing.T, seed uint64) *ledger {
	l := &ledger{
		T: t, rng: rand.New(rand.NewPCG(seed, 0)), register: newRegister(),
		entries: map[int64]*page{}, sessions: map[Key]*page{}, counted: map[string]status.Count{},
	}
	l.register.Tally("export0") // they stay
	l.register.Tally("export1")
	return l
}

// newPage is a disk that is new.
func (l *ledger) newPage(key Key) *page {
	l.last++
	p := &page{key: key}
	l.entries[l.last] = p
	if key != nil {
		l.sessions[key] = p
	}
	return p
}

// settle forgets what must be forgotten by now.
func (l *ledger) settle() {
	for number, p := range l.entries {
		if len(p.opens) > 0 || len(p.conns) > 0 || p.waiting {
			continue
		}
		delete(l.entries, number)
		if p.key != nil {
			delete(l.sessions, p.key)
		}
	}
}

// export is that of a session, which is always the same.
func (l *ledger) export(k Key) string {
	if k == nil {
		return fmt.Sprint("export", l.rng.IntN(2))
	}
	return "export" + string(k.Short()[0]%2+'0')
}

func (l *ledger) open(key Key) {
	export, owner := l.export(key), fmt.Sprintf("user %d", l.rng.IntN(3))
	p := l.sessions[key]
	if p == nil {
		p = l.newPage(key)
	}
	c, err := l.register.Open(export, key, clients.Peer{Address: owner})
	full := !p.isOf(owner) && l.slots(owner) >= slotsEach
	if errors.Is(err, clients.ErrTooMany) != full || (err != nil) != full {
		l.Fatalf("open: got %v, want refused: %v", err, full)
	}
	if full {
		return
	}
	if p.entry != nil && p.entry != c.entry {
		l.Fatalf("open: got disk %d, want %d", c.Number(), p.entry.number)
	}
	p.entry = c.entry
	p.opens = append(p.opens, opening{owner, c})
}

// isOf is whether the disk takes a slot of owner's.
func (p *page) isOf(owner string) bool {
	return p.last == owner ||
		slices.ContainsFunc(p.opens, func(o opening) bool { return o.owner == owner }) ||
		slices.ContainsFunc(p.conns, func(c link) bool { return c.owner == owner })
}

// slots is how many disks are owner's.
func (l *ledger) slots(owner string) (n int) {
	for _, p := range l.entries {
		if p.isOf(owner) {
			n++
		}
	}
	return n
}

// pick is one that a condition holds for, or nil.
func (l *ledger) pick(condition func(*page) bool) *page {
	for _, number := range slices.Sorted(maps.Keys(l.entries)) {
		if p := l.entries[number]; condition(p) && l.rng.IntN(3) == 0 {
			return p
		}
	}
	return nil
}

func (l *ledger) connect() {
	p := l.pick(func(p *page) bool { return len(p.opens) > 0 })
	if p == nil {
		return
	}
	conn := &fakeConn{}
	o := p.opens[0]
	p.opens = p.opens[1:]
	o.client.Connect(conn, 1<<20)
	p.last = ""
	p.waiting = false
	p.conns = append(p.conns, link{o.client, conn, o.owner})
}

// request is one of a connection.
func (l *ledger) request() {
	p := l.pick(func(p *page) bool { return len(p.conns) > 0 })
	if p == nil {
		return
	}
	n := uint64(l.rng.IntN(1000))
	p.conns[l.rng.IntN(len(p.conns))].conn.counts.Written.Add(n)
	sum := l.counted[p.entry.export]
	l.counted[p.entry.export] = status.Count{Bytes: sum.Bytes + int64(n), Requests: sum.Requests + 1}
}

func (l *ledger) fail() {
	if p := l.pick(func(p *page) bool { return len(p.opens) > 0 }); p != nil {
		o := p.opens[0]
		p.opens = p.opens[1:]
		o.client.Fail()
	}
}

// close ends a connection, and a session's disk may wait then.
func (l *ledger) close() {
	p := l.pick(func(p *page) bool { return len(p.conns) > 0 })
	if p == nil {
		return
	}
	i := l.rng.IntN(len(p.conns))
	c, left := p.conns[i].client, p.conns[i].owner
	c.Disconnect()
	p.conns = slices.Delete(p.conns, i, i+1)
	if len(p.conns) == 0 {
		p.last = left
	}
	if p.key != nil && len(p.conns) == 0 && l.rng.IntN(4) > 0 {
		l.register.Waits(p.key)
		p.waiting = true
	}
	c.Done()
}

func (l *ledger) gone(key Key) {
	l.register.Gone(key)
	if p := l.sessions[key]; p != nil {
		p.waiting = false
	}
}

func (l *ledger) found(key Key) {
	p := l.sessions[key]
	if p == nil {
		p = l.newPage(key)
	}
	l.register.Found(key, l.export(key), true, 1<<20, time.Time{})
	p.waiting = true
	p.entry = l.register.sessions[key]
}

// step makes one call, and compares.
func (l *ledger) step() {
	key := key(fmt.Sprint(l.rng.IntN(6)))
	switch l.rng.IntN(10) {
	case 0:
		l.open(nil)
	case 1, 2:
		l.open(key)
	case 3, 4:
		l.connect()
	case 5:
		l.fail()
	case 6:
		l.close()
	case 7:
		l.gone(key)
	case 8:
		l.found(key)
	case 9:
		l.request()
	}
	l.settle()
	l.compare()
}

func (l *ledger) compare() {
	r := l.register
	var got, want []int64
	for number, p := range l.entries {
		if len(p.conns) > 0 || p.waiting {
			want = append(want, number)
		}
	}
	slices.Sort(want)
	r.mu.Lock()
	for _, e := range r.sorted() {
		if len(e.clients) == 0 && !e.waiting {
			continue
		}
		got = append(got, e.number)
		if p := l.entries[e.number]; p != nil && (e.waiting != p.waiting || len(e.clients) != len(p.conns)) {
			l.Errorf("disk %d: got waiting %v, %d connections, want %v, %d", e.number, e.waiting, len(e.clients), p.waiting, len(p.conns))
		}
	}
	r.mu.Unlock()
	if !slices.Equal(got, want) {
		l.Fatalf("disks: got %v, want %v", got, want)
	}
	if len(r.entries) != len(l.entries) || len(r.sessions) != len(l.sessions) {
		l.Fatalf("got %d entries, %d sessions, want %d, %d", len(r.entries), len(r.sessions), len(l.entries), len(l.sessions))
	}
	if got := written(l.register); !maps.Equal(got, l.counted) {
		l.Fatalf("counted: got %v, want %v", got, l.counted)
	}
}

func TestRegisterModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := newLedger(t, seed)
			for range 1500 {
				l.step()
			}
			if len(l.counted) != 2 {
				t.Errorf("requests of %d exports only", len(l.counted))
			}
			for key := range l.sessions {
				l.gone(key)
			}
			for _, p := range l.entries {
				for _, c := range p.conns {
					c.client.Disconnect()
					c.client.Done()
				}
				for _, o := range p.opens {
					o.client.Fail()
				}
			}
			if got := written(l.register); !maps.Equal(got, l.counted) {
				t.Errorf("counted: got %v, want %v", got, l.counted)
			}
			wantEmpty(t, l.register, "user 0", "user 1", "user 2")
		})
	}
}
