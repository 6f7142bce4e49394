// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"errors"
	"strings"
	"testing"
)

// register calls PluginInitialize for each of names, for the time of the test.
func register(t *testing.T, impl PluginInterface, names ...string) {
	t.Helper()
	saved := registration
	t.Cleanup(func() { registration = saved })
	registration.calls, registration.name, registration.impl = 0, "", nil
	for _, name := range names {
		PluginInitialize(name, impl)
	}
}

func TestRegistrationMistakes(t *testing.T) {
	tests := []struct {
		name  string
		impl  PluginInterface
		names []string
		want  string // part of the error, "" for none
	}{
		{"right", goodPlugin{}, []string{"right"}, ""},
		{"none", nil, nil, "no plugin is registered"},
		{"two", goodPlugin{}, []string{"one", "two"}, `2 plugins are registered, the last as "two"`},
		{"nil", nil, []string{"nil"}, `"nil": nbdkit.PluginInitialize was given a nil plugin`},
		{"no name", goodPlugin{}, []string{""}, "empty name"},
		{"wrong signature", wrongConfig{}, []string{"x"}, "wrongConfig.Config"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			register(t, test.impl, test.names...)
			err := checkRegistration()
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got error %v, want none", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got error %v, want %q in it", err, test.want)
			}
		})
	}
}

type describedPlugin struct {
	goodPlugin
	Description
}

func (d describedPlugin) Describe() Description     { return d.Description }
func (describedPlugin) Config(string, string) error { return nil }
func (describedPlugin) Cleanup()                    {}

func TestDescribe(t *testing.T) {
	tests := []struct {
		name string
		impl PluginInterface
		want map[string]string // nil for an error
	}{
		{"nothing", goodPlugin{}, map[string]string{"name": "x", "config": "", "dump_plugin": "",
			"cleanup": "", "preconnect": "", "list_exports": "", "default_export": ""}},
		{"some", describedPlugin{Description: Description{Longname: "X", ConfigHelp: "a\nb"}},
			map[string]string{"name": "x", "longname": "X", "config_help": "a\nb",
				"dump_plugin": "", "preconnect": "", "list_exports": "", "default_export": ""}},
		{"NUL", describedPlugin{Description: Description{Version: "1\x002"}}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			register(t, test.impl, "x")
			got := map[string]string{}
			err := describe(func(key, text string) error {
				got[key] = text
				return nil
			})
			if test.want == nil {
				if err == nil {
					t.Errorf("got %v, want an error", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for key, want := range test.want {
				if text, ok := got[key]; !ok || text != want {
					t.Errorf("record %s: got %q (%v), want %q", key, text, ok, want)
				}
			}
			if len(got) != len(test.want) {
				t.Errorf("got %d records, want %d: %v", len(got), len(test.want), got)
			}
		})
	}
}

// recorder notes the order of the callbacks that it gets.
type recorder struct {
	goodPlugin
	got    []string
	failAt string
	model  uint32
}

var errRecorder = errors.New("recorder")

func (r *recorder) note(s string) error {
	r.got = append(r.got, s)
	if s == r.failAt {
		return errRecorder
	}
	return nil
}

func (r *recorder) Load()                          { _ = r.note("load") }
func (r *recorder) Config(key, value string) error { return r.note(key + "=" + value) }
func (r *recorder) ConfigComplete() error          { return r.note("config_complete") }
func (r *recorder) GetReady() error                { return r.note("get_ready") }
func (r *recorder) AfterFork() error               { return r.note("after_fork") }
func (r *recorder) ThreadModel() (uint32, error)   { return r.model, r.note("thread_model") }

func TestLifeCycleOrder(t *testing.T) {
	params := []param{{"a", "1"}, {"b", ""}, {"a", "2"}}
	const all = "load a=1 b= a=2 config_complete get_ready after_fork"
	tests := []struct {
		name   string
		failAt string
		want   string
	}{
		{"success", "", all},
		{"config fails", "b=", "load a=1 b="},
		{"config_complete fails", "config_complete", "load a=1 b= a=2 config_complete"},
		{"get_ready fails", "get_ready", "load a=1 b= a=2 config_complete get_ready"},
		{"after_fork fails", "after_fork", all},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &recorder{failAt: test.failAt}
			register(t, r, "recorder")
			want := ""
			if test.failAt != "" {
				want = errRecorder.Error()
			}
			if got := serve(params); got != want {
				t.Errorf("got error %q, want %q", got, want)
			}
			_, err := open(false)
			if (err != nil) != (want != "") || (err != nil && err.Error() != want) {
				t.Errorf("open: got error %v, want %q", err, want)
			}
			if got := strings.Join(r.got, " "); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

type panickingPlugin struct{ goodPlugin }

func (panickingPlugin) GetReady() error { panic("on purpose") }
func (panickingPlugin) Unload()         {}

func TestPanicAtTheStartRefusesClients(t *testing.T) {
	register(t, panickingPlugin{}, "x")
	const want = "after_fork: panic: on purpose"
	if got := serve(nil); got != want {
		t.Errorf("got error %q, want %q", got, want)
	}
	if c, err := open(false); c != nil || err == nil || err.Error() != want {
		t.Errorf("open: got %v, %v, want error %q", c, err, want)
	}
	if is[Unloader](registration.impl) {
		t.Error("the plugin gets unload, but it was never started")
	}
}

func TestThreadModel(t *testing.T) {
	register(t, goodPlugin{}, "x")
	if got, err := threadModel(); got != ThreadModelParallel || err != nil {
		t.Errorf("default: got %d, %v, want %d", got, err, ThreadModelParallel)
	}
	tests := []struct {
		model uint32
		ok    bool
	}{
		{ThreadModelSerializeConnections, true},
		{ThreadModelParallel, true},
		{ThreadModelParallel + 1, false},
		{^uint32(0), false},
	}
	for _, test := range tests {
		register(t, &recorder{model: test.model}, "x")
		got, err := threadModel()
		if (err == nil) != test.ok || (test.ok && got != test.model) {
			t.Errorf("%d: got %d, %v, want success: %v", test.model, got, err, test.ok)
		}
	}
}

type opener struct {
	c   ConnectionInterface
	err error
}

func (o opener) Open(bool) (ConnectionInterface, error) { return o.c, o.err }

func TestOpen(t *testing.T) {
	tests := []struct {
		name string
		impl PluginInterface
		want string // part of the error, "" for none
	}{
		{"right", opener{c: bare{}}, ""},
		{"error", opener{c: bare{}, err: errRecorder}, "recorder"},
		{"neither", opener{}, "opener.Open returned neither a connection nor an error"},
		{"wrong signature", opener{c: wrongZero{}}, "open: nbdkit.wrongZero.Zero: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			register(t, test.impl, "x")
			c, err := open(false)
			switch {
			case test.want == "" && (err != nil || c == nil):
				t.Errorf("got %v, %v, want a connection", c, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got error %v, want %q in it", err, test.want)
			}
		})
	}
}
