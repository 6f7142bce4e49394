// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package fsprobe

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// loopMounted is a new filesystem that is gone after the test.
func loopMounted(t testing.TB, mkfs ...string) string {
	t.Helper()
	testkit.NeedRoot(t)
	if _, err := exec.LookPath(mkfs[0]); err != nil {
		t.Skip("needs " + mkfs[0])
	}
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	testkit.Must(t, errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 400<<20)))
	if out, err := exec.Command(mkfs[0], append(mkfs[1:], image)...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v: %s", mkfs, err, out)
	}
	return mounted(t, dir, "-o", "loop", image, dir)
}

func mounted(t testing.TB, dir string, args ...string) string {
	t.Helper()
	if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
		t.Skipf("needs mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	sub := filepath.Join(dir, "sub")
	testkit.Must(t, os.Mkdir(sub, 0o700))
	return sub
}

func overlaid(t testing.TB) string {
	below, dir := loopMounted(t, "mkfs.ext4", "-qF"), t.TempDir()
	options := ""
	for _, name := range []string{"lowerdir", "upperdir", "workdir"} {
		testkit.Must(t, os.Mkdir(filepath.Join(below, name), 0o700))
		options += "," + name + "=" + filepath.Join(below, name)
	}
	return mounted(t, dir, "-t", "overlay", "-o", options[1:], "tmpdisk-test", dir)
}

// Whatever it can, nothing stays.
func TestProbe(t *testing.T) {
	no := unix.EOPNOTSUPP
	cases := []struct {
		name   string
		dir    func(testing.TB) string
		fsType string
		wantNo map[Ability]error
	}{
		{name: "ext4", dir: func(t testing.TB) string { return loopMounted(t, "mkfs.ext4", "-qF") }, fsType: "ext2/ext3/ext4",
			wantNo: map[Ability]error{Clone: no}},
		{name: "xfs", dir: func(t testing.TB) string { return loopMounted(t, "mkfs.xfs", "-qf", "-m", "reflink=1") }, fsType: "xfs"},
		{name: "xfs without reflink", dir: func(t testing.TB) string { return loopMounted(t, "mkfs.xfs", "-qf", "-m", "reflink=0") }, fsType: "xfs",
			wantNo: map[Ability]error{Clone: no}},
		{name: "btrfs", dir: func(t testing.TB) string { return loopMounted(t, "mkfs.btrfs", "-qf") }, fsType: "btrfs"},
		{name: "tmpfs", dir: func(t testing.TB) string { return testkit.Tmpfs(t, "4M") }, fsType: "tmpfs",
			wantNo: map[Ability]error{Clone: no, Zero: no}},
		{name: "overlay on ext4", dir: overlaid, fsType: "overlay", wantNo: map[Ability]error{Clone: no, Holes: errUnknown}},
		{name: "FUSE", dir: testkit.FUSE, fsType: "FUSE",
			wantNo: map[Ability]error{Unnamed: no, Punch: no, Zero: no, Holes: errAllData, Clone: no}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := c.dir(t)
			r, err := Probe(dir, "probe")
			if err != nil || r.Type.String() != c.fsType || r.LocalLocks != "" {
				t.Fatalf("got %s, %q, %v, want %s", r.Type, r.LocalLocks, err, c.fsType)
			}
			var abilities []Ability
			for _, a := range r.Answers {
				abilities = append(abilities, a.Ability)
				if want := c.wantNo[a.Ability]; !errors.Is(a.Err, want) || (r.Why(a.Ability) == nil) != (want == nil) {
					t.Errorf("got %s, want %v", a, want)
				}
			}
			if want := []Ability{Unnamed, Punch, Zero, Holes, Clone, Locks}; !slices.Equal(abilities, want) {
				t.Errorf("got %q, want %q", abilities, want)
			}
			testkit.WantEmpty(t, dir)
		})
	}
}

func TestAnswer(t *testing.T) {
	for want, a := range map[string]Answer{
		"locks: yes":                           {Locks, nil},
		"cloning: no: operation not supported": {Clone, unix.EOPNOTSUPP},
	} {
		if got := a.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if (Result{}).Why(Clone) == nil {
		t.Error("got cloning of what was not tried")
	}
}

func TestWarning(t *testing.T) {
	cases := []struct {
		name   string
		fsType sys.FSType
		answer Answer
		want   bool
	}{
		{"all is well", unix.XFS_SUPER_MAGIC, Answer{Punch, nil}, false},
		{"cannot punch", unix.XFS_SUPER_MAGIC, Answer{Punch, unix.EOPNOTSUPP}, false},
		{"punches nothing", unix.FUSE_SUPER_MAGIC, Answer{Punch, errStays}, true},
		{"zeroes nothing", unix.XFS_SUPER_MAGIC, Answer{Zero, errStays}, true},
		{"zeroes nothing, and is not asked to", unix.FUSE_SUPER_MAGIC, Answer{Zero, errStays}, false},
	}
	for _, c := range cases {
		if got := (Result{Type: c.fsType, Answers: []Answer{c.answer}}).Warning(); (got != "") != c.want {
			t.Errorf("%s: got %q, want one: %t", c.name, got, c.want)
		}
	}
}

func TestProbeWhereNoFileCanBeMade(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	_, err := Probe(missing, "probe")
	if !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v, want %v", err, unix.ENOENT)
	}
	testkit.Contains(t, err, "try the filesystem", missing)
}

