// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The tests here read the installed nbdkit's headers, and say what a newer
// nbdkit has that is neither implemented nor left out on purpose.

// unknown reports something of nbdkit's that the bindings do not know. Users'
// tests must not fail because nbdkit has grown; ours must, for the versions that
// the README says are tested.
func unknown(t *testing.T, format string, args ...any) {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(header(t, "nbdkit-version.h"), "NBDKIT_VERSION_STRING \"")
	version, _, _ = strings.Cut(version, "\"")
	message := "new in nbdkit " + version + "? " + fmt.Sprintf(format, args...)
	if mustBeKnown(os.Getenv("TMPDISK_NO_SKIP"), version, string(readme)) {
		t.Error(message)
	} else {
		t.Log(message)
	}
}

// mustBeKnown says whether this is CI, and the version is a tested one.
func mustBeKnown(noSkip, version, readme string) bool {
	_, tested, _ := strings.Cut(readme, "It is tested with nbdkit ")
	tested, _, _ = strings.Cut(tested, ".\n")
	return noSkip != "" && slices.Contains(regexp.MustCompile(`[0-9.]+[0-9]`).FindAllString(tested, -1), version)
}

func TestMustBeKnown(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		noSkip, version string
		want            bool
	}{
		{"1", "1.32.5", true},
		{"1", "1.42.3", true},
		{"", "1.32.5", false},
		{"1", "1.42.4", false},
		{"1", "1.32", false},
	}
	for _, test := range tests {
		if got := mustBeKnown(test.noSkip, test.version, string(readme)); got != test.want {
			t.Errorf("TMPDISK_NO_SKIP=%s, nbdkit %s: got %v, want %v", test.noSkip, test.version, got, test.want)
		}
	}
}

// fieldsLeftOut are the fields of struct nbdkit_plugin that plugin.c does not
// set, and why.
var fieldsLeftOut = map[string]string{
	"load":       "Go does not run yet; Loader is called when it does",
	"_pread_v1":  "API version 1",
	"_pwrite_v1": "API version 1",
	"_flush_v1":  "API version 1",
	"_trim_v1":   "API version 1",
	"_zero_v1":   "API version 1",
}

// fieldsWithoutGo are the fields that plugin.c sets and a plugin's author has
// no say in.
var fieldsWithoutGo = map[string]string{
	"_struct_size":       "nbdkit's own",
	"_api_version":       "nbdkit's own",
	"_thread_model":      "ThreadModeler answers thread_model",
	"errno_is_preserved": "errors carry the errno",
}

// functionsLeftOut are nbdkit's functions that have no Go function.
var functionsLeftOut = map[string]string{
	"nbdkit_verror":         "Go has fmt.Sprintf",
	"nbdkit_vdebug":         "Go has fmt.Sprintf",
	"nbdkit_strdup_intern":  "the bindings intern what a callback returns",
	"nbdkit_strndup_intern": "the bindings intern what a callback returns",
	"nbdkit_printf_intern":  "the bindings intern what a callback returns",
	"nbdkit_vprintf_intern": "the bindings intern what a callback returns",
}

// goOnly are the exported Go functions and methods without a C counterpart.
var goOnly = map[string]string{
	"WithClient":         "made of Nanosleep",
	"Checking":           "of the two processes",
	"Leave":              "from one process to the other",
	"Left":               "the same",
	"PluginInitialize":   "registers the struct",
	"DirectCounts.Time":  "Go's own requests, beside those without Go",
	"PluginError.String": "fmt.Stringer",
	"PluginError.Error":  "error",
	"PluginError.Unwrap": "errors.As",
	"RawAddr.Network":    "net.Addr",
	"RawAddr.String":     "net.Addr",
}

// newer are functions of servers newer than the oldest header.
var newer = []string{
	"nbdkit_disconnect",
	"nbdkit_parse_delay",
	"nbdkit_parse_probability",
	"nbdkit_peer_security_context",
	"nbdkit_peer_tls_dn",
	"nbdkit_peer_tls_issuer_dn",
}

