#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Installs into a staging directory and checks what lies there: check-install.sh BUILD PREFIX LIBDIR INCLUDEDIR DATADIR PROGRAM.c
set -eu
build=$1 prefix=$2 libdir=$3 includedir=$4 datadir=$5 program=$6
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
DESTDIR=$stage meson install -C "$build" --no-rebuild --quiet >/dev/null
root=$stage$prefix
lib=$root/$libdir

n=0
failures=0
check () {      # check DESCRIPTION COMMAND...
  n=$((n + 1))
  description=$1
  shift
  if "$@"; then echo "ok $n - $description"; else echo "not ok $n - $description"; failures=1; fi
}

# What the headers declare and what the library shows are the same.
only_public_symbols () {
  grep -ohE '^SORA_API .*\bsora_[a-z0-9_]+ \(' "$root/$includedir"/sora/*.h | grep -oE 'sora_[a-z0-9_]+ \($' | tr -d ' (' | sort > "$stage/declared"
  nm -D --defined-only "$lib/libsora.so.0" | awk '{ print $3 }' | sort > "$stage/shown"
  grep -qx sora_stream_new "$stage/shown" || return 1
  diff "$stage/declared" "$stage/shown" > "$stage/difference" || { sed 's/^/# /' "$stage/difference"; return 1; }
}

plugin_in_place () {
  [ -n "$(find "$stage" -path '*gstreamer-1.0/libgstsora.so')" ]
}

headers_in_place () {
  for header in sora error catalogue device lora model sampler stream weights; do
    [ -f "$root/$includedir/sora/$header.h" ] || return 1
  done
}

# Compiled against the staged headers and library, through the staged sora.pc.
builds_and_runs () {
  sed -i "s|^prefix=.*|prefix=$root|" "$lib/pkgconfig/sora.pc"
  flags=$(PKG_CONFIG_PATH=$lib/pkgconfig pkg-config --cflags --libs sora) || return 1
  # shellcheck disable=SC2086
  cc "$program" -o "$stage/use-sora" $flags || return 1
  LD_LIBRARY_PATH=$lib SORA_MODEL_PATH=$root/$datadir/gst-sora/models "$stage/use-sora" > "$stage/name" || { sed 's,^,# ,' "$stage/name"; return 1; }
  [ -s "$stage/name" ]
}

check 'libsora.so.0 shows its public symbols only' only_public_symbols
check 'the plugin lies in the plugins directory' plugin_in_place
check 'headers' headers_in_place
check 'the command' test -x "$root/bin/sora"
check 'the model' test -f "$root/$datadir/gst-sora/models/embedded/sora.json"
check 'a program builds with sora.pc, finds the installed model and opens it' builds_and_runs
echo "1..$n"
exit $failures
