// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"os"
	"slices"
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// pairs is a command line: key, value, key, value...
func setAll(t testing.TB, pairs []string) error {
	c := New(testkit.Host{TB: t})
	for i := 0; i < len(pairs); i += 2 {
		if err := c.Set(pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	if err := c.Complete(); err != nil {
		return err
	}
	_, err := c.CheckFiles()
	return err
}

func TestConfigAccepts(t *testing.T) {
	cases := []struct {
		name  string
		pairs []string
	}{
		{"size alone", []string{"size", "1M"}},
		{"size 0 with a command", []string{"size", "0", "command", "truncate -s 1M $disk"}},
		{"empty type is the default", []string{"size", "1M", "type", ""}},
		{"empty label is none", []string{"size", "1M", "type", "minix", "label", ""}},
		{"longest ext4 label", []string{"size", "1M", "label", strings.Repeat("x", 16)}},
		{"longest exfat label", []string{"size", "1M", "type", "exfat", "label", strings.Repeat("é", 11)}},
		{"any type with a command", []string{"size", "1M", "type", "a/b c", "command", ":"}},
		{"any label with a command", []string{"size", "1M", "type", "minix", "label", strings.Repeat("x", 999), "command", ":"}},
		{"unknown type that may exist", []string{"size", "1M", "type", "some-fs_2.0"}},
		{"variables", []string{"size", "1M", "_x9", "1", "OS", "2", "command", ":"}},
		{"a keyword as a variable", []string{"size", "1M", "if", "1", "command", ":"}},
		{"a slip is a variable to a command", []string{"size", "1M", "tpye", "xfs", "command", ":"}},
		{"options of mkfs", []string{"size", "1M", "mkfs-options", "-m 0 -L 'a b'"}},
		{"no options of mkfs", []string{"size", "1M", "command", ":", "mkfs-options", ""}},
		{"options of another mkfs", []string{"size", "1M", "type", "some-fs", "mkfs-options", "-i"}},
		{"sectors", []string{"size", "1M", "sector-size", "4096"}},
		{"sectors of minix", []string{"size", "1M", "type", "minix", "sector-size", "1024"}},
		{"sectors of a command", []string{"size", "1000", "type", "minix", "command", ":", "sector-size", "4096"}},
		{"the last size counts", []string{"size", "0", "size", "1M"}},
		{"the last type counts", []string{"size", "1M", "type", "../x", "type", "xfs"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := setAll(t, c.pairs); err != nil {
				t.Errorf("got error %q, want none", err)
			}
		})
	}
}

func TestConfigRefuses(t *testing.T) {
	cases := []struct {
		name  string
		pairs []string
		wants []string
	}{
		{"no size", nil, []string{"parameter size: missing", "size=1G"}},
		{"size 0 without a command", []string{"size", "0"}, []string{"parameter size: 0", "command="}},
		{"size negative", []string{"size", "-1M"}, []string{`parameter size: "-1M": negative`}},
		{"a variable that nbdkit takes for the size", []string{"size", "_x=1"}, []string{`parameter size: "_x=1": `, "begin with a letter", "another name"}},
		{"size in a form that nbdkit lacks", []string{"size", "16GB"}, []string{`parameter size: "16GB": `, "as in size=500M or size=16G"}},
		{"size garbage", []string{"size", "lots"}, []string{`parameter size: "lots": `}},
		{"size empty", []string{"size", ""}, []string{`parameter size: "": `}},
		{"size over off_t", []string{"size", "9999999999G"}, []string{`parameter size: "9999999999G": too large`}},
		{"disk", []string{"disk", "/x"}, []string{"parameter disk: cannot be set"}},
		{"command empty", []string{"size", "1M", "command", " \n"}, []string{"parameter command: empty"}},
		{"command-link", []string{"size", "1M", "command", ":", "command-link", "share"}, []string{"parameter command-link: there is no such parameter any more", "nbdkit-file-plugin"}},
		{"type with a slash", []string{"size", "1M", "type", "../../bin/sh"}, []string{`parameter type: "../../bin/sh"`}},
		{"type with a space", []string{"size", "1M", "type", "ext4 -n"}, []string{`parameter type: "ext4 -n"`}},
		{"type in capitals", []string{"size", "1M", "type", "EXT4"}, []string{`parameter type: "EXT4"`}},
		{"minix label", []string{"size", "1M", "type", "minix", "label", "x"}, []string{"parameter label: minix has no labels"}},
		{"ext4 label too long", []string{"size", "1M", "label", "01234567890123456"}, []string{"parameter label:", "17 bytes", "ext4 holds at most 16"}},
		{"swap label too long", []string{"size", "1M", "type", "swap", "label", "0123456789abcdef"}, []string{"16 bytes", "swap holds at most 15"}},
		{"exfat label too long", []string{"size", "1M", "type", "exfat", "label", strings.Repeat("é", 12)}, []string{"12 characters", "at most 11"}},
		{"label beyond the basic plane", []string{"size", "1M", "type", "exfat", "label", strings.Repeat("💾", 6)}, []string{"12 characters", "at most 11"}},
		{"f2fs label not UTF-8", []string{"size", "1M", "type", "f2fs", "label", "a\xffb"}, []string{"parameter label: not UTF-8"}},
		{"options that are not closed", []string{"size", "1M", "mkfs-options", "-L 'a"}, []string{"parameter mkfs-options: a single quote that is not closed"}},
		{"options that are none", []string{"size", "1M", "mkfs-options", "/dev/sda -F"}, []string{`parameter mkfs-options: "/dev/sda": is no option`, "mkfs-options='-m 0'"}},
		{"options of a command", []string{"size", "1M", "mkfs-options", "-F", "command", ":"}, []string{"parameter mkfs-options: not mkfs but the command", "leave this out, or command="}},
		{"options of a base", []string{"mkfs-options", "-F", "base", "/i"}, []string{"parameter mkfs-options: not mkfs", "leave this out, or base="}},
		{"one UUID for all", []string{"size", "1M", "mkfs-options", "-m 0 -U random"}, []string{`parameter mkfs-options: "-U": each disk has an identity of its own`, "command="}},
		{"one UUID for all, at once", []string{"size", "1M", "type", "swap", "mkfs-options", "--uuid=x"}, []string{`"--uuid=x": each disk`}},
		{"one serial for all of a second", []string{"size", "1M", "type", "ntfs", "mkfs-options", "-C -U"}, []string{`"-U": each disk`}},
		{"the same, spelt out", []string{"size", "1M", "type", "ntfs", "mkfs-options", "--with-uuid"}, []string{`"--with-uuid": each disk`}},
		{"one UUID for all xfs", []string{"size", "1M", "type", "xfs", "mkfs-options", "-m crc=1,uuid=x"}, []string{`"crc=1,uuid=x": each disk`}},
		{"one serial for all", []string{"size", "1M", "type", "vfat", "mkfs-options", "-i 1234"}, []string{`"-i": each disk`}},
		{"no such sectors", []string{"sector-size", "4K"}, []string{`parameter sector-size: "4K": give one of 512, 1024, 2048, 4096`}},
		{"sectors and the size", []string{"sector-size", "4096", "size", "5000"}, []string{"parameter sector-size: 4096: the disk has 5000 bytes"}},
		{"large sectors of minix", []string{"sector-size", "2048", "size", "1M", "type", "minix"}, []string{"parameter sector-size: 2048: minix has blocks of 1024 bytes"}},
		{"key with a hyphen", []string{"my-var", "1"}, []string{"parameter my-var: unknown"}},
		{"key with a dot", []string{"my.var", "1"}, []string{"parameter my.var: unknown"}},
		{"key with a digit first", []string{"9p", "1"}, []string{"parameter 9p: unknown"}},
		{"key empty", []string{"", "1"}, []string{`parameter "": unknown`}},
		{"key with a newline", []string{"a\nb", "1"}, []string{`parameter "a\nb": unknown`}},
		{"key not ASCII", []string{"größe", "1"}, []string{"parameter größe: unknown"}},
		{"key near ours", []string{"lab-el", "1"}, []string{"did you mean label=?"}},
		{"slip without a command", []string{"size", "1M", "tpye", "xfs"}, []string{"parameter tpye: unknown", "did you mean type=?"}},
		{"capitals without a command", []string{"size", "1M", "Label", "x"}, []string{"parameter Label: unknown", "did you mean label=?"}},
		{"another program's name for ours", []string{"size", "1M", "fstype", "xfs"}, []string{"parameter fstype: unknown", "without command= nothing reads it", "did you mean type=?"}},
		{"another program's name with a hyphen", []string{"size", "1M", "file-system", "xfs"}, []string{"parameter file-system: unknown", "did you mean type=?"}},
		{"a variable that nobody reads", []string{"size", "1M", "timeout", "5"}, []string{"parameter timeout: unknown, and without command= nothing reads it"}},
		{"a variable with a base", []string{"base", "/dev/null", "os", "debian"}, []string{"parameter os: unknown, and without command= nothing reads it"}},
		{"a protection with an underscore", []string{"size", "1M", "command", ":", "min_free", "5%"}, []string{"parameter min_free: unknown", "did you mean min-free=?"}},
		{"without anything between", []string{"size", "1M", "command", ":", "clientdisks", "1"}, []string{"did you mean client-disks=?"}},
		{"one that has gone", []string{"size", "1M", "command", ":", "command_uids", "1-2"}, []string{"parameter command_uids: there is no such parameter any more", "command-user=LOW-HIGH"}},
		{"NUL in a variable", []string{"os", "a\x00b"}, []string{"parameter os: NUL byte"}},
		{"NUL in ours", []string{"command", "a\x00b"}, []string{"parameter command: NUL byte"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			testkit.Contains(t, setAll(t, c.pairs), c.wants...)
		})
	}
}

// Our own names keep out of the way of the command's variables.
func TestParameterNamesLeaveShellNamesAlone(t *testing.T) {
	plain := map[string]bool{"size": true, "type": true, "label": true, "command": true, "base": true}
	seen := map[string]bool{}
	for _, p := range parameters {
		if isShellName(p.name) && !plain[p.name] {
			t.Errorf("parameter %s: a shell variable could have this name: give it a hyphen", p.name)
		}
		if seen[p.name] {
			t.Errorf("parameter %s: twice in the table", p.name)
		}
		seen[p.name] = true
	}
}

func TestHelp(t *testing.T) {
	help := Help()
	lines := strings.Split(help, "\n")
	for _, line := range lines {
		if len(line) > 80 {
			t.Errorf("got %d columns, want at most 80: %s", len(line), line)
		}
	}
	next := 0
	for _, p := range parameters {
		at := slices.IndexFunc(lines[next:], func(l string) bool {
			return strings.HasPrefix(strings.Replace(l, "[size=]", "size=", 1), p.name+"=<"+p.form+"> ") && strings.HasSuffix(l, " "+p.help)
		})
		if at < 0 {
			t.Fatalf("%s: not in its place: %s", p.name, help)
		}
		if next += at; p.group != "" && (next == 0 || lines[next-1] != p.group+":") {
			t.Errorf("%s: got no title %q before it", p.name, p.group)
		}
		next++
	}
	if parameters[0].group == "" {
		t.Error("the first parameter is in no group")
	}
}

// More than these nobody finds the right one in.
func TestParametersAreFew(t *testing.T) {
	if got := len(parameters); got > 30 {
		t.Errorf("got %d parameters, want at most 30: take one out whose use another serves", got)
	}
}

// A loggingHost keeps what is logged.
type loggingHost struct {
	testkit.Host
	errors *[]string
}

func (h loggingHost) Error(msg string) { *h.errors = append(*h.errors, msg) }

// What may be meant for the command is not refused, but said, once.
func TestNearlyOursIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	testkit.Must(t, os.WriteFile(dir+"/a.conf", []byte("min-freee=5%\ncolour=red\n"), 0o600))
	var errors []string
	c := New(loggingHost{testkit.Host{TB: t}, &errors})
	for _, kv := range [][2]string{{"size", "1M"}, {"command", ":"}, {"tpye", "xfs"}, {"os", "debian"}, {"export-dir", dir}} {
		testkit.Must(t, c.Set(kv[0], kv[1]))
	}
	testkit.Must(t, c.Complete())
	if _, err := c.CheckFiles(); err == nil || !strings.Contains(err.Error(), "min-freee") {
		t.Errorf("got %v, want that min-freee is no variable's name", err)
	}
	testkit.Must(t, os.WriteFile(dir+"/a.conf", []byte("lable=x\ncolour=red\n"), 0o600))
	errors = nil
	_, err := c.CheckFiles()
	testkit.Must(t, err)
	want := []string{
		"parameter lable: is only a variable of the command; did you mean label=?",
		"parameter tpye: is only a variable of the command; did you mean type=?",
	}
	if !slices.Equal(errors, want) {
		t.Errorf("got %q, want %q", errors, want)
	}
}

// Variables of the command line are an error if neither it nor an export has a command.
func TestVariablesOfExports(t *testing.T) {
	cases := []struct{ name, file, want string }{
		{"nobody has a command", "size=1M\n", "parameter os: unknown, and without command= nothing reads it"},
		{"an export has one", "size=1M\ncommand=:\n", ""},
		{"no export is there yet", "", ""},
		{"an export has a variable, and none", "size=1M\n\nfs=xfs\n", "/a.conf: line 3: parameter fs: unknown, and without command= nothing reads it; did you mean type=?"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if c.file != "" {
				testkit.Must(t, os.WriteFile(dir+"/a.conf", []byte(c.file), 0o600))
			}
			err := setAll(t, []string{"os", "debian", "export-dir", dir})
			if c.want == "" {
				testkit.Must(t, err)
			} else {
				testkit.Contains(t, err, c.want)
			}
		})
	}
}

