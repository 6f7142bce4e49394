// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
)

// identity is a user that one command at a time runs as.
type identity struct {
	uid, gid int
	groups   []int  // supplementary
	name     string // "" if the user database has none
	home     string // "" is the command's own directory

	pool *identities
	// dirty means that something of this user may be alive that must not
	// be. Only the holder looks at it.
	dirty bool
}

// identities lends users to commands. Since no two commands ever run as the
// same user, none can read another's unfinished disk, and all of a user's
// processes can be killed when its command ends.
//
// All methods but the parsers are no-ops on nil, which means that commands
// run as the server does.
type identities struct {
	param string // "command-user" or "command-uids"
	all   []*identity
	free  chan *identity

	once      sync.Once
	reaperUID int // 0 if there is none; reaper sets it
}

// maxIdentities is how many users a range may have; that many commands would
// have to run at once to need more.
const maxIdentities = 1 << 16

// maxUID keeps clear of numbers that the kernel, other tools, and reaperUID
// take for their own.
const maxUID = math.MaxInt32 - 1<<16

// parseCommandUser reads the value of command-user: a user's name or number
// in the user database.
func parseCommandUser(value string) (*identities, error) {
	if err := onlyRoot(); err != nil {
		return nil, err
	}
	if value == "" || strings.ContainsFunc(value, unicode.IsControl) {
		// Lookup's errors would not be of use, or have it as it is.
		return nil, fmt.Errorf("%q: no such user: create one that nothing else uses", value)
	}
	u, err := user.Lookup(value)
	if err != nil && isDigits(value) {
		u, err = user.LookupId(value)
	}
	if err != nil {
		return nil, fmt.Errorf("%q: no such user: create one that nothing else uses: %w", value, err)
	}
	id := &identity{name: u.Username, home: u.HomeDir}
	if id.uid, err = strconv.Atoi(u.Uid); err != nil {
		return nil, fmt.Errorf("%q: user number %s: %w", value, u.Uid, err)
	}
	if id.gid, err = strconv.Atoi(u.Gid); err != nil {
		return nil, fmt.Errorf("%q: group number %s: %w", value, u.Gid, err)
	}
	if err := refuseUID(id.uid); err != nil {
		return nil, fmt.Errorf("%q: %w", value, err)
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("%q: groups of the user: %w", value, err)
	}
	for _, g := range groups {
		gid, err := strconv.Atoi(g)
		if err != nil {
			return nil, fmt.Errorf("%q: group number %s: %w", value, g, err)
		}
		id.groups = append(id.groups, gid)
	}
	return newIdentities("command-user", id), nil
}

// parseCommandUIDs reads the value of command-uids, LOW-HIGH. Each command
// runs as one of these users and as the group of the same number, and has no
// other group.
func parseCommandUIDs(value string) (*identities, error) {
	if err := onlyRoot(); err != nil {
		return nil, err
	}
	first, last, _ := strings.Cut(value, "-")
	low, errLow := strconv.ParseUint(first, 10, 31)
	high, errHigh := strconv.ParseUint(last, 10, 31)
	if errLow != nil || errHigh != nil || !isDigits(first) || !isDigits(last) {
		return nil, fmt.Errorf("%q: not LOW-HIGH: give the first and the last user number, for example 700000-700099", value)
	}
	if low > high {
		return nil, fmt.Errorf("%q: the first number is larger than the last", value)
	}
	if high-low >= maxIdentities {
		return nil, fmt.Errorf("%q: more than %d user numbers", value, maxIdentities)
	}
	users, groups := namesByNumber("/etc/passwd"), namesByNumber("/etc/group")
	var all []*identity
	for n := int(low); n <= int(high); n++ {
		if err := refuseUID(n); err != nil {
			return nil, fmt.Errorf("%q: %w", value, err)
		}
		id := strconv.Itoa(n)
		// Looking each number up could take minutes with a remote database.
		if n == int(low) || n == int(high) {
			if u, err := user.LookupId(id); err == nil {
				users[id] = u.Username
			}
			if g, err := user.LookupGroupId(id); err == nil {
				groups[id] = g.Name
			}
		}
		if name, taken := users[id]; taken {
			return nil, fmt.Errorf("%q: %s is the user %s: take numbers that nothing else uses", value, id, name)
		}
		if name, taken := groups[id]; taken {
			return nil, fmt.Errorf("%q: %s is the group %s: take numbers that nothing else uses", value, id, name)
		}
		all = append(all, &identity{uid: n, gid: n})
	}
	return newIdentities("command-uids", all...), nil
}

