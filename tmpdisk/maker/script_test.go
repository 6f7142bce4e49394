// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/command"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testconfig"
)

// runScript gives what sh, if it is not "", wrote to standard error.
func runScript(t *testing.T, sh string, s command.Command) (string, error) {
	t.Helper()
	if sh == "" {
		sh = "/bin/sh"
	}
	cmd := exec.Command(sh, "-c", s.Setup+s.Script)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestScriptVariables(t *testing.T) {
	every := make([]byte, 0, 255)
	for i := 1; i < 256; i++ {
		every = append(every, byte(i))
	}
	cases := []struct {
		name  string
		pairs []string
		print string
		want  string
	}{
		{"size in bytes", []string{"size", "1K"}, "$size", "1024"},
		{"the last value counts", []string{"size", "1", "os", "a", "os", "b"}, "$os", "b"},
		{"type and label", []string{"size", "1", "type", "a b", "label", "c'd"}, "$type|$label", "a b|c'd"},
		{"type not given", []string{"size", "1"}, "${type-unset}|${label-unset}", "unset|unset"},
		{"type given empty", []string{"size", "1", "type", ""}, "${type-unset}", ""},
		{"quotes and newlines", []string{"size", "1", "v", "'\"`$(id)\\\n'\n"}, "$v", "'\"`$(id)\\\n'\n"},
		{"every byte", []string{"size", "1", "v", string(every)}, "$v", string(every)},
		{"a keyword as a name", []string{"size", "1", "if", "x", "done", "y"}, "$if|$done", "x|y"},
		{"capitals", []string{"size", "1", "OS_NAME2", "it's\n"}, "$OS_NAME2", "it's\n"},
		{"an odd IFS", []string{"size", "1", "IFS", "1k", "v", "k1k"}, "$IFS|$v|$size", "1k|k1k|1"},
		{"an empty value", []string{"size", "1", "EMPTY", ""}, "${EMPTY-unset}", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			command := `printf %s "` + c.print + `" >&2`
			s := newScript(testconfig.Of(t, append(c.pairs, "command", command)...), "/d")
			got, err := runScript(t, "", s)
			if err != nil || got != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
		})
	}
}

func TestScriptDisk(t *testing.T) {
	path := "/tmp/it's \n\"x\" -n/ü/disk"
	s := newScript(testconfig.Of(t, "size", "1", "command", `printf %s "$disk" >&2`), path)
	if got, err := runScript(t, "", s); err != nil || got != path {
		t.Errorf("got %q (%v), want %q", got, err, path)
	}
}

// nbdkit -s talks to its client on these.
func TestScriptKeepsAwayFromStandardInputAndOutput(t *testing.T) {
	s := newScript(testconfig.Of(t, "size", "1", "command", "echo noise; cat; echo end >&2"), "/d")
	cmd := exec.Command("/bin/sh", "-c", s.Setup+s.Script)
	cmd.Stdin = strings.NewReader("client")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || string(out) != "" || stderr.String() != "end\n" {
		t.Errorf("got stdout %q, stderr %q (%v), want %q, %q", out, stderr.String(), err, "", "end\n")
	}
}

// A name that the shell keeps to itself must never fail in silence.
func TestScriptVariableThatCannotBeAssigned(t *testing.T) {
	cases := []struct{ name, sh, key, value string }{
		{"dash: not a number", "/bin/dash", "OPTIND", "x"},
		{"bash: readonly", "/bin/bash", "UID", "7"},
		{"bash: readonly options", "/bin/bash", "SHELLOPTS", "7"},
		{"bash: ignored", "/bin/bash", "GROUPS", "7"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := os.Stat(c.sh); err != nil {
				t.Skip("needs ", c.sh)
			}
			// bash is /bin/sh on many systems, in POSIX mode and otherwise.
			s := newScript(testconfig.Of(t, "size", "1", c.key, c.value, "command", "echo reached >&2"), "/d")
			got, err := runScript(t, c.sh, s)
			if err == nil || strings.Contains(got, "reached") {
				t.Errorf("got %q and no error, want the script to end", got)
			}
			want := "parameter " + c.key + ": the shell keeps this variable to itself"
			if !strings.Contains(got, want) {
				t.Errorf("got %q, want %q in it", got, want)
			}
		})
	}
}

func TestScriptCommandRunsAfterCapitals(t *testing.T) {
	s := newScript(testconfig.Of(t, "size", "1", "PPID", "3", "HOME", "/x", "command", "exit 7"), "/d")
	out, err := runScript(t, "/bin/sh", s)
	exit, ok := err.(*exec.ExitError)
	if !ok || (exit.ExitCode() != 7 && !strings.Contains(out, "PPID")) {
		t.Errorf("got %v, %q, want exit code 7 or a word about PPID", err, out)
	}
	if strings.Contains(out, "HOME") {
		t.Errorf("got %q, want nothing about HOME", out)
	}
}
