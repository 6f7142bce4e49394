#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Every parameter that names a file or a directory works where the systemd service
# lets its server write: all else is read-only, as ProtectSystem=strict makes it.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires root unshare setpriv nbdsh
unit=$top_srcdir/packaging/systemd/nbdkit-tmpdisk.service
setting() { sed -n "s/^$1=//p" "$unit"; }
has "$unit" ProtectSystem=strict

# What systemd makes before it starts the server.
chmod 755 "$TMPDISK_TEST_DIR" "$work"
export top=$work/root
uid=61235
for kind in State Cache Runtime; do
    for dir in $(setting ${kind}Directory); do
        install -d -o "$uid" -g "$uid" -m "$(setting ${kind}DirectoryMode)" "$top/$kind/$dir"
    done
done
export name=nbdkit-tmpdisk
install -D -m 644 /dev/stdin "$top/Configuration/$name/exports.d/one.conf" <<<size=4M
[ "$(setting Environment | sed -n 's/^TMPDIR=//p')" = "%S/$name" ] || fail "another TMPDIR"
export TMPDIR=$top/State/$name
plugin=$(realpath "$plugin")
install -m 755 "$plugin" plugin.so

# contained COMMAND...: run it as the service's user, where the unit lets it.
contained() {
    # shellcheck disable=SC2016 # for sh
    unshare -m sh -ec '
        for dir in "$top"/State/*/ "$top"/Cache/*/ "$top"/Runtime/*/; do
            [ ! -d "$dir" ] || mount --bind "$dir" "$dir"
        done
        cut -d " " -f 5 /proc/self/mountinfo | while read -r at; do
            case $at in "$top"/* | /proc* | /sys* | /dev*) ;;
            *) mount -o remount,bind,ro "$at" 2>/dev/null || : ;;
            esac
        done
        mount -t tmpfs -o mode=1777 tmpfs /tmp
        umask 0077
        exec "$@"' sh setpriv --reuid="$uid" --regid="$uid" --clear-groups \
        --no-new-privs --bounding-set=-all "$@"
}
# shellcheck disable=SC2016 # for the inner shells
{
    contained sh -c '! touch /var/tmp/x "$top/x" /etc/x 2>/dev/null && touch "$TMPDIR/x" && rm "$TMPDIR/x"' ||
        fail "it is not as in the unit"

    # client EXPORT CONDITION [PARAMETER]...: a client writes to its disk, and after
    # that, or soon, CONDITION is true.
    client() {
        export export=$1 condition=$2
        contained nbdkit -U - "$work/plugin.so" size=4M type=swap "${@:3}" --run '
            export unixsocket
            /usr/bin/nbdsh -c "import os
h.set_export_name(os.environ[\"export\"])
h.connect_unix(os.environ[\"unixsocket\"])
h.pwrite(b\"x\", 0)" || exit
            for i in $(seq 1500); do
                eval "$condition" && exit
                sleep 0.1
            done
            echo "not true: $condition"
            exit 1' >>nbdkit.log 2>&1
    }
    state=$top/State/$name cache=$top/Cache/$name run=$top/Runtime/$name
    tried=0
    while read -r parameter; do
        echo "$parameter"
        case $parameter in
        export-dir) args=(one true "$parameter=$top/Configuration/$name/exports.d") ;;
        session-dir) args=(one/token 'ls "$TMPDIR"/sessions/*/*.disk' session-grace=1h "$parameter=$state/sessions") ;;
        base)
            install -D -o "$uid" -g "$uid" -m 644 /dev/stdin "$state/images/a.img" < <(head -c 1M /dev/urandom)
            echo "base=$state/images/a.img" >"$top/Configuration/$name/exports.d/two.conf"
            args=(two/token 'ls "$TMPDIR"/sessions/*/*.base' session-grace=1h session-dir="$state/sessions"
                export-dir="$top/Configuration/$name/exports.d")
            ;;
        template-dir) args=(one 'ls "$top"/Cache/"$name"/*/*' command=: "$parameter=$cache") ;;
        status-file) args=(one '[ "$(stat -c %a "$top/Runtime/$name/a.json")" = 600 ]' "$parameter=$run/a.json") ;;
        # For node_exporter, which is another user.
        metrics-file) args=(one 'stat -c %a "$top/Runtime/$name" "$top/Runtime/$name/a.prom" |
            tr "\n" " " | grep -x "755 644 "' "$parameter=$run/a.prom") ;;
        *) fail "say here where in the unit's directories $parameter= may be" ;;
        esac
        client "${args[@]}" || fail "$parameter= does not work as the unit has it"
        tried=$((tried + 1))
    done < <(nbdkit "$plugin" --help |
        sed -nE 's/^([a-z-]+)=<(DIR|FILE|PATH|SOCKET)[^a-zA-Z].*/\1/p; s/^([a-z-]+-(dir|file|socket))=.*/\1/p' | sort -u)
}
[ "$tried" -ge 5 ] || fail "found only $tried parameters in --help"
