// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"fmt"
	"strings"
)

// The callbacks that belong to no connection. Each function here runs inside a
// guard.

// describe tells the server's process what the plugin is.
func describe(tell func(tag byte, text string) error) error {
	if err := checkRegistration(); err != nil {
		return err
	}
	impl := registration.impl
	var d Description
	if i, ok := impl.(Describer); ok {
		d = i.Describe()
	}
	fields := []struct {
		tag  byte
		name string
		text string
	}{
		{tagName, "name", registration.name},
		{tagLongname, "longname", d.Longname},
		{tagVersion, "version", d.Version},
		{tagDescription, "description", d.Description},
		{tagMagicKey, "magic_config_key", d.MagicConfigKey},
		{tagConfigHelp, "config_help", d.ConfigHelp},
	}
	for _, f := range fields {
		if f.text == "" {
			continue
		}
		if strings.IndexByte(f.text, 0) != -1 {
			return fmt.Errorf("plugin_init: %s: %q: NUL in the text", f.name, f.text)
		}
		if err := tell(f.tag, f.text); err != nil {
			return err
		}
	}
	return tell(tagHas, optionalCallbacks(impl))
}

// optionalCallbacks returns the letters of the plugin callbacks that impl has.
func optionalCallbacks(impl PluginInterface) string {
	var letters []byte
	has := func(letter byte, ok bool) {
		if ok {
			letters = append(letters, letter)
		}
	}
	_, ok := impl.(Configurer)
	has(hasConfig, ok)
	_, ok = impl.(DumpPluginer)
	has(hasDumpPlugin, ok)
	_, ok = impl.(Cleaner)
	has(hasCleanup, ok)
	_, ok = impl.(PreConnecter)
	has(hasPreConnect, ok)
	_, ok = impl.(ExportLister)
	has(hasListExports, ok)
	_, ok = impl.(DefaultExporter)
	has(hasDefaultExport, ok)
	return string(letters)
}

// replayConfig gives the plugin its parameters. Here and below step is set to
// the name of each callback before it is called, for guardSteps.
func replayConfig(step *string, params []param, complete bool) error {
	impl := registration.impl
	if i, ok := impl.(Loader); ok {
		*step = "load"
		i.Load()
	}
	if i, ok := impl.(Configurer); ok {
		*step = "config"
		for _, p := range params {
			if err := i.Config(p.key, p.value); err != nil {
				return err
			}
		}
	}
	if i, ok := impl.(ConfigCompleter); ok && complete {
		*step = "config_complete"
		return i.ConfigComplete()
	}
	return nil
}

// threadModel returns the plugin's thread model, before any clamping.
func threadModel(step *string) (uint32, error) {
	i, ok := registration.impl.(ThreadModeler)
	if !ok {
		return ThreadModelParallel, nil
	}
	*step = "thread_model"
	model, err := i.ThreadModel()
	if err != nil {
		return 0, err
	}
	if model > ThreadModelParallel {
		return 0, fmt.Errorf("thread_model: %d: not one of the ThreadModel constants (%d to %d)",
			model, ThreadModelSerializeConnections, ThreadModelParallel)
	}
	return model, nil
}

// serve is what happens once the server has forked.
func serve(step *string, params []param) error {
	if err := replayConfig(step, params, true); err != nil {
		return err
	}
	if i, ok := registration.impl.(GetReadyer); ok {
		*step = "get_ready"
		if err := i.GetReady(); err != nil {
			return err
		}
	}
	if i, ok := registration.impl.(AfterForker); ok {
		*step = "after_fork"
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
	return newConnection(c), nil
}

// param is one key=value of the command line.
type param struct{ key, value string }