// A command may well have a variable with a name that another program has for ours.
func TestSynonymsAreNotWarnedOf(t *testing.T) {
	var errors []string
	c := New(loggingHost{testkit.Host{TB: t}, &errors})
	for _, kv := range [][2]string{{"size", "1M"}, {"command", ":"}, {"fs", "xfs"}} {
		testkit.Must(t, c.Set(kv[0], kv[1]))
	}
	testkit.Must(t, c.Complete())
	_, err := c.CheckFiles()
	testkit.Must(t, err)
	if len(errors) > 0 {
		t.Errorf("got %q, want nothing", errors)
	}
}

func TestDidYouMean(t *testing.T) {
	cases := []struct{ key, want string }{
		{"szie", "size"}, {"sizes", "size"}, {"Type", "type"}, {"lable", "label"},
		{"comand", "command"}, {"commnad", "command"},
		{"kind", ""}, {"time", ""},
		{"FsType", "type"}, {"file_system", "type"}, {"fs", "type"},
		{"os", ""}, {"", ""}, {strings.Repeat("size", 1000), ""},
	}
	for _, c := range cases {
		want := ""
		if c.want != "" {
			want = "; did you mean " + c.want + "=?"
		}
		if got := didYouMean(c.key); got != want {
			t.Errorf("didYouMean(%.20q): got %q, want %q", c.key, got, want)
		}
	}
}

// FuzzConfigSet looks for a key or value that breaks out of the script, or
// that is taken without being either ours or a variable.
func FuzzConfigSet(f *testing.F) {
	for _, s := range [][2]string{
		{"size", "1G"}, {"disk", "x"}, {"a", "it's"}, {"a-b", ""}, {"a\nrm", "x"},
		{"OPTIND", "x"}, {"_", "'\n"}, {"label", "\xff"}, {"", ""}, {"x", "a\x00"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		c := New(testkit.Host{TB: t})
		if err := c.Set(key, value); err != nil {
			if strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("Set(%q, %q): got %q, want one line", key, value, err)
			}
			return
		}
		if findParameter(key) == nil && !isShellName(key) {
			t.Errorf("Set(%q): got no error, want one", key)
		}
		if strings.Contains(value, "\x00") {
			t.Errorf("Set(%q, %q): got no error, want one for NUL", key, value)
		}
	})
}
