// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package users

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// User is whom one command at a time runs as.
type User struct {
	UID, GID int

	groups []int  // supplementary
	name   string // "" if the user database has none
	home   string // "" is the command's own directory

	pool *Pool
	// dirty means that something of this user may be alive that must not
	// be. Only the holder looks at it.
	dirty bool
}

// Pool is the users that command-user names.
type Pool struct {
	all  []*User
	free chan *User

	once   sync.Once
	killer int // see killerUID
}

func newPool(all ...*User) *Pool {
	p := &Pool{all: all, free: make(chan *User, len(all))}
	for _, u := range all {
		u.pool = p
		// A server that was killed may have left something of it.
		u.dirty = true
		p.free <- u
	}
	return p
}

// Len is how many users there are.
func (p *Pool) Len() int { return len(p.all) }

// String tells pools apart: the first user and how many.
func (p *Pool) String() string { return fmt.Sprintf("command-user %d+%d", p.all[0].UID, len(p.all)) }

// Acquire waits until a user is free, and makes sure that nothing of it is
// alive. The caller must release it. The error wraps ctx.Err() if ctx ends
// first.
func (p *Pool) Acquire(ctx context.Context) (*User, error) {
	var u *User
	select {
	case u = <-p.free:
	case <-ctx.Done():
		return nil, fmt.Errorf("command-user: wait for one that no command runs as: %w", sys.ContextError(ctx))
	}
	if u.dirty {
		if err := u.KillAll(); err != nil {
			u.Release()
			return nil, fmt.Errorf("command-user: %w", err)
		}
	}
	return u, nil
}

// Release gives the user back.
func (u *User) Release() { u.pool.free <- u }

// KillAll kills every process of this user and waits until none is alive, for
// at most [sys.DeathPatience].
func (u *User) KillAll() error {
	u.dirty = true
	if err := killUID(u.UID, u.pool.killerUID(), sys.DeathPatience); err != nil {
		return fmt.Errorf("kill all of user %d: %w", u.UID, err)
	}
	u.dirty = false
	return nil
}

// Credential is what a process needs to run as this user.
func (u *User) Credential() *syscall.Credential {
	groups := make([]uint32, 0, len(u.groups))
	for _, g := range u.groups {
		groups = append(groups, uint32(g))
	}
	return &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID), Groups: groups}
}

// Environ is the environment of a command of this user's in dir, which is also
// where its temporary files go: the server's TMPDIR need not be writable to it.
// Of the server's environment, in which there may be secrets, it has only what
// says where programs are and how to speak: PATH, LANG, LC_* and TZ.
func (u *User) Environ(dir string) []string {
	home := u.home
	if home == "" {
		home = dir
	}
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name != "PATH" && name != "LANG" && name != "TZ" && !strings.HasPrefix(name, "LC_")
	})
	env = append(env, "HOME="+home, "TMPDIR="+dir, "SHELL=/bin/sh")
	if u.name != "" {
		env = append(env, "USER="+u.name, "LOGNAME="+u.name)
	}
	return env
}
