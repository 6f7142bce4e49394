// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"
)

// The callbacks that belong to no connection. Each function here runs inside a
// guard.

// describe tells the server's process what the plugin is: a record for each
// text of struct nbdkit_plugin, and an empty one for each callback that the
// plugin does not have.
func describe(tell func(key, value string) error) error {
	if err := checkRegistration(); err != nil {
		return err
	}
	impl := registration.impl
	for _, message := range ignoredByPlugin(impl) {
		Error("plugin_init: " + message)
	}
	var d Description
	if i, ok := impl.(Describer); ok {
		d = i.Describe()
	}
	for _, f := range []struct {
		field, text string
		told        bool
	}{
		{"name", registration.name, true},
		{"longname", d.Longname, d.Longname != ""},
		{"version", d.Version, d.Version != ""},
		{"description", d.Description, d.Description != ""},
		{"magic_config_key", d.MagicConfigKey, d.MagicConfigKey != ""},
		{"config_help", d.ConfigHelp, d.ConfigHelp != ""},
		{"config", "", !is[Configurer](impl)},
		{"dump_plugin", "", !is[DumpPluginer](impl)},
		{"cleanup", "", !is[Cleaner](impl)},
		{"preconnect", "", !is[PreConnecter](impl)},
		{"list_exports", "", !is[ExportLister](impl)},
		{"default_export", "", !is[DefaultExporter](impl)},
	} {
		if !f.told {
			continue
		}
		if strings.IndexByte(f.text, 0) != -1 {
			return fmt.Errorf("plugin_init: %s: %q: NUL in the text", f.field, f.text)
		}
		if err := tell(f.field, f.text); err != nil {
			return err
		}
	}
	return nil
}

func is[T any](v any) bool {
	_, ok := v.(T)
	return ok
}

var checking bool

// Checking reports whether this process only checks the parameters, before the
// server forks.
func Checking() bool { return checking }

// checkConfig is what the process does that only checks the parameters.
func checkConfig(complete bool) error {
	checking = true
	if err := replayConfig(params(), complete); err != nil {
		return err
	}
	model, err := threadModel()
	if err != nil {
		return err
	}
	return tell("thread_model", strconv.Itoa(int(model)))
}

func dumpPlugin() error {
	if err := replayConfig(params(), false); err != nil {
		return err
	}
	registration.impl.(DumpPluginer).DumpPlugin()
	return nil
}

// replayConfig gives the plugin its parameters.
func replayConfig(params []param, complete bool) error {
	impl := registration.impl
	if i, ok := impl.(Loader); ok {
		i.Load()
	}
	if i, ok := impl.(Configurer); ok {
		for _, p := range params {
			if err := i.Config(p.key, p.value); err != nil {
				return err
			}
		}
	}
	if i, ok := impl.(ConfigCompleter); ok && complete {
		return i.ConfigComplete()
	}
	return nil
}

// threadModel returns the plugin's thread model, before any clamping.
func threadModel() (uint32, error) {
	i, ok := registration.impl.(ThreadModeler)
	if !ok {
		return ThreadModelParallel, nil
	}
	model, err := i.ThreadModel()
	if err == nil && model > ThreadModelParallel {
		err = fmt.Errorf("thread_model: %d: not one of the ThreadModel constants (%d to %d)",
			model, ThreadModelSerializeConnections, ThreadModelParallel)
	}
	return model, err
}

// serve is what happens once the server has forked. It returns the text of the
// error, or "". If there is one, clients that still connect are refused with it.
func serve(params []param) string {
	var text string
	if guard("after_fork", func() error {
		defer func() {
			if v := recover(); v != nil {
				text = fmt.Sprintf("after_fork: panic: %v", v)
				panic(v) // for the stack in the log
			}
		}()
		err := start(params)
		if err != nil {
			text = err.Error()
		}
		return err
	}) == 0 {
		return ""
	}
	registration.impl = refusing{errors.New(text)}
	return text
}

var (
	_ PreConnecter    = refusing{}
	_ ExportLister    = refusing{}
	_ DefaultExporter = refusing{}
	_ Cleaner         = refusing{}
)

// refusing stands in for a plugin that could not be started, which gets no
// further callback.
type refusing struct{ err error }

func (r refusing) Open(bool) (ConnectionInterface, error)  { return nil, r.err }
func (r refusing) PreConnect(bool) error                   { return nil }
func (r refusing) ListExports(_, _ bool, _ *Exports) error { return r.err }
func (r refusing) DefaultExport(_, _ bool) (string, error) { return "", r.err }
func (r refusing) Cleanup()                                {}

func start(params []param) error {
	defer closeLeft()
	if err := replayConfig(params, true); err != nil {
		return err
	}
	if i, ok := registration.impl.(GetReadyer); ok {
		if err := i.GetReady(); err != nil {
			return err
		}
	}
	if i, ok := registration.impl.(AfterForker); ok {
		return i.AfterFork()
	}
	return nil
}

// open returns the new connection, checked.
func open(readonly bool) (*connection, error) {
	c, err := registration.impl.Open(readonly)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, fmt.Errorf("open: %T.Open returned neither a connection nor an error", registration.impl)
	}
	if err := checkConnection(c); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return &connection{ConnectionInterface: c}, nil
}

// param is one key=value of the command line.
type param struct{ key, value string }

// params returns what the C side has kept of the command line.
func params() []param {
	var ps []param
	for _, p := range unsafe.Slice(C.gonbdkit_params, C.gonbdkit_nr_params) {
		ps = append(ps, param{C.GoString(p.key), C.GoString(p.value)})
	}
	return ps
}

// tell sends a record from a throw-away process to the server's. nbdkit_error
// has been called when it fails.
func tell(key, value string) error {
	ckey, cvalue := C.CString(key), C.CString(value)
	defer cfree(unsafe.Pointer(ckey))
	defer cfree(unsafe.Pointer(cvalue))
	if C.gonbdkit_tell(ckey, cvalue) == -1 {
		return errors.New("the answer could not be sent")
	}
	return nil
}
