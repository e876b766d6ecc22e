package platform

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// User is as whom a role runs.
type User struct {
	Name     string // "" when the id has no name
	UID, GID int
}

func (u User) String() string {
	if u.Name == "" {
		return "uid " + strconv.Itoa(u.UID)
	}
	return u.Name
}

// Self returns the effective user of this process.
func Self() User {
	u := User{UID: os.Geteuid(), GID: os.Getegid()}
	if named, err := user.LookupId(strconv.Itoa(u.UID)); err == nil {
		u.Name = named.Username
	}
	return u
}

// LookupUser returns the first user that exists of names, each a name or a
// number. A number needs no entry in the user database; its group then has the
// same number.
func LookupUser(names ...string) (User, error) {
	for _, name := range names {
		found, err := user.Lookup(name)
		number, notNumber := strconv.ParseUint(name, 10, 31)
		if err != nil && notNumber == nil {
			if found, err = user.LookupId(name); err != nil {
				return User{UID: int(number), GID: int(number)}, nil
			}
		}
		var unknown user.UnknownUserError
		switch {
		case errors.As(err, &unknown):
			continue
		case err != nil:
			return User{}, fmt.Errorf("look up user %q: %w", name, err)
		}
		uid, err := strconv.Atoi(found.Uid)
		if err != nil {
			return User{}, fmt.Errorf("user %q has the id %q: %w", name, found.Uid, ErrNotSupported)
		}
		gid, err := strconv.Atoi(found.Gid)
		if err != nil {
			return User{}, fmt.Errorf("user %q has the group id %q: %w", name, found.Gid, ErrNotSupported)
		}
		return User{Name: found.Username, UID: uid, GID: gid}, nil
	}
	return User{}, fmt.Errorf("no such user: %s", strings.Join(names, ", "))
}

// RoleUser returns as whom root runs a role: the configured user, by name or
// number, or with "" daemoneye if there is one, else nobody. Root is refused.
func RoleUser(configured string) (User, error) {
	names := []string{"daemoneye", "nobody"}
	if configured != "" {
		names = []string{configured}
	}
	u, err := LookupUser(names...)
	if err != nil {
		return u, err
	}
	if u.UID == 0 {
		return u, fmt.Errorf("%q is root; name an unprivileged user", u.Name)
	}
	return u, nil
}
