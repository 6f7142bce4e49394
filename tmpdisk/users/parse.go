// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package users

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/user"
	"strconv"
	"strings"
	"unicode"
)

const (
	// maxUsers is how many users a range may have; that many commands would
	// have to run at once to need more.
	maxUsers = 1 << 16
	// maxUID keeps clear of numbers that the kernel, other tools, and
	// killerUID take for their own.
	maxUID = math.MaxInt32 - 1<<16
)

// ParseUser reads the value of command-user: a user's name or number in the
// user database.
func ParseUser(value string) (*Pool, error) {
	if err := onlyRoot(); err != nil {
		return nil, err
	}
	if value == "" || strings.ContainsFunc(value, unicode.IsControl) {
		// Lookup's errors would not be of use, or have it as it is.
		return nil, fmt.Errorf("%q: no such user: create one that nothing else uses", value)
	}
	entry, err := user.Lookup(value)
	if _, notNumber := strconv.ParseUint(value, 10, 31); err != nil && notNumber == nil {
		entry, err = user.LookupId(value)
	}
	if err != nil {
		return nil, fmt.Errorf("%q: no such user: create one that nothing else uses: %w", value, err)
	}
	groups, err := entry.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("%q: groups of the user: %w", value, err)
	}
	var n []int
	for _, id := range append([]string{entry.Uid, entry.Gid}, groups...) {
		number, err := strconv.Atoi(id)
		if err != nil {
			return nil, fmt.Errorf("%q: user or group number %s: %w", value, id, err)
		}
		n = append(n, number)
	}
	if err := refuseUID(n[0]); err != nil {
		return nil, fmt.Errorf("%q: %w", value, err)
	}
	return newPool("command-user",
		&User{UID: n[0], GID: n[1], groups: n[2:], name: entry.Username, home: entry.HomeDir}), nil
}

// ParseRange reads the value of command-uids, LOW-HIGH. Each command runs as
// one of these users and as the group of the same number, and has no other
// group.
func ParseRange(value string) (*Pool, error) {
	if err := onlyRoot(); err != nil {
		return nil, err
	}
	first, last, _ := strings.Cut(value, "-")
	low, errLow := strconv.ParseUint(first, 10, 31)
	high, errHigh := strconv.ParseUint(last, 10, 31)
	if errLow != nil || errHigh != nil {
		return nil, fmt.Errorf("%q: not LOW-HIGH: give the first and the last user number, for example 700000-700099", value)
	}
	if low > high {
		return nil, fmt.Errorf("%q: the first number is larger than the last", value)
	}
	if high-low >= maxUsers {
		return nil, fmt.Errorf("%q: more than %d user numbers", value, maxUsers)
	}
	users, groups := namesByNumber("/etc/passwd"), namesByNumber("/etc/group")
	// Looking each number up could take minutes with a remote database.
	for _, n := range []uint64{low, high} {
		id := strconv.FormatUint(n, 10)
		if u, err := user.LookupId(id); err == nil {
			users[id] = u.Username
		}
		if g, err := user.LookupGroupId(id); err == nil {
			groups[id] = g.Name
		}
	}
	var all []*User
	for n := int(low); n <= int(high); n++ {
		if err := refuseUID(n); err != nil {
			return nil, fmt.Errorf("%q: %w", value, err)
		}
		id := strconv.Itoa(n)
		if name, taken := users[id]; taken {
			return nil, fmt.Errorf("%q: %s is the user %s: take numbers that nothing else uses", value, id, name)
		}
		if name, taken := groups[id]; taken {
			return nil, fmt.Errorf("%q: %s is the group %s: take numbers that nothing else uses", value, id, name)
		}
		all = append(all, &User{UID: n, GID: n})
	}
	return newPool("command-uids", all...), nil
}

// namesByNumber reads passwd(5) or group(5): the number is the third field of
// both. It is empty where there is no such file.
func namesByNumber(path string) map[string]string {
	names := map[string]string{}
	data, _ := os.ReadFile(path)
	for _, line := range strings.Split(string(data), "\n") {
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
