//go:build unix

package supervisor

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"daemoneye/platform"
)

func TestOpenOwnedGivesNewDirectoryToUser(t *testing.T) {
	user := platform.Self()
	if os.Geteuid() == 0 {
		var err error
		if user, err = platform.LookupUser("nobody"); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "a", "b", "store")
	for range 2 { // made, then found
		f, err := openOwned(path, user, 0o750)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if got := int(info.Sys().(*syscall.Stat_t).Uid); got != user.UID || info.Mode().Perm()&0o007 != 0 {
			t.Errorf("owner %d, mode %v, want %d and nothing for others", got, info.Mode(), user.UID)
		}
		_ = f.Close()
	}
}

func TestOpenOwnedRefuses(t *testing.T) {
	dir := t.TempDir()
	user := platform.Self()
	link, file, full := filepath.Join(dir, "link"), filepath.Join(dir, "file"), filepath.Join(dir, "full")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]platform.User{link: user, file: user, filepath.Join(file, "x"): user}
	if os.Geteuid() == 0 { // somebody else's directory with something in it
		if err := os.MkdirAll(filepath.Join(full, "theirs"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(full, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		cases[full] = platform.User{Name: "agent", UID: 54321, GID: 54321}
	}
	for path, user := range cases {
		f, err := openOwned(path, user, 0o750)
		if err == nil {
			_ = f.Close()
			t.Errorf("%s was accepted", path)
		} else if !strings.Contains(err.Error(), path) && path != filepath.Join(file, "x") {
			t.Errorf("error %q does not name %s", err, path)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"/srv/daemoneye": "/srv/daemoneye", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(reboot)": "'$(reboot)'",
	} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}
