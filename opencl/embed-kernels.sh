#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Writes a C file that holds the given .cl files as the table sora_program_sources: embed-kernels.sh OUTPUT INPUT...
set -eu
output=$1
shift
{
  printf '#include "runtime/program.h"\n\nconst SoraProgramSource sora_program_sources[] = {\n'
  for file in "$@"; do
    printf '  { "%s",\n' "$(basename "$file" .cl)"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/    "/' -e 's/$/\\n"/' "$file"
    printf '  },\n'
  done
  printf '  { NULL, NULL }\n};\n'
} > "$output"
