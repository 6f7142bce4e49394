#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# What nbdkit tells about a plugin made with the bindings: --help, --version and
# --dump-plugin, without parameters and before it would serve. And what the .so
# tells the linker: plugin_init only.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

requires nm
go_plugin examples/ramdisk
go_plugin examples/minimal
go_plugin internal/testplugin/faulty

nbdkit --help ./ramdisk.so >out
has out "plugin: ramdisk (nbdkit Go ramdisk)"
has out "A writable disk in memory"
has out "size=SIZE  (required)"
nbdkit --version ./ramdisk.so >out
has out "ramdisk 1.0"
nbdkit --help ./minimal.so >out
has out "plugin: minimal"

nbdkit --dump-plugin ./ramdisk.so >out
for line in name=ramdisk version=1.0 api_version=2 magic_config_key=size \
    max_thread_model=parallel errno_is_preserved=0 has_config=1 has_open=1; do
    grep -qx "$line" out || fail "--dump-plugin has no $line"
done
! grep -E 'has_(preconnect|list_exports|default_export|cleanup|dump_plugin)=' out ||
    fail "--dump-plugin has callbacks that the plugin does not"
# Servers before 1.34 do not survive a client that hangs up on a parallel one.
case $(nbdkit --version) in
"nbdkit 1.32."*) model=serialize_requests ;;
*) model=parallel ;;
esac
grep -qx "thread_model=$model" out || fail "not thread_model=$model"

# Here .config and .thread_model come without .config_complete.
FAULTY=config_complete:error nbdkit --dump-plugin ./faulty.so a=b >out
for line in faulty_dumped=1 version=1.2.3 has_preconnect=1 has_list_exports=1 \
    has_default_export=1 has_cleanup=1 has_dump_plugin=1; do
    grep -qx "$line" out || fail "--dump-plugin has no $line"
done

for so in ramdisk minimal faulty; do
    got=$(nm -D --defined-only $so.so | awk '{ print $NF }')
    [ "$got" = plugin_init ] || fail "$so.so exports: $got"
done
