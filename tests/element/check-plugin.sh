#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The built plugin as GStreamer's own tools see it: check-plugin.sh PLUGIN.so GSTREAMER_PLUGINS_DIR MODEL
set -eu
plugin=$1 system=$2 model=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/plugins"
ln -s "$system/libgstcoreelements.so" "$system/libgstcoretracers.so" "$work/plugins"
export GST_PLUGIN_SYSTEM_PATH_1_0='' GST_PLUGIN_PATH_1_0="$(dirname "$plugin"):$work/plugins" GST_REGISTRY_1_0="$work/registry" GST_REGISTRY="$work/registry" LC_ALL=C

n=0
failures=0
check () {      # check DESCRIPTION COMMAND...
  n=$((n + 1))
  description=$1
  shift
  if "$@"; then echo "ok $n - $description"; else echo "not ok $n - $description"; failures=1; fi
}

# Scanning calls no OpenCL: a driver that is not there changes nothing.
scans () {
  OCL_ICD_VENDORS=/nonexistent gst-inspect-1.0 sora > "$work/plugin" 2> "$work/errors" && grep -q sorasrc "$work/plugin" \
    && [ ! -s "$work/errors" ]
}

nothing_blacklisted () {
  ! gst-inspect-1.0 -b | grep -q libgstsora
}

# name, range or default, when it may be changed
documented () {
  gst-inspect-1.0 sorasrc > "$work/element" || return 1
  while read -r name text; do
    sed -n "/^  $name  *:/,/^  [a-z-]*  *:/p" "$work/element" | tr -s ' \n' ' ' | grep -qF "$text" \
      || { echo "# $name: no '$text'"; return 1; }
  done <<TABLE
model Default: null
text-encoder Default: null
text-encoder UMT5 weight file
vae Default: null
vae changeable only in NULL or READY state
vae-tile Range: -1 - 16384 Default: -1
weight-type bf16
weight-type changeable only in NULL or READY state
precision bf16
precision changeable only in NULL or READY state
text-encoder-policy release
max-memory Default: 0
device Default: null
prompt Default: ""
negative-prompt Default: null
image Default: null
image Picture file
guidance-scale Double. Range: -1 - 100 Default: -1
guidance-scale controllable, changeable in NULL, READY, PAUSED or PLAYING state
guidance-scale-2 Range: -1 - 100 Default: -1
last-image Default: null
transformer-2 changeable only in NULL or READY state
image-encoder CLIP weight file
causal Default: false
guidance-begin Range: 0 - 1 Default: 0
guidance-end Range: 0 - 1 Default: 1
sampler dpmpp-2m
sampler changeable only in NULL or READY state
steps Range: 0 - 1000 Default: 0
shift Range: -1 - 100 Default: -1
seed Range: -1 - 9223372036854775807 Default: -1
duration Length of the video in nanoseconds
duration Default: -1
fit letterbox
queue-size Range: 1 - 64 Default: 1
is-live Default: false
stats GstStructure
prompt changeable in NULL, READY, PAUSED or PLAYING state
model changeable only in NULL or READY state
image changeable only in NULL or READY state
TABLE
}

never_unloaded () {
  readelf -d "$plugin" | grep -q NODELETE
}

one_symbol () {
  [ "$(nm -D --defined-only "$plugin" | awk '{ print $3 }' | sort | tr '\n' ' ')" = 'gst_plugin_sora_get_desc gst_plugin_sora_register ' ]
}

runs () {
  gst-launch-1.0 -q sorasrc model="$model" prompt="a red balloon" num-buffers=12 ! fakesink
}

no_leaks () {
  GST_TRACERS=leaks G_DEBUG=fatal-warnings GST_DEBUG=GST_TRACER:5 \
    gst-launch-1.0 -q sorasrc model="$model" num-buffers=12 ! video/x-raw,format=I420,width=64,height=30,framerate=24/1 ! fakesink \
    2> "$work/leaks" || { sed 's/^/# /' "$work/leaks"; return 1; }
}

# A leak ends the program by a signal instead.
no_leaks_on_failure () {
  code=0
  GST_TRACERS=leaks G_DEBUG=fatal-warnings gst-launch-1.0 -q sorasrc model=/nonexistent ! fakesink > /dev/null 2> "$work/leaks" \
    || code=$?
  { [ $code -eq 1 ] || [ $code -eq 255 ]; } && grep -q /nonexistent "$work/leaks"
}

# -e sends EOS on interrupt: the file ends well, though frames are still being made. gst-launch is deaf for a moment after it
# says that it plays.
ends_on_interrupt () {
  gst-launch-1.0 -e sorasrc model="$model" ! fakesink > "$work/launch" 2>&1 &
  launch=$!
  tries=0
  until grep -q 'to PLAYING' "$work/launch"; do
    tries=$((tries + 1))
    [ $tries -le 300 ] || { kill $launch; return 1; }
    sleep 0.1
  done
  sleep 1
  kill -INT $launch
  wait $launch && grep -q 'Got EOS' "$work/launch"
}

check 'scanning touches no driver' scans
check 'nothing is blacklisted' nothing_blacklisted
check 'gst-inspect shows every property' documented
check 'the plugin is never unloaded' never_unloaded
check 'only the entry points are visible' one_symbol
check 'gst-launch runs it' runs
check 'no leaks' no_leaks
check 'no leaks where it fails to start' no_leaks_on_failure
check 'EOS on interrupt' ends_on_interrupt
echo "1..$n"
exit $failures
