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

// Parse reads the value of command-user: a user's name or number in the user
// database, or LOW-HIGH, a range of numbers that are not in it. A command of a
// range's runs as one of these users and as the group of the same number, and has
// no other group.
func Parse(value string) (*Pool, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("needs root: leave it out, or start nbdkit as root and without -u")
	}
	parse := parseUser
	isNumber := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	if low, high, ok := strings.Cut(value, "-"); ok && isNumber(low) && isNumber(high) {
		parse = parseRange
	}
	all, err := parse(value)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", value, err)
	}
	return newPool(all...), nil
}

const noUser = "no such user: create one that nothing else uses, or give a range of numbers as LOW-HIGH"

func parseUser(value string) ([]*User, error) {
	if value == "" || strings.ContainsFunc(value, unicode.IsControl) {
		// Lookup's errors would not be of use, or have it as it is.
		return nil, errors.New(noUser)
	}
	entry, err := user.Lookup(value)
	if _, notNumber := strconv.ParseUint(value, 10, 31); err != nil && notNumber == nil {
		entry, err = user.LookupId(value)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", noUser, err)
	}
	groups, err := entry.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of the user: %w", err)
	}
	var n []int
	for _, id := range append([]string{entry.Uid, entry.Gid}, groups...) {
		number, err := strconv.Atoi(id)
		if err != nil {
			return nil, fmt.Errorf("user or group number %s: %w", id, err)
		}
		n = append(n, number)
	}
	if err := refuseUID(n[0]); err != nil {
		return nil, err
	}
	return []*User{{UID: n[0], GID: n[1], groups: n[2:], name: entry.Username, home: entry.HomeDir}}, nil
}

func parseRange(value string) ([]*User, error) {
	first, last, _ := strings.Cut(value, "-")
	low, errLow := strconv.ParseUint(first, 10, 31)
	high, errHigh := strconv.ParseUint(last, 10, 31)
	if err := errors.Join(errLow, errHigh); err != nil {
		return nil, fmt.Errorf("user numbers are at most %d", maxUID)
	}
	if low > high {
		return nil, errors.New("the first number is larger than the last")
	}
	if high-low >= maxUsers {
		return nil, fmt.Errorf("more than %d user numbers", maxUsers)
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
			return nil, err
		}
		id := strconv.Itoa(n)
		if name, taken := users[id]; taken {
			return nil, fmt.Errorf("%s is the user %s: take numbers that nothing else uses", id, name)
		}
		if name, taken := groups[id]; taken {
			return nil, fmt.Errorf("%s is the group %s: take numbers that nothing else uses", id, name)
		}
		all = append(all, &User{UID: n, GID: n})
	}
	return all, nil
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