func header(t *testing.T, name string) string {
	t.Helper()
	dir := "/usr/include"
	if out, err := exec.Command("pkg-config", "--variable=includedir", "nbdkit").Output(); err == nil && len(out) > 1 {
		dir = strings.TrimSpace(string(out))
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(string(text), "")
}

// pluginFields returns the names of the fields of struct nbdkit_plugin in API
// version 2.
func pluginFields(t *testing.T) []string {
	t.Helper()
	text := header(t, "nbdkit-plugin.h")
	_, text, _ = strings.Cut(text, "struct nbdkit_plugin {")
	text, _, _ = strings.Cut(text, "\n};")
	text = regexp.MustCompile(`(?s)#if NBDKIT_API_VERSION == 1.*?#else(.*?)#endif`).ReplaceAllString(text, "$1")
	if strings.Contains(text, "#") {
		unknown(t, "conditions in nbdkit-plugin.h:\n%s", text)
		t.SkipNow()
	}
	pointer := regexp.MustCompile(`\(\s*\*\s*(\w+)\s*\)\s*\(`)
	last := regexp.MustCompile(`(\w+)\s*$`)
	var names []string
	for _, field := range strings.Split(text, ";") {
		m := pointer.FindStringSubmatch(field)
		if m == nil {
			m = last.FindStringSubmatch(field)
		}
		if m != nil {
			names = append(names, m[1])
		}
	}
	if len(names) < 49 || names[0] != "_struct_size" {
		t.Fatalf("got %d fields from nbdkit-plugin.h, want 49 or more: %q", len(names), names)
	}
	return names
}

// declared returns the names of all functions in nbdkit's headers.
func declared(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, file := range []string{"nbdkit-common.h", "nbdkit-plugin.h"} {
		re := regexp.MustCompile(`NBDKIT_EXTERN_DECL\s*\([^,]*,\s*(nbdkit_\w+)`)
		for _, m := range re.FindAllStringSubmatch(header(t, file), -1) {
			names = append(names, m[1])
		}
	}
	if len(names) < 30 {
		t.Fatalf("got %d functions from nbdkit's headers, want about 40: %q", len(names), names)
	}
	return names
}

// documentation returns what go doc knows of the package.
func documentation(t *testing.T) *doc.Package {
	t.Helper()
	fset := token.NewFileSet()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	p, err := doc.NewFromFiles(fset, files, "libguestfs.org/nbdkit")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEveryFieldIsSetOrLeftOut(t *testing.T) {
	source, err := os.ReadFile("plugin.c")
	if err != nil {
		t.Fatal(err)
	}
	fields := pluginFields(t)
	for _, field := range fields {
		set := regexp.MustCompile(`(?m)^\s*\.` + field + ` = |^\s*TEXT \(` + field + `\)`).Match(source)
		reason, out := fieldsLeftOut[field]
		switch {
		case !set && !out:
			unknown(t, "%s: plugin.c does not set it, and it is not in fieldsLeftOut", field)
		case set && out:
			t.Errorf("%s: plugin.c sets it, but fieldsLeftOut has it: %s", field, reason)
		}
	}
	for field := range fieldsLeftOut {
		if !slices.Contains(fields, field) {
			t.Errorf("%s: in fieldsLeftOut, but not in the header", field)
		}
	}
}

// callbackNames returns the words of text that look like ".callback".
func callbackNames(text string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`(?:^|[\s(])\.([a-z_]+)\b`).FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

func TestEveryFieldIsNamedInGo(t *testing.T) {
	fields := pluginFields(t)
	named := map[string]bool{}
	for _, typ := range documentation(t).Types {
		ast.Inspect(typ.Decl, func(n ast.Node) bool {
			var text string
			switch n := n.(type) {
			case *ast.Field:
				text = n.Doc.Text() + " " + n.Comment.Text()
			case *ast.TypeSpec:
				text = typ.Doc
			}
			for _, name := range callbackNames(text) {
				named[name] = true
				if !slices.Contains(fields, name) {
					t.Errorf("%s: its documentation names .%s, which is no field of struct nbdkit_plugin", typ.Name, name)
				}
			}
			return true
		})
	}
	for _, f := range documentation(t).Funcs {
		for _, name := range callbackNames(f.Doc) {
			named[name] = true
		}
	}
	for _, field := range fields {
		if fieldsWithoutGo[field] == "" && !strings.HasPrefix(field, "_") && !named[field] {
			unknown(t, ".%s: no exported Go declaration names it", field)
		}
	}
}

// Every interface that a plugin can implement says for which callback it is.
func TestEveryInterfaceNamesItsCallback(t *testing.T) {
	count := 0
	for _, typ := range documentation(t).Types {
		for _, spec := range typ.Decl.Specs {
			iface, ok := spec.(*ast.TypeSpec).Type.(*ast.InterfaceType)
			if !ok {
				continue
			}
			for _, method := range iface.Methods.List {
				count++
				if len(callbackNames(typ.Doc+" "+method.Doc.Text())) == 0 && typ.Name != "Describer" {
					t.Errorf("%s.%s: no callback is named", typ.Name, method.Names[0])
				}
			}
		}
	}
	if count < 35 {
		t.Errorf("got %d methods, want about 35: is this test looking at the right files?", count)
	}
}

func TestEveryFunctionNamesItsCFunction(t *testing.T) {
	functions := append(declared(t), newer...)
	named := map[string]bool{}
	check := func(name, text string) {
		if text == "" {
			t.Errorf("%s: no documentation", name)
		}
		var found bool
		for _, c := range regexp.MustCompile(`nbdkit_\w+`).FindAllString(text, -1) {
			found = true
			named[c] = true
			if !slices.Contains(functions, c) {
				t.Errorf("%s: its documentation names %s, which nbdkit's headers do not have", name, c)
			}
		}
		if !found && goOnly[name] == "" {
			t.Errorf("%s: the C function is not named, and it is not in goOnly", name)
		}
	}
	p := documentation(t)
	for _, f := range p.Funcs {
		check(f.Name, f.Doc)
	}
	for _, typ := range p.Types {
		if typ.Doc == "" {
			t.Errorf("%s: no documentation", typ.Name)
		}
		for _, f := range slices.Concat(typ.Funcs, typ.Methods) {
			name := f.Name
			if f.Recv != "" {
				name = strings.TrimPrefix(f.Recv, "*") + "." + f.Name
			}
			check(name, f.Doc)
		}
	}
	for _, c := range functions {
		if !named[c] && functionsLeftOut[c] == "" {
			unknown(t, "%s: no Go function names it, and it is not in functionsLeftOut", c)
		}
		if named[c] && functionsLeftOut[c] != "" {
			t.Errorf("%s: in functionsLeftOut, but Go has it", c)
		}
	}
}