// namesByNumber reads passwd(5) or group(5): the number is the third field of
// both. It is empty where there is no such file.
func namesByNumber(path string) map[string]string {
	names := map[string]string{}
	data, _ := os.ReadFile(path)
	for line := range strings.Lines(string(data)) {
		if field := strings.SplitN(line, ":", 4); len(field) == 4 {
			names[field[2]] = field[0]
		}
	}
	return names
}

func onlyRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("needs root: leave it out, or start nbdkit as root and without -u")
	}
	return nil
}

// refuseUID says no to users whose other processes would be killed for sure.
func refuseUID(uid int) error {
	switch {
	case uid == 0:
		return errors.New("user number 0 is root: all that belongs to the user is killed when a command ends")
	case uid == os.Getuid() || uid == os.Geteuid():
		return fmt.Errorf("user number %d is this server's own: all that belongs to the user is killed when a command ends", uid)
	case uid < 0 || uid > maxUID:
		return fmt.Errorf("user number %d is above %d", uid, maxUID)
	}
	return nil
}

func newIdentities(param string, all ...*identity) *identities {
	ids := &identities{param: param, all: all, free: make(chan *identity, len(all))}
	for _, id := range all {
		id.pool = ids
		// A server that was killed may have left something of it.
		id.dirty = true
		ids.free <- id
	}
	return ids
}

// acquire waits until a user is free, and makes sure that nothing of it is
// alive. The caller must release it.
func (ids *identities) acquire(ctx context.Context) (*identity, error) {
	if ids == nil {
		return nil, nil
	}
	var id *identity
	select {
	case id = <-ids.free:
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: wait for a user that no command runs as: %s: %w", ids.param, whyCancelled(ctx.Err()), ctx.Err())
	}
	if id.dirty {
		if err := id.killAll(killPatience); err != nil {
			id.release()
			return nil, fmt.Errorf("%s: %w", ids.param, err)
		}
	}
	return id, nil
}

// release gives the user back. It is a no-op on nil.
func (id *identity) release() {
	if id != nil {
		id.pool.free <- id
	}
}

// apply makes cmd run as id, in cmd.Dir, which is also where its temporary
// files go: the server's TMPDIR need not be writable to it.
func (id *identity) apply(cmd *exec.Cmd) {
	groups := make([]uint32, 0, len(id.groups))
	for _, g := range id.groups {
		groups = append(groups, uint32(g))
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid), Groups: groups}
	home := id.home
	if home == "" {
		home = cmd.Dir
	}
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "HOME" || name == "USER" || name == "LOGNAME" || name == "MAIL" ||
			name == "TMPDIR" || strings.HasPrefix(name, "XDG_")
	})
	cmd.Env = append(cmd.Env, "HOME="+home, "TMPDIR="+cmd.Dir)
	if id.name != "" {
		cmd.Env = append(cmd.Env, "USER="+id.name, "LOGNAME="+id.name)
	}
}

// killAll kills every process of this user and waits until none is alive.
func (id *identity) killAll(patience time.Duration) error {
	id.dirty = true
	if err := killUID(id.uid, id.pool.reaper(), patience); err != nil {
		return fmt.Errorf("kill all of user %d: %w", id.uid, err)
	}
	id.dirty = false
	return nil
}