// A filesystem that is full is no reason to fail.
func TestProbeWithoutRoom(t *testing.T) {
	dir := testkit.Tmpfs(t, "8K")
	testkit.Must(t, os.WriteFile(dir+"/full", make([]byte, 4096), 0o600))
	r, err := Probe(dir, "probe")
	if err != nil || !errors.Is(r.Why(Holes), unix.ENOSPC) || !errors.Is(r.Why(Punch), unix.ENOSPC) || r.Why(Locks) != nil {
		t.Errorf("got %v, %v, want that there is no room for holes", r.Answers, err)
	}
	testkit.Must(t, os.Remove(dir+"/full"))
	testkit.WantEmpty(t, dir)
}

// A filesystem that is like others, but for its answers.
func TestHoles(t *testing.T) {
	const trusted, unknown = sys.FSType(unix.XFS_SUPER_MAGIC), sys.FSType(0)
	const never = sys.FSType(unix.F2FS_SUPER_MAGIC) // trusted again in this process
	late := func(to int64, err error) seeker {
		calls := 0
		return func(fd int, off int64, whence int) (int64, error) {
			if calls++; calls == 100 { // among those in the middle, none of which is at a file's begin
				return to, err
			}
			return sys.Seek(fd, off, whence)
		}
	}
	cases := []struct {
		name   string
		fsType sys.FSType
		seek   seeker
		want   error
	}{
		{"right", trusted, sys.Seek, nil},
		{"right by chance", unknown, sys.Seek, errUnknown},
		{"all data", trusted, func(_ int, off int64, _ int) (int64, error) { return off, nil }, errAllData},
		{"not known", trusted, func(int, int64, int) (int64, error) { return 0, unix.EINVAL }, unix.EINVAL},
		{"late, not trusted", unknown, late(0, unix.ENXIO), errLate},
		{"late, before other data", never, late(1<<30, nil), errLate},
		{"trusted no more", never, sys.Seek, errUnknown},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f, err := os.Create(testkit.Tmpfs(t, "1M") + "/file")
			testkit.Must(t, err)
			defer f.Close()
			if got := holes(int(f.Fd()), c.fsType, c.seek); !errors.Is(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestExcludes(t *testing.T) {
	locked, open, closed := tempFile(t), tempFile(t), tempFile(t)
	testkit.Must(t, errors.Join(sys.Flock(int(locked.Fd())), closed.Close()))
	cases := []struct {
		name string
		f    *os.File
		want error
	}{
		{"one file", locked, nil},
		// A filesystem that has no locks does with one what others do with none.
		{"locks that both can have", open, errBoth},
		{"no file", closed, unix.ENOENT},
	}
	for _, c := range cases {
		if err := excludes(c.f); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func tempFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	testkit.Must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// Others sweep meanwhile what nobody has locked.
func TestUnnamedFileWhileOthersSweep(t *testing.T) {
	dir, err := privdir.Shared(t.TempDir())
	testkit.Must(t, err)
	defer dir.Close()
	stop, swept := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { swept <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			names, _ := filepath.Glob(dir.Join("*"))
			for _, name := range names {
				if f, err := os.Open(name); err == nil {
					if sys.Flock(int(f.Fd())) == nil && os.Remove(name) == nil {
						n++
					}
					f.Close()
				}
			}
		}
	}()
	for range 2000 {
		f, why, err := unnamedFile(dir, "probe")
		if why != nil || err != nil {
			t.Error(why, err)
			break
		}
		f.Close()
		if err := unnamed(dir, "probe"); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	t.Logf("%d swept", <-swept)
	testkit.WantEmpty(t, dir.Path())
}

func TestLocalOption(t *testing.T) {
	for options, want := range map[string]string{
		"rw,vers=4.2,hard,proto=tcp,local_lock=none,addr=192.0.2.1": "",
		"rw,vers=3,nolock,proto=tcp,local_lock=all":                 "nolock",
		"rw,vers=3,local_lock=flock":                                "local_lock=flock",
		"rw,vers=3,local_lock=posix":                                "", // flock is the server's
		"rw,localflocks":                                            "localflocks",
		"rw,vers=3.1.1,nobrl":                                       "nobrl",
		"":                                                          "",
	} {
		if got := localOption(options); got != want {
			t.Errorf("%q: got %q, want %q", options, got, want)
		}
	}
}
